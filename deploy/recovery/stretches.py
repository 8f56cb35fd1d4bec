"""Reads several topics as one, in the order of time, a stretch at a time."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from shared.kafka import client_settings

AT_ONCE: Final = 1_000
POLL_MILLISECONDS: Final = 200
POLLS_MAX: Final = 150
FETCH_BYTES: Final = 1024 * 1024


class Stretches:
    """A reader of committed records from some places up to others; as a context it is connected."""

    def __init__(
        self, bootstrap_servers: str, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> None:
        self._consumer = AIOKafkaConsumer(
            **client_settings(bootstrap_servers),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        self._starts = dict(starts)
        self._ends = {partition: end for partition, end in ends.items() if starts.get(partition, 0) < end}
        self._held: dict[TopicPartition, deque[ConsumerRecord]] = {partition: deque() for partition in self._ends}

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            self._consumer.assign(list(self._ends))
            for partition in self._ends:
                self._consumer.seek(partition, self._starts.get(partition, 0))
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def next_at(self) -> int | None:
        """Return when the next record was appended, in milliseconds; nothing if none is left."""
        await self._fill({partition for partition, held in self._held.items() if not held})
        return min((held[0].timestamp for held in self._held.values()), default=None)

    async def until(self, moment: int) -> list[Any]:
        """Return the records appended before a moment that were not returned yet, in the order of time."""
        found: list[Any] = []
        asked = set(self._held)
        while asked:
            emptied = set()
            for partition in asked:
                held = self._held[partition]
                while held and held[0].timestamp < moment:
                    found.append(held.popleft())
                if not held:
                    emptied.add(partition)
            await self._fill(emptied)
            asked = emptied & self._held.keys()
        return sorted(found, key=lambda record: record.timestamp)

    async def _fill(self, partitions: set[TopicPartition]) -> None:
        """Fetch until each of these partitions holds something; one that has nothing more is no longer asked."""
        for _ in range(POLLS_MAX):
            for partition in [partition for partition in partitions if not self._held[partition]]:
                if await self._consumer.position(partition) >= self._ends[partition]:
                    del self._held[partition]
            partitions = {partition for partition in partitions & self._held.keys() if not self._held[partition]}
            if not partitions:
                return
            batches = await self._consumer.getmany(*partitions, timeout_ms=POLL_MILLISECONDS, max_records=AT_ONCE)
            for partition, records in batches.items():
                self._held[partition].extend(each for each in records if each.offset < self._ends[partition])
        raise KafkaTimeoutError(f"no records of {next(iter(partitions)).topic}")
