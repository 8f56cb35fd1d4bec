"""What the measures ask of Kafka: fill a topic, wait until a group has worked it off, read what was told."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

POLL_SECONDS = 0.2
PARTITIONS = 12
#: How many marks of transactions may follow a group's position: each of intake's producers leaves some.
MARKS_MAX = 1_000

Positions = Mapping[int, int]
Headers = Sequence[tuple[str, bytes]]


class TooSlow(AssertionError):
    """A group did not work its topic off in time."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One record to be sent."""

    key: bytes
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Told:
    """What was told on a topic in a while: how much, how large, and when the first and the last record was appended."""

    count: int = 0
    value_bytes: int = 0
    first_ms: int = 0
    last_ms: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)


class Kafka:
    """A cluster, as the measures see it."""

    def __init__(self, servers: str) -> None:
        self.servers = servers

    async def create(self, *topics: str) -> None:
        """Make topics as Callout's own are: 12 partitions, stamped by the broker."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        configs = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configs) for topic in topics])
        await admin.close()
        await asyncio.sleep(0.5)

    async def fill(self, topic: str, sendings: Iterable[Sending]) -> None:
        """Send records, pipelined, and wait until all are acknowledged."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.servers, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=256 * 1024
        )
        await producer.start()
        try:
            pending = [await producer.send(topic, s.value, key=s.key, headers=list(s.headers)) for s in sendings]
            await asyncio.gather(*pending)
        finally:
            await producer.stop()

    async def ends(self, topic: str, *, partitions: int = PARTITIONS) -> dict[int, int]:
        """Return where the partitions of a topic end."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(topic, p) for p in range(partitions)]
            return {tp.partition: end for tp, end in (await consumer.end_offsets(places)).items()}
        finally:
            await consumer.stop()

    async def worked_off(self, topic: str, group: str, *, seconds: float) -> None:
        """Wait until a group has committed everything that lies on a topic.

        Raises:
            TooSlow: if that takes longer.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers, group_id=group, enable_auto_commit=False, isolation_level="read_committed"
        )
        await consumer.start()
        try:
            async with asyncio.timeout(seconds):
                for partition, end in (await self.ends(topic)).items():
                    tp = TopicPartition(topic, partition)
                    while end and await _left(consumer, tp, end):
                        await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise TooSlow(f"{group} did not work {topic} off within {seconds:g} s") from None
        finally:
            await consumer.stop()

    async def told(self, topic: str, since: Positions) -> Told:
        """Return what was told on a topic since its partitions ended there."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers, enable_auto_commit=False, isolation_level="read_committed"
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            for tp in partitions:
                consumer.seek(tp, since[tp.partition])
            told = Told()
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        told.count += 1
                        told.value_bytes += len(record.value or b"")
                        told.first_ms = min(told.first_ms or record.timestamp, record.timestamp)
                        told.last_ms = max(told.last_ms, record.timestamp)
                        told.headers = [(name, text.decode()) for name, text in record.headers]
            return told
        finally:
            await consumer.stop()


async def _left(consumer: AIOKafkaConsumer, tp: TopicPartition, end: int) -> bool:
    """Tell whether records lie between a group's position and the end; marks of transactions are none."""
    committed = await consumer.committed(tp) or 0
    if not 0 < end - committed < MARKS_MAX:
        return committed < end
    consumer.assign([tp])
    consumer.seek(tp, committed)
    while await consumer.position(tp) < end:
        if (await consumer.getmany(tp, timeout_ms=100)).get(tp):
            return True
    return False
