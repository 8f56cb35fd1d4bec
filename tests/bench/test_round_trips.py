"""What a batch costs in round trips and bytes is counted, not timed: it must not grow with the batch's size."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.intake.handlers import Signals
from services.intake.policies import Policies
from services.workflow.handlers import Commands
from shared import storage
from shared.contracts.envelope import Message
from shared.flow import FlowSettings, Unit
from shared.flow.room import Room
from shared.flow.teller import Teller, home_partition
from shared.storage import Database
from tests.bench import loads
from tests.bench.kafka import PARTITIONS, Kafka, Sending
from tests.stack import RunningStack

pytestmark = [pytest.mark.bench, pytest.mark.integration]

PARTITION = 3
SIZES = (10, 1000)
BASELINE = json.loads(Path(__file__).with_name("baseline.json").read_text())
#: Offsets, times and version numbers differ in length from run to run.
TOLERANCE = 0.04


@dataclass
class Counts(CommandListener):
    """The commands a database got, and how large the documents were that it was to write."""

    commands: Counter[str] = field(default_factory=Counter)
    document_bytes: int = 0

    def started(self, event: CommandStartedEvent) -> None:
        """Count a command."""
        self.commands[event.command_name] += 1
        self.document_bytes += sum(len(bson.encode(update["u"])) for update in event.command.get("updates", ()))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to count."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to count."""


class CountingTeller(Teller):
    """A teller that counts its transactions and what they told."""

    transactions = 0
    bytes = 0

    async def tell(self, messages: Sequence[Message], position: int) -> None:
        """Tell and count."""
        self.transactions += 1
        self.bytes += sum(
            len(m.key or b"") + len(m.value or b"") + sum(len(name) + len(text or b"") for name, text in m.headers)
            for m in messages
        )
        await super().tell(messages, position)


@dataclass
class Bench:
    """A real unit on one partition of a real topic, and what it is counted by."""

    unit: Unit[Any]
    consumer: AIOKafkaConsumer
    tellers: list[CountingTeller]
    counts: Counts
    kafka: Kafka
    topic: str

    async def batch(self, sendings: Sequence[Sending]) -> "Cost":
        """Let the unit work one batch off; return what that took."""
        await self.kafka.fill(self.topic, sendings)
        place = TopicPartition(self.topic, PARTITION)
        records: list[Any] = []
        async with asyncio.timeout(120):
            while len(records) < len(sendings):
                records += (await self.consumer.getmany(place, timeout_ms=200)).get(place, [])
        self.counts.commands.clear()
        self.counts.document_bytes = 0
        transactions, told = self.tellers[-1].transactions, self.tellers[-1].bytes
        assert await self.unit.run(records) == len(sendings)
        return Cost(
            commands=dict(self.counts.commands),
            transactions=self.tellers[-1].transactions - transactions,
            document_bytes=self.counts.document_bytes / len(sendings),
            told_bytes=(self.tellers[-1].bytes - told) / len(sendings),
        )


@dataclass(frozen=True)
class Cost:
    """Round trips of one batch, bytes per record."""

    commands: dict[str, int]
    transactions: int
    document_bytes: float
    told_bytes: float

    def bytes(self) -> dict[str, int]:
        """Return the bytes as the baseline has them."""
        return {"document_bytes": round(self.document_bytes), "told_bytes": round(self.told_bytes)}


@pytest.fixture
async def benches(infra: RunningStack) -> AsyncIterator[Callable[..., Any]]:
    """Make units whose group begins at the end of their partition; leave no documents behind."""
    names: list[str] = []

    @asynccontextmanager
    async def make(room_of: Callable[[Database], Room[Any]]) -> AsyncIterator[Bench]:
        counts, tellers, name = Counts(), [], f"callout_bench_{len(names)}"
        names.append(name)
        database = storage.connect(infra.mongodb_uri, name, listeners=[counts])
        room = room_of(database)
        topic, group = room.topic.name, f"bench.{name}"
        place = TopicPartition(topic, PARTITION)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=infra.bootstrap_servers,
            group_id=group,
            enable_auto_commit=False,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )
        await consumer.start()
        consumer.assign([place])
        await consumer.commit({place: (await consumer.end_offsets([place]))[place]})

        def new_teller(_: TopicPartition) -> Teller:
            tellers.append(
                CountingTeller(
                    f"bench-{name}",
                    place,
                    group,
                    bootstrap_servers=infra.bootstrap_servers,
                    transaction_timeout_seconds=15,
                    timeout_seconds=20,
                )
            )
            return tellers[-1]

        async def alarm(**facts: object) -> None:
            pytest.fail(f"an alarm: {facts}")

        unit: Unit[Any] = Unit(
            place,
            consumer=consumer,
            room=room,
            documents=database.documents("documents"),
            sources=database.documents("sources"),
            settings=FlowSettings(bootstrap_servers=infra.bootstrap_servers),
            leaving=asyncio.Event(),
            alarm=alarm,
            new_teller=new_teller,
        )
        await unit.own()
        try:
            yield Bench(unit, consumer, tellers, counts, Kafka(infra.bootstrap_servers), topic)
        finally:
            await unit.disown()
            await consumer.stop()
            await database.close()

    yield make
    async with AsyncMongoClient(infra.mongodb_uri) as client:
        for name in names:
            await client.drop_database(name)


def at_home(sendings: Sequence[Sending]) -> list[Sending]:
    """Return those that belong on the partition that is measured."""
    return [sending for sending in sendings if home_partition(sending.key, PARTITIONS) == PARTITION]


def workflow(database: Database) -> Room[Any]:
    return Commands(database.documents("counters"))


def intake(_: Database) -> Room[Any]:
    return Signals(Policies())


async def test_a_batch_of_creations_costs_one_find_one_write_one_draw_one_transaction(benches):
    async with benches(workflow) as bench:
        for size in SIZES:
            cases = loads.case_ids(size * 20, seed=size)
            cost = await bench.batch(at_home(list(loads.creations(cases)))[:size])
            assert cost.commands == {"find": 1, "findAndModify": 1, "update": 1}
            assert cost.transactions == 1
    assert_like_baseline("create", cost)


async def test_a_batch_of_commands_costs_one_write_and_one_transaction(benches):
    async with benches(workflow) as bench:
        cases = [s.key.decode() for s in at_home(list(loads.creations(loads.case_ids(2000, seed=5))))[:100]]
        await bench.batch(list(loads.creations(cases)))
        for size in SIZES:
            cost = await bench.batch(list(loads.commands(cases, size, seed=size)))
            # The cases are remembered: this partition alone writes them.
            assert cost.commands == {"update": 1}
            assert cost.transactions == 1
    assert_like_baseline("commands", cost)


async def test_a_batch_of_new_faults_costs_two_finds_two_writes_one_transaction(benches):
    async with benches(intake) as bench:
        for size in SIZES:
            signals = at_home(list(loads.distinct(size * 20, prefix=f"new{size}")))[:size]
            cost = await bench.batch(signals)
            assert at_most(cost.commands, {"find": 2, "update": 2})
            assert cost.transactions == 1
    assert_like_baseline("new_faults", cost)


async def test_a_batch_of_known_faults_costs_one_find_one_write_one_transaction(benches):
    async with benches(intake) as bench:
        await bench.batch(at_home(list(loads.repeats(600, 600))))
        for size in SIZES:
            cost = await bench.batch(at_home(list(loads.repeats(600, size * 20)))[:size])
            assert at_most(cost.commands, {"find": 1, "update": 1})
            assert cost.transactions == 1


def at_most(commands: dict[str, int], limits: dict[str, int]) -> bool:
    """Tell whether no command came more often than it may."""
    return all(number <= limits.get(name, 0) for name, number in commands.items())


def assert_like_baseline(name: str, cost: Cost) -> None:
    """Check the bytes per record; less than before is to be written into the baseline, more is a regression."""
    assert cost.bytes() == {key: pytest.approx(value, rel=TOLERANCE) for key, value in BASELINE[name].items()}
