"""Transactions of one partition on a real broker: messages and position, both or neither, and no request twice."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConcurrentTransactions

from shared.contracts.envelope import Message
from shared.flow.teller import Fenced, Teller
from tests.bench.kafka import PARTITIONS, Kafka
from tests.e2e.outsider import until
from tests.stack import RunningStack

pytestmark = pytest.mark.integration


@dataclass
class Place:
    """A partition whose position is told, a topic to tell on, and who reads both."""

    servers: str
    heard: TopicPartition
    said: str
    group: str
    consumer: AIOKafkaConsumer
    stack: AsyncExitStack

    async def teller(self) -> Teller:
        """Return a producer that has fenced those before it."""
        teller = Teller(
            f"tests-{self.group}",
            self.heard,
            self.group,
            bootstrap_servers=self.servers,
            transaction_timeout_seconds=60,
            timeout_seconds=60,
        )
        self.stack.push_async_callback(teller.stop)
        await teller.start()
        return teller

    async def seen(self) -> tuple[list[bytes], int | None]:
        """Return all that readers of committed records see by now, and then the committed position."""
        places = [TopicPartition(self.said, p) for p in range(PARTITIONS)]
        self.consumer.assign(places)
        await self.consumer.seek_to_beginning(*places)
        ends = await self.consumer.end_offsets(places)
        seen: list[bytes] = []
        while any([await self.consumer.position(place) < end for place, end in ends.items()]):
            fetched = await self.consumer.getmany(timeout_ms=100)
            seen += [record.value for part in fetched.values() for record in part]
        return sorted(seen), await self.position()

    async def shows(self, *texts: bytes, position: int | None) -> bool:
        """Tell whether readers come to see just that, and no more a moment later.

        The broker marks the end of a transaction after it has answered who ended it.
        """
        expected = [*texts], position

        async def seen() -> bool:
            return await self.seen() == expected

        await until(seen, what=str(expected))
        await asyncio.sleep(0.3)
        return await seen()

    async def position(self) -> int | None:
        """Return the committed position."""
        position: int | None = await self.consumer.committed(self.heard)
        return position

    def say(self, text: str, key: str = "key") -> Message:
        """Return a message."""
        return Message(self.said, key.encode(), text.encode(), ())


@pytest.fixture
async def place(infra: RunningStack) -> AsyncIterator[Place]:
    name = f"teller.{time.time_ns()}"
    await Kafka(infra.bootstrap_servers).create(f"{name}.heard", f"{name}.said")
    async with AsyncExitStack() as stack:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=infra.bootstrap_servers, group_id=name, isolation_level="read_committed"
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        heard = TopicPartition(f"{name}.heard", 0)
        yield Place(infra.bootstrap_servers, heard, f"{name}.said", name, consumer, stack)


async def test_messages_and_position_are_told_together(place):
    teller = await place.teller()
    await teller.promise(7)
    assert await place.shows(position=None)
    await teller.tell([place.say("a"), place.say("b")], 7)
    assert await place.shows(b"a", b"b", position=7)


async def test_a_withdrawn_promise_leaves_the_position_where_it_was(place):
    teller = await place.teller()
    await teller.tell([place.say("a")], 3)
    await teller.promise(7)
    await teller.withdraw()
    assert await place.shows(b"a", position=3)


async def test_where_messages_would_have_lain_can_be_withdrawn(place):
    teller = await place.teller()
    await teller.promise(7, [place.say("a"), place.say("b", "elsewhere")])
    await teller.withdraw()
    assert await place.shows(position=None)
    await teller.tell([place.say("c")], 8)
    assert await place.shows(b"c", position=8)


async def test_another_position_than_the_promised_one_can_be_told(place):
    teller = await place.teller()
    await teller.promise(9)
    await teller.promise(5)
    await teller.tell([place.say("a")], 4)
    assert await place.shows(b"a", position=4)


async def test_what_a_dead_process_promised_is_not_kept(place):
    first = await place.teller()
    await first.tell([], 2)
    await first.promise(8)
    second = await place.teller()
    assert await place.shows(position=2)
    await second.tell([place.say("a")], 3)
    assert await place.shows(b"a", position=3)


@pytest.mark.parametrize("promised", [True, False], ids=["promised", "not promised"])
async def test_a_fenced_producer_tells_nothing(place, promised):
    first = await place.teller()
    if promised:
        await first.promise(8)
    await place.teller()
    with pytest.raises(Fenced):
        await first.tell([place.say("a")], 8)
    assert await place.shows(position=None)


def _busy(response: Any) -> bool:
    """Whether the broker was not done with the transaction before: it asks to be asked again."""
    return f"'error_code': {ConcurrentTransactions.errno}" in str(response.to_object())


@pytest.mark.parametrize("ahead", [True, False], ids=["places ahead", "places with the messages"])
async def test_no_request_of_a_transaction_is_sent_twice(place, monkeypatch, ahead):
    teller = await place.teller()
    await teller.tell([place.say("warm", str(key)) for key in range(100)], 1)
    requests: Counter[str] = Counter()
    client = teller._producer.client
    send = client.send

    async def counting(node_id: int, request: Any, **options: Any) -> Any:
        response = await send(node_id, request, **options)
        requests[type(request).__name__] += not _busy(response)
        return response

    monkeypatch.setattr(client, "send", counting)
    for position in range(2, 22):
        messages = [place.say(f"{position}.{key}", str(key)) for key in range(3)]
        await teller.promise(position, messages if ahead else ())
        await teller.tell(messages, position)
    transaction = ("AddOffsetsToTxn", "TxnOffsetCommit", "AddPartitionsToTxn", "Produce", "EndTxn")
    assert {name: requests[f"{name}Request"] for name in transaction} == dict.fromkeys(transaction, 20)
