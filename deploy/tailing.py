"""Follows one topic: committed records from a place on; what is there already in the order of time."""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from heapq import heappop, heappush
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from deploy.moments import moment
from deploy.record_facts import RecordFacts
from deploy.topic_reader import STALLED_SECONDS, Positions
from shared.kafka import client_settings
from shared.records import read_all_headers

POLL_MILLISECONDS: Final = 200
BATCH: Final = 500


class Edge(StrEnum):
    """Where a topic begins and ends."""

    BEGINNING = "beginning"
    END = "end"


#: An edge, an offset of every partition, or a time.
Start = Edge | int | datetime


class NoSuchPartition(Exception):
    """The topic has no partition of this number."""


def parse_start(text: str, now: datetime) -> Start:
    """Read `beginning`, `end`, an offset, an instant or a span before `now`.

    Raises:
        ValueError: it is none of these.
    """
    if text in set(Edge):
        return Edge(text)
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return moment(text, now)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither beginning, end, an offset, a time nor an age as -10m") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records are shown; all of it has to fit."""

    tenant: str | None = None
    #: Ids and numbers of one case.
    case: frozenset[str] = frozenset()
    #: Patterns: of a whole type, or of its last word without the version.
    types: tuple[str, ...] = ()
    key: str | None = None

    def takes(self, facts: RecordFacts) -> bool:
        """Tell whether a record is shown."""
        return (
            (self.key is None or (facts.key is not None and fnmatchcase(facts.key, self.key)))
            and (not self.types or self._takes_type(facts.type_taken))
            and (self.tenant is None or self.tenant in facts.tenants)
            and (not self.case or not self.case.isdisjoint(facts.cases))
        )

    def _takes_type(self, type_: str | None) -> bool:
        if type_ is None:
            return False
        word = type_.rsplit(".v", 1)[0].rsplit(".", 1)[-1]
        return any(fnmatchcase(type_, pattern) or fnmatchcase(word, pattern) for pattern in self.types)


class Tail:
    """A reader of one topic; as a context it is connected."""

    def __init__(self, bootstrap_servers: str, topic: str, *, partitions: Collection[int] = ()) -> None:
        read_all_headers()
        self._topic = topic
        self._wanted = [TopicPartition(topic, number) for number in partitions]
        self._consumer = AIOKafkaConsumer(
            *(() if partitions else (topic,)),
            **client_settings(bootstrap_servers),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            if self._wanted:
                self._consumer.assign(self._wanted)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def records(
        self, start: Start, *, follow: bool, goes_on: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[ConsumerRecord]:
        """Yield what lies between `start` and the end, by time; then, if asked to follow, what comes, as it comes.

        `goes_on` is asked now and then while nothing comes.

        Raises:
            KafkaTimeoutError: the broker tells nothing of what is there already.
        """
        partitions = list(self._consumer.assignment())
        ends: Positions = await self._consumer.end_offsets(partitions)
        for partition, offset in (await self._starts(start, ends)).items():
            self._consumer.seek(partition, offset)
        async for record in self._there(ends):
            yield record
        while follow and goes_on():
            batches = await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=BATCH)
            for record in sorted((each for batch in batches.values() for each in batch), key=_by_time):
                yield record

    async def _starts(self, start: Start, ends: Positions) -> Positions:
        partitions = list(ends)
        match start:
            case Edge.END:
                return ends
            case datetime():
                stamp = max(int(start.timestamp() * 1000), 0)
                found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, stamp))
                return {tp: ends[tp] if place is None else place.offset for tp, place in found.items()}
        first: Positions = await self._consumer.beginning_offsets(partitions)
        return first if isinstance(start, Edge) else {tp: min(max(start, first[tp]), ends[tp]) for tp in partitions}

    async def _there(self, ends: Positions) -> AsyncIterator[ConsumerRecord]:
        """Yield what lies before `ends`, merged by time: a few records of each partition are held at a time."""
        held: dict[TopicPartition, deque[ConsumerRecord]] = {tp: deque() for tp in ends}
        heads: list[tuple[int, int, int]] = []
        empty = list(ends)
        while empty or heads:
            for partition in await self._fill(held, empty, ends):
                heappush(heads, _by_time(held[partition][0]))
            empty = []
            while heads and not empty:
                partition = TopicPartition(self._topic, heappop(heads)[1])
                yield held[partition].popleft()
                if held[partition]:
                    heappush(heads, _by_time(held[partition][0]))
                else:
                    empty.append(partition)

    async def _fill(
        self, held: dict[TopicPartition, deque[ConsumerRecord]], empty: Collection[TopicPartition], ends: Positions
    ) -> list[TopicPartition]:
        """Fetch until each of the empty partitions holds something or is at its end; return those that do hold."""
        left = await self._before(empty, ends)
        heard_at = time.monotonic()
        while left:
            batches = await self._consumer.getmany(*left, timeout_ms=POLL_MILLISECONDS, max_records=BATCH)
            for partition, records in batches.items():
                heard_at = time.monotonic()
                held[partition].extend(record for record in records if record.offset < ends[partition])
                if records[-1].offset >= ends[partition]:
                    self._consumer.seek(partition, ends[partition])
            left = [tp for tp in await self._before(left, ends) if not held[tp]]
            if time.monotonic() - heard_at > STALLED_SECONDS:
                raise KafkaTimeoutError(f"no records of {self._topic} for {STALLED_SECONDS} s")
        return [partition for partition in empty if held[partition]]

    async def _before(self, partitions: Collection[TopicPartition], ends: Positions) -> Sequence[TopicPartition]:
        return [tp for tp in partitions if await self._consumer.position(tp) < ends[tp]]


def _by_time(record: ConsumerRecord) -> tuple[int, int, int]:
    return record.timestamp, record.partition, record.offset
