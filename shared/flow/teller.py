"""Telling: messages and the position of a partition in one Kafka transaction, by one producer per partition."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from itertools import zip_longest
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contracts.envelope import Message
from shared.errors import OwnershipLost

PRODUCE_BYTES_MAX = 2 * 1024 * 1024 + 64 * 1024


class Fenced(OwnershipLost):
    """Another producer has the partition."""


@lru_cache(maxsize=65536)
def home_partition(key: bytes, partitions: int) -> int:
    """Return the partition where Kafka's default partitioner puts a key (murmur2, as the Java client does)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def partitioner(key: bytes | None, partitions: list[int], available: list[int]) -> int:
    """Choose the home partition of a key; any available one without a key."""
    return home_partition(key, len(partitions)) if key is not None else (available or partitions)[0]


class Teller:
    """One transactional producer; starting it fences every other of the same id.

    When anything fails, the teller is thrown away, and the start of the next one ends what was left open.
    """

    def __init__(
        self,
        transactional_id: str,
        *,
        bootstrap_servers: str,
        transaction_timeout_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            acks="all",
            transactional_id=transactional_id,
            transaction_timeout_ms=int(transaction_timeout_seconds * 1000),
            request_timeout_ms=int(timeout_seconds * 1000),
            max_batch_size=256 * 1024,
            max_request_size=PRODUCE_BYTES_MAX,
            partitioner=partitioner,
        )

    async def start(self) -> None:
        """Fence all others."""
        await self._producer.start()

    async def partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(await self._producer.partitions_for(topic))

    def telling(self, messages: Sequence[Message], partition: TopicPartition, position: int, group: str) -> "Telling":
        """Return a transaction that sends the messages and commits the position, both or neither."""
        send = partial(self._send, messages, partition, position, group)
        return Telling(self._producer, send, self._timeout_seconds)

    async def stop(self) -> None:
        """Stop, whatever state the producer is in."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(3):
                await self._producer.stop()
                return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                # A stop that was cut short leaves the sender and the sockets behind.
                await self._producer._sender.close()  # noqa: SLF001
                await self._producer.client.close()

    async def _send(
        self, messages: Sequence[Message], partition: TopicPartition, position: int, group: str, sent: list[Any]
    ) -> None:
        """Send everything of a transaction but its end; nobody who reads committed records sees any of it yet."""
        producer = self._producer
        await producer.begin_transaction()
        for topic, place, batch in await self._batches(messages):
            sent.append(await producer.send_batch(batch, topic, partition=place))
        # The position goes along with the messages; only when both are there may the transaction be committed.
        sent.append(asyncio.ensure_future(producer.send_offsets_to_transaction({partition: position}, group)))
        await asyncio.wait(sent)
        for future in sent:
            future.result()

    async def _batches(self, messages: Sequence[Message]) -> list[tuple[str, int | None, BatchBuilder]]:
        """Return the messages in batches of one partition each, a partition's in order: one send for hundreds."""
        counts = {topic: await self.partitions_of(topic) for topic in {message.topic for message in messages}}
        places: dict[tuple[str, int | None], list[BatchBuilder]] = {}
        for message in messages:
            place = None if message.key is None else home_partition(message.key, counts[message.topic])
            batches = places.setdefault((message.topic, place), [])
            headers = list(message.headers)
            if batches and batches[-1].append(timestamp=None, key=message.key, value=message.value, headers=headers):
                continue
            # There is none yet, or it is full; the first message of a batch may be of any size.
            batches.append(self._producer.create_batch())
            batches[-1].append(timestamp=None, key=message.key, value=message.value, headers=headers)
        # A partition's next batch waits until the one before is on its way: all first ones go first.
        turns = zip_longest(*([(*place, batch) for batch in batches] for place, batches in places.items()))
        return [batch for turn in turns for batch in turn if batch is not None]


class Telling:
    """One transaction: what it sends may be on its way early, but counts for nothing before `commit`.

    As a context it ends what was begun and not committed.
    """

    def __init__(
        self, producer: AIOKafkaProducer, send: Callable[[list[Any]], Coroutine[Any, Any, None]], timeout_seconds: float
    ) -> None:
        self._producer = producer
        self._send = send
        self._timeout_seconds = timeout_seconds
        self._sent: list[asyncio.Future[Any]] = []
        self._sending: asyncio.Task[None] | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sending is not None and not self._ended:
            await self._end(self._producer.abort_transaction)

    def begin(self) -> None:
        """Let what is to be sent go ahead while other work is done."""
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(self._sent))

    async def commit(self) -> None:
        """Make it count.

        Raises:
            Fenced: if another producer has the partition.
            OwnershipLost: if anything else failed; whether it was told is not known before owning anew.
        """
        self.begin()
        await self._end(self._producer.commit_transaction)

    async def _end(self, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ended = True
        sending = self._sending
        try:
            async with asyncio.timeout(self._timeout_seconds):
                if sending is not None:
                    await sending
                await end()
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced("another producer has the partition") from error
        except Exception as error:
            raise OwnershipLost(f"telling failed: {type(error).__name__}") from error
        finally:
            if sending is not None:
                sending.cancel()
                sending.add_done_callback(_look_away)
            for future in self._sent:
                if not future.done() or future.cancelled() or future.exception():
                    future.add_done_callback(_look_away)


def _look_away(future: "asyncio.Future[Any]") -> None:
    """Retrieve the failure of a send that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
