"""How far each service is behind the topics it hears, in the cluster as it is now."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaTimeoutError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from deploy.adoption import group_id
from deploy.topics import Catalogue, Topic
from shared.kafka import client_settings

PROBE_MILLISECONDS: Final = 60
PROBES: Final = 200
COORDINATOR_SECONDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One group on one topic, all partitions together."""

    service: str
    topic: str
    group: str
    #: Where the group is, and where the topic ends for a reader of committed records.
    committed: int
    end: int
    #: Offsets between the two; nothing where only marks of transactions lie there.
    lag: int
    #: The same of each partition that the topic has.
    by_partition: Mapping[int, int]


class LagMeter:
    """Measures the lag of the groups `callout.<service>.<topic>`; as a context it is connected.

    Without `services`: those that have a position, whatever runs now. Without `topics`: all that are declared. How many
    partitions they have, and whether they are there at all, the cluster says, at every measure anew.
    """

    def __init__(
        self, bootstrap_servers: str, *, services: Iterable[str] = (), topics: Iterable[Topic] | None = None
    ) -> None:
        self._admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
        self._consumer = AIOKafkaConsumer(
            **client_settings(bootstrap_servers),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=64 * 1024,
            fetch_max_wait_ms=50,
        )
        self._services = frozenset(services)
        #: (partition, position) -> an end up to which there is no record.
        self._empty: dict[tuple[TopicPartition, int], int] = {}
        self._topics = [topic for topic in topics or Catalogue.load().topics if topic.heard_by]

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
            await self._consumer.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._consumer.stop()

    async def measure(self) -> list[Lag]:
        """Return the lag of every group now."""
        partitions = await self._partitions()
        live = [topic for topic in self._topics if topic.name in {partition.topic for partition in partitions}]
        groups = {(s, topic.name): await self._committed(s, topic) for topic in live for s in topic.heard_by}
        groups = {key: places for key, places in groups.items() if places or key[0] in self._services}
        ends = await self._consumer.end_offsets(partitions) if partitions else {}
        return [await self._lag(service, topic, places, ends) for (service, topic), places in groups.items()]

    async def _partitions(self) -> list[TopicPartition]:
        """Return the partitions of the cluster, and be ready to read from them."""
        wanted = {topic.name for topic in self._topics}
        partitions = [
            TopicPartition(topic["topic"], each["partition"])
            for topic in await self._admin.describe_topics()
            if topic["topic"] in wanted and not topic["error_code"]
            for each in topic["partitions"]
        ]
        if set(partitions) != self._consumer.assignment():
            # All at once: it learns of topics that it is asked for one by one ten times a second only.
            self._consumer.assign(partitions)
            self._consumer.pause(*partitions)
        return partitions

    @retry(
        # A cluster that never had a group makes the coordinators' topic at the first question.
        retry=retry_if_exception_type(GroupCoordinatorNotAvailableError),
        wait=wait_fixed(0.2),
        stop=stop_after_delay(COORDINATOR_SECONDS),
        reraise=True,
    )
    async def _committed(self, service: str, topic: Topic) -> dict[int, int]:
        offsets = await self._admin.list_consumer_group_offsets(group_id(service, topic.name))
        return {partition.partition: place.offset for partition, place in offsets.items() if place.offset >= 0}

    async def _lag(self, service: str, topic: str, places: dict[int, int], all_ends: dict[TopicPartition, int]) -> Lag:
        ends = {partition: end for partition, end in all_ends.items() if partition.topic == topic}
        behind = {p: places.get(p.partition, 0) for p, end in ends.items() if places.get(p.partition, 0) < end}
        unknown = {p: offset for p, offset in behind.items() if self._empty.get((p, offset)) != ends[p]}
        real = await self._with_records(unknown, ends)
        self._empty = self._empty | {(p, offset): ends[p] for p, offset in unknown.items() if p not in real}
        return Lag(
            service=service,
            topic=topic,
            group=group_id(service, topic),
            committed=sum(places.values()),
            end=sum(ends.values()),
            lag=sum(ends[partition] - behind[partition] for partition in real),
            by_partition={p.partition: ends[p] - behind[p] if p in real else 0 for p in sorted(ends)},
        )

    async def _with_records(
        self, behind: dict[TopicPartition, int], ends: dict[TopicPartition, int]
    ) -> set[TopicPartition]:
        """Return the partitions in which a record lies ahead: the end of a transaction is an offset, but no record."""
        found: set[TopicPartition] = set()
        open_ = set(behind)
        if not behind:
            return found
        for partition, offset in behind.items():
            self._consumer.seek(partition, offset)
        self._consumer.resume(*behind)
        for _ in range(PROBES):
            records = await self._consumer.getmany(*open_, timeout_ms=PROBE_MILLISECONDS)
            found |= {partition for partition, got in records.items() if got[0].offset < ends[partition]}
            open_ -= found
            open_ = {p for p in open_ if p not in records and await self._consumer.position(p) < ends[p]}
            if not open_:
                self._consumer.pause(*behind)
                return found
        raise KafkaTimeoutError("the broker does not hand over what lies between position and end")


def rates(before: Sequence[Lag], after: Sequence[Lag], seconds: float) -> dict[str, float]:
    """Return how many offsets a second each group went forward."""
    places: dict[str, int] = defaultdict(int, {lag.group: lag.committed for lag in before})
    return {lag.group: max(lag.committed - places[lag.group], 0) / seconds for lag in after if lag.group in places}
