"""A projection writes, then commits; whatever goes wrong, nothing is skipped and a bad record costs itself alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from faststream.kafka import KafkaBroker

from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.errors import TransientError
from shared.flow import FlowSettings, Heard, Projection, Viewer, projection
from tests.builders import signal, signal_record

PLACE = TopicPartition(DEVICE_SIGNALS.name, 3)


class Shelf(Viewer):
    """Keeps the faults of signals; fails as it is told."""

    topic = DEVICE_SIGNALS
    service = "shelf"

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.failures: list[Exception] = []
        self.hates = ""

    async def keep(self, batch: Sequence[Heard]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        faults = [event.incoming.data.fault for event in batch]
        if self.hates in faults:
            raise KeyError(self.hates)
        self.kept += faults


class Consumer:
    """What a projection asks of a consumer."""

    def __init__(self) -> None:
        self.place = 1_000
        self.committed_at: int | None = None
        self.sought: list[int] = []
        self.refuses = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def committed(self, _: TopicPartition) -> int | None:
        return self.committed_at

    async def position(self, _: TopicPartition) -> int:
        return self.place

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    async def commit(self, positions: dict[TopicPartition, int]) -> None:
        await self.answers.wait()
        if self.refuses:
            raise CommitFailedError
        self.committed_at = positions[PLACE]


class Letters:
    """A teller that notes what it is told to tell."""

    def __init__(self, told: list[Any]) -> None:
        self._told = told

    async def start(self) -> None:
        pass

    async def tell(self, messages: Sequence[Any], position: int) -> None:
        self._told += [(message.headers[-8][1], position) for message in messages]

    async def stop(self) -> None:
        pass


class Stand:
    """A projection of one partition, and what happens around it."""

    def __init__(self) -> None:
        self.shelf, self.consumer = Shelf(), Consumer()
        self.told: list[Any] = []
        self.alarms: list[str] = []
        settings = FlowSettings(bootstrap_servers="nowhere", retry_for_seconds=2)
        self.ear = Projection(KafkaBroker("nowhere"), self.shelf, settings=settings, alarm=self._alarm)
        self.ear.subscriber.consumer = self.consumer
        self.ear._teller = lambda _: Letters(self.told)

    async def _alarm(self, *, kind: str, **_: Any) -> None:
        self.alarms.append(kind)

    async def owned(self) -> "Stand":
        await self.ear.on_partitions_assigned([PLACE])
        return self

    async def hear(self, *faults: str | bytes, first: int = 0) -> None:
        records = [
            signal_record(fault if isinstance(fault, bytes) else signal(fault=fault), offset=first + number)
            for number, fault in enumerate(faults)
        ]
        async with self.ear._round:
            await self.ear._run_round(records)
        if self.consumer.answers.is_set():
            await self.ear._committed()


@pytest.fixture
async def stand() -> Stand:
    return await Stand().owned()


async def test_what_was_written_is_committed(stand):
    await stand.hear("a", "b")
    assert (stand.shelf.kept, stand.consumer.committed_at) == (["a", "b"], 2)
    assert stand.ear.ready


async def test_positions_are_committed_beside_the_next_round_and_in_order(stand):
    stand.consumer.answers.clear()
    await stand.hear("a")
    assert (stand.shelf.kept, stand.consumer.committed_at) == (["a"], None)
    next_round = asyncio.create_task(stand.hear("b", first=1))
    while stand.shelf.kept != ["a", "b"]:
        await asyncio.sleep(0)
    assert stand.consumer.committed_at is None
    stand.consumer.answers.set()
    await next_round
    assert stand.consumer.committed_at == 2


async def test_partitions_are_given_up_once_their_positions_are_committed(stand):
    stand.consumer.answers.clear()
    await stand.hear("a")
    leaving = asyncio.create_task(stand.ear.on_partitions_revoked([PLACE]))
    await asyncio.sleep(0.01)
    assert not leaving.done()
    stand.consumer.answers.set()
    await leaving
    assert stand.consumer.committed_at == 1


async def test_positions_that_a_stopped_consumer_never_commits_hold_nobody_up(stand, monkeypatch):
    monkeypatch.setattr(projection, "CLOSE_SECONDS", 0.01)
    stand.consumer.answers.clear()
    await stand.hear("a")
    await asyncio.wait_for(stand.ear.close(), 60)
    assert stand.consumer.committed_at is None


async def test_while_the_store_is_away_the_same_is_tried_again(stand):
    stand.shelf.failures = [TransientError("away"), TransientError("away")]
    await stand.hear("a", "b")
    assert (stand.shelf.kept, stand.consumer.committed_at) == (["a", "b"], 2)


async def test_what_is_not_written_in_time_is_not_committed(stand):
    stand.shelf.failures = [TransientError("away")] * 100
    with pytest.raises(TransientError):
        await stand.hear("a")
    assert stand.consumer.committed_at is None


async def test_a_record_that_cannot_be_read_becomes_a_dead_letter_with_the_position(stand):
    await stand.hear("a", b"no JSON", "b")
    assert stand.shelf.kept == ["a", "b"]
    assert stand.told == [(b"not_json", 3)]
    assert stand.consumer.committed_at is None  # the letter's transaction has it


async def test_after_a_bug_the_culprit_alone_is_buried(stand):
    stand.shelf.hates = "b"
    await stand.hear("a", "b", "c")
    assert stand.shelf.kept == ["a", "c"]
    assert (stand.told, stand.alarms) == ([(b"bug", 3)], ["bug"])


async def test_records_that_were_fetched_before_the_partition_was_owned_are_dropped(stand):
    stand.consumer.place = 2
    await stand.hear("a", "b", "c")
    assert (stand.shelf.kept, stand.consumer.committed_at) == ([], None)


async def test_records_below_the_position_are_passed_over():
    stand = Stand()
    stand.consumer.committed_at = 1
    await stand.owned()
    await stand.hear("a", "b")
    assert (stand.shelf.kept, stand.consumer.sought) == (["b"], [1])


async def test_a_position_that_is_not_taken_is_committed_with_the_next(stand):
    stand.consumer.refuses = True
    await stand.hear("a")
    stand.consumer.refuses = False
    await stand.hear("b", first=1)
    assert (stand.shelf.kept, stand.consumer.committed_at) == (["a", "b"], 2)


async def test_a_rebalance_ends_the_wait_for_the_store_and_nothing_is_committed(stand):
    stand.shelf.failures = [TransientError("away")] * 100
    hearing = asyncio.create_task(stand.hear("a"))
    await asyncio.sleep(0.01)
    await stand.ear.on_partitions_revoked([PLACE])
    await hearing
    assert (stand.shelf.kept, stand.consumer.committed_at) == ([], None)
