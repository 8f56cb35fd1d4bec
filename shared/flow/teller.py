"""Telling: messages and the position of a partition in one Kafka transaction, by one producer per partition.

A transaction's requests go one after the other. Two at once (the position and the messages, say) may meet in the
broker's verification, which turns one of them away; the client comes back after its backoff, long after the other.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contracts.envelope import Message
from shared.errors import OwnershipLost
from shared.kafka import client_settings

PRODUCE_BYTES_MAX = 2 * 1024 * 1024 + 64 * 1024
MURMUR_SEED, MURMUR, UINT32 = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
BACKOFF_MS = 25  # also where the transaction before is just being completed


class Fenced(OwnershipLost):
    """Another producer has the partition."""


@lru_cache(maxsize=65536)
def home_partition(key: bytes, partitions: int) -> int:
    """Return the partition where Kafka's default partitioner puts a key (murmur2, as the Java client does)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Return Kafka's hash of a key as an unsigned number: as aiokafka's own, in half the time.

    Every answer to a command has a key of its own, and every new fault: there it is worked out anew.
    """
    whole = len(key) & ~3
    hashed = MURMUR_SEED ^ len(key)
    for word in struct.unpack_from(f"<{whole >> 2}I", key):
        mixed = word * MURMUR & UINT32
        hashed = hashed * MURMUR & UINT32 ^ (mixed ^ mixed >> 24) * MURMUR & UINT32
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * MURMUR & UINT32
    hashed = (hashed ^ hashed >> 13) * MURMUR & UINT32
    return hashed ^ hashed >> 15


def partitioner(key: bytes | None, partitions: list[int], available: list[int]) -> int:
    """Choose the home partition of a key; any available one without a key."""
    return home_partition(key, len(partitions)) if key is not None else (available or partitions)[0]


class Teller:
    """One transactional producer; starting it fences every other of the same id.

    What will be told may be promised while documents are still being written: position and messages count together,
    or not at all.
    When anything fails, the teller is thrown away, and the start of the next one ends what was left open.
    """

    def __init__(
        self,
        transactional_id: str,
        partition: TopicPartition,
        group: str,
        *,
        bootstrap_servers: str,
        transaction_timeout_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._partition = partition
        self._group = group
        self._timeout_seconds = timeout_seconds
        self._promised: tuple[int, asyncio.Future[Any]] | None = None
        self._producer = AIOKafkaProducer(
            **client_settings(bootstrap_servers),
            acks="all",
            transactional_id=transactional_id,
            transaction_timeout_ms=int(transaction_timeout_seconds * 1000),
            request_timeout_ms=int(timeout_seconds * 1000),
            retry_backoff_ms=BACKOFF_MS,
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

    async def promise(self, position: int, messages: Sequence[Message] = ()) -> None:
        """Let the position, and where messages will lie, go ahead of the messages that will be told with it.

        Raises:
            Fenced: if another producer has the partition.
            OwnershipLost: if anything else failed.
        """
        if self._promised is None or self._promised[0] != position:
            await self.withdraw()
            async with self._bounded():
                producer, offsets = self._producer, {self._partition: position}
                await producer.begin_transaction()
                going = asyncio.ensure_future(producer.send_offsets_to_transaction(offsets, self._group))
                going.add_done_callback(_look_away)
                self._promised = position, going
        if messages:
            async with self._bounded():
                counts = await self._counts(messages)
                for topic, place in {_place_of(message, counts) for message in messages}:
                    if place is not None:
                        # The client by itself would ask only when the first message is sent.
                        self._producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(topic, place))  # noqa: SLF001

    async def withdraw(self) -> None:
        """End what was promised and not told, as if it had never been.

        Raises:
            Fenced: if another producer has the partition.
            OwnershipLost: if anything else failed.
        """
        promised, self._promised = self._promised, None
        if promised is not None:
            async with self._bounded():
                await promised[1]
                await self._producer.abort_transaction()

    async def tell(self, messages: Sequence[Message], position: int) -> None:
        """Send the messages and commit the position, both or neither.

        Raises:
            Fenced: if another producer has the partition.
            OwnershipLost: if anything else failed; whether it was told is not known before owning anew.
        """
        await self.promise(position)
        promised, self._promised = self._promised, None
        sent: list[asyncio.Future[Any]] = []
        try:
            async with self._bounded():
                if promised is not None:
                    await promised[1]
                for topic, place, batch in await self._batches(messages):
                    sent.append(await self._producer.send_batch(batch, topic, partition=place))
                for future in sent:
                    await future
                await self._producer.commit_transaction()
        finally:
            for future in sent:
                future.add_done_callback(_look_away)

    async def stop(self) -> None:
        """Stop, whatever state the producer is in."""
        if self._promised is not None:
            self._promised[1].cancel()
        if (ending := self._producer._txn_manager.wait_for_transaction_end()) is not None:  # noqa: SLF001
            ending.add_done_callback(_look_away)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(3):
                await self._producer.stop()
                return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                # A stop that was cut short leaves the sender and the sockets behind.
                await self._producer._sender.close()  # noqa: SLF001
                await self._producer.client.close()

    @contextlib.asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Bound a step of a transaction in time, and name what goes wrong in it."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced("another producer has the partition") from error
        except Exception as error:
            raise OwnershipLost(f"telling failed: {type(error).__name__}") from error

    async def _counts(self, messages: Sequence[Message]) -> dict[str, int]:
        return {topic: await self.partitions_of(topic) for topic in {message.topic for message in messages}}

    async def _batches(self, messages: Sequence[Message]) -> list[tuple[str, int | None, BatchBuilder]]:
        """Return the messages in batches of one partition each, a partition's in order: one send for hundreds."""
        counts = await self._counts(messages)
        places: dict[tuple[str, int | None], list[BatchBuilder]] = {}
        for message in messages:
            batches = places.setdefault(_place_of(message, counts), [])
            headers = list(message.headers)
            if batches and batches[-1].append(timestamp=None, key=message.key, value=message.value, headers=headers):
                continue
            # There is none yet, or it is full; the first message of a batch may be of any size.
            batches.append(self._producer.create_batch())
            batches[-1].append(timestamp=None, key=message.key, value=message.value, headers=headers)
        # A partition's next batch waits until the one before is on its way: all first ones go first.
        turns = zip_longest(*([(*place, batch) for batch in batches] for place, batches in places.items()))
        return [batch for turn in turns for batch in turn if batch is not None]


def _place_of(message: Message, counts: Mapping[str, int]) -> tuple[str, int | None]:
    return message.topic, None if message.key is None else home_partition(message.key, counts[message.topic])


def _look_away(future: "asyncio.Future[Any]") -> None:
    """Retrieve the failure of a send that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
