"""Writes a partition anew behind itself, record by record as somebody decides, and deletes what lay before.

Kafka cannot change a record, and deletes only what lies at the beginning. So what is to remain is appended once more,
in one transaction with the positions of all groups, and then all before it is deleted. Readers of committed records see
nothing of it until it is whole; a group goes on at the record where it was. The transaction also notes where the new
begins: where a run died before the deletion, the next one does it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from deploy.topic_admin import TopicAdmin
from deploy.topic_reader import POLL_MILLISECONDS
from shared.kafka import client_settings
from shared.records import read_all_headers

#: The group whose position tells where a partition begins that was written anew.
JOURNAL: Final = "callout.erase"
#: As much as the embedded broker allows: what is not written by then is not written at all.
TRANSACTION_MILLISECONDS: Final = 60_000
AT_ONCE: Final = 1_000
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
ROLL: Final = "segment.ms"
AT_ONCE_ROLLED: Final = "1"
ROLL_SECONDS: Final = 0.05

Header = tuple[str, bytes]


class ChangedError(Exception):
    """A partition is not what it was when it was looked at."""


class Kept(NamedTuple):
    """What remains of a record."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


PLACEHOLDER: Final = Kept(b"callout.erase", None, ())
Decide = Callable[[ConsumerRecord], Kept | None]


def as_it_is(record: ConsumerRecord) -> Kept:
    """Keep a record as it is."""
    return Kept(record.key, record.value, record.headers)


async def fence(bootstrap_servers: str) -> None:
    """End what a run that died had begun, and let no other one at work go on."""
    producer = AIOKafkaProducer(**client_settings(bootstrap_servers), transactional_id=JOURNAL)
    try:
        await producer.start()
    finally:
        await producer.stop()


class Mover:
    """A connection that writes partitions anew; nobody else may write to them or hear them as a group meanwhile."""

    def __init__(self, bootstrap_servers: str) -> None:
        read_all_headers()
        self._servers = bootstrap_servers
        self._admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
        self._topics = TopicAdmin(bootstrap_servers)
        self._groups: list[str] = []
        self._before: str | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
            await self._topics.__aenter__()
        except BaseException:
            await self.__aexit__()
            raise
        self._groups = sorted({group[0] for group in await self._admin.list_consumer_groups()} - {JOURNAL})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._topics.__aexit__()

    async def finish(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Delete what an earlier run had written anew and not deleted; return of which partitions."""
        offsets = await self._admin.list_consumer_group_offsets(JOURNAL)
        begins = {tp: place.offset for tp, place in offsets.items() if tp in partitions and place.offset > 0}
        starts = await self._starts(list(begins))
        left = {tp: begin for tp, begin in begins.items() if starts[tp] < begin}
        await self._delete(left)
        return sorted(left)

    async def move(self, partition: TopicPartition, decide: Decide, *, expected: int) -> int:
        """Write a partition anew with what is kept of each of its `expected` records; return how many remain.

        Raises:
            ChangedError: it has another number of records; nothing was changed.
            KafkaError: it was not written anew, or what lay before is still there; to do it again is safe.
        """
        positions = await self._positions(partition)
        producer = AIOKafkaProducer(
            **client_settings(self._servers),
            acks="all",
            transactional_id=JOURNAL,
            transaction_timeout_ms=TRANSACTION_MILLISECONDS,
            max_request_size=MESSAGE_BYTES_MAX,
        )
        try:
            await producer.start()
            copying = _Copying(producer, partition, self._roll)
            async with AIOKafkaConsumer(
                **client_settings(self._servers),
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            ) as consumer:
                consumer.assign([partition])
                await producer.begin_transaction()
                await copying.copy(consumer, decide, positions)
                if copying.read != expected:
                    await producer.abort_transaction()
                    raise ChangedError(f"{partition} has {copying.read} records, not {expected}: somebody writes to it")
                if not copying.count:  # what keeps the place is for nobody to read
                    await producer.abort_transaction()
                    await producer.begin_transaction()
                for group, position in copying.new_positions().items():
                    # The client asks for one group of a transaction only; the broker takes any number.
                    producer._txn_manager._txn_consumer_group = None  # noqa: SLF001
                    await producer.send_offsets_to_transaction({partition: OffsetAndMetadata(position, "")}, group)
                await producer.commit_transaction()
        finally:
            await producer.stop()
        await self._delete({partition: copying.begin})
        return copying.count

    async def _roll(self, topic: str, *, rolled: bool) -> None:
        """Let the next record begin a segment of its own: only whole segments are ever deleted."""
        if rolled:
            before = await self._topics.setting(topic, ROLL)
            self._before = None if before == AT_ONCE_ROLLED else before  # else an earlier run died here
            await self._topics.set(topic, segment_ms=AT_ONCE_ROLLED)
            await asyncio.sleep(ROLL_SECONDS)
        else:
            await self._topics.set(topic, segment_ms=self._before)

    async def _positions(self, partition: TopicPartition) -> dict[str, int]:
        found: dict[str, int] = {}
        for group in self._groups:
            place = (await self._admin.list_consumer_group_offsets(group)).get(partition)
            if place is not None and place.offset >= 0:
                found[group] = place.offset
        return found

    async def _starts(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if not partitions:
            return {}
        async with AIOKafkaConsumer(**client_settings(self._servers)) as consumer:
            starts: Mapping[TopicPartition, int] = await consumer.beginning_offsets(partitions)
            return starts

    async def _delete(self, begins: Mapping[TopicPartition, int]) -> None:
        if begins:
            await self._admin.delete_records({tp: RecordsToDelete(before_offset=at) for tp, at in begins.items()})


class Roll(Protocol):
    """Switches on and off that every record begins a segment."""

    async def __call__(self, topic: str, *, rolled: bool) -> None:
        """Switch it."""


class _Copying:
    """One partition on its way: where the copies begin, and where each group goes on."""

    def __init__(self, producer: AIOKafkaProducer, partition: TopicPartition, roll: Roll) -> None:
        self._producer = producer
        self._partition = partition
        self._roll = roll
        self._positions: dict[str, int] = {}
        self._new: dict[str, int] = {}
        self._next = 0
        self.begin = 0
        self.read = 0
        self.count = 0

    async def copy(self, consumer: AIOKafkaConsumer, decide: Decide, positions: Mapping[str, int]) -> None:
        self._positions = dict(positions)
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        # Not `seek_to_beginning`: where the client was about to begin by itself could still win over it.
        consumer.seek(self._partition, (await consumer.beginning_offsets([self._partition]))[self._partition])
        while await consumer.position(self._partition) < end:
            batches = await consumer.getmany(self._partition, timeout_ms=POLL_MILLISECONDS, max_records=AT_ONCE)
            records = [record for batch in batches.values() for record in batch if record.offset < end]
            self.read += len(records)
            await self._append([(record.offset, decide(record)) for record in records])
        if not self.count:  # nothing is left: an empty record keeps the place
            await self._first(PLACEHOLDER)
            self._next = self.begin

    def new_positions(self) -> dict[str, int]:
        """Return where the groups go on, and for the journal where the copies begin."""
        return {group: self._new.get(group, self._next) for group in self._positions} | {JOURNAL: self.begin}

    async def _append(self, records: Sequence[tuple[int, Kept | None]]) -> None:
        futures = []
        for offset, kept in records:
            if kept is None:
                continue
            if not self.count:
                place = await self._first(kept)
            else:
                futures.append(await self._send(kept))
                place = self.begin + self.count
            self.count += 1
            for group, position in self._positions.items():
                if position <= offset:
                    self._new.setdefault(group, place)
        for future in futures:
            await future
        self._next = self.begin + self.count

    async def _first(self, kept: Kept) -> int:
        await self._roll(self._partition.topic, rolled=True)
        try:
            self.begin = (await (await self._send(kept))).offset
        finally:
            await self._roll(self._partition.topic, rolled=False)
        return self.begin

    async def _send(self, kept: Kept) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self._producer.send(
            self._partition.topic,
            kept.value,
            key=kept.key,
            partition=self._partition.partition,
            headers=list(kept.headers),
        )
        return future
