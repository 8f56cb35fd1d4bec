"""Reads topics as everybody should: committed records only, up to a known place, without a group."""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from shared.kafka import client_settings
from shared.records import read_all_headers

BATCH: Final = 5_000
POLL_MILLISECONDS: Final = 200
#: A broker that is there answers sooner.
STALLED_SECONDS: Final = 30

Positions = dict[TopicPartition, int]


class TopicReader:
    """A reader of whole topics, from their beginning; as a context it is connected from entering to leaving."""

    def __init__(self, bootstrap_servers: str, *topics: str) -> None:
        read_all_headers()
        self._consumer = AIOKafkaConsumer(
            *topics,
            **client_settings(bootstrap_servers),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ends(self) -> Positions:
        """Return where the topics end for a reader of committed records, now."""
        ends: Positions = await self._consumer.end_offsets(list(self._consumer.assignment()))
        return ends

    async def starts(self, since: datetime | None = None) -> Positions:
        """Return where the topics begin, or where what was appended since an instant does (the end, if nothing was)."""
        partitions = list(self._consumer.assignment())
        if since is None:
            starts: Positions = await self._consumer.beginning_offsets(partitions)
            return starts
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
        ends = await self.ends()
        return {partition: ends[partition] if place is None else place.offset for partition, place in found.items()}

    async def skip_to(self, ends: Positions) -> None:
        """Read on from these places."""
        for partition, offset in ends.items():
            self._consumer.seek(partition, offset)

    async def read(self, ends: Positions) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Yield what lies between here and `ends`, in batches of one partition each; the next reading goes on there.

        Raises:
            KafkaTimeoutError: the broker tells nothing more.
        """
        heard_at = time.monotonic()
        left = await self._before(ends)
        while left:
            batches = await self._consumer.getmany(*left, timeout_ms=POLL_MILLISECONDS, max_records=BATCH)
            for partition, records in batches.items():
                heard_at = time.monotonic()
                if records[-1].offset >= ends[partition]:
                    self._consumer.seek(partition, ends[partition])
                    records = [record for record in records if record.offset < ends[partition]]
                if records:
                    yield records
                    heard_at = time.monotonic()  # what was done with them is no silence
            left = await self._before(ends)
            if time.monotonic() - heard_at > STALLED_SECONDS:
                raise KafkaTimeoutError(f"no records of {left[0].topic} for {STALLED_SECONDS} s")

    async def tail(self) -> Sequence[ConsumerRecord]:
        """Return what came since the last reading, after a moment's wait if nothing did."""
        batches = await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=BATCH)
        return [record for records in batches.values() for record in records]

    async def _before(self, ends: Positions) -> list[TopicPartition]:
        return [partition for partition, end in ends.items() if await self._consumer.position(partition) < end]
