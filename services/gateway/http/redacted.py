"""Reads the redacted topics of those tenants that somebody follows events for; each topic has one partition."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.gateway.http.readers import new_reader
from shared.contracts.catalogue import shared_topic
from shared.contracts.envelope import Record
from shared.errors import TransientError

log = structlog.get_logger()
POLL_MS: Final = 500
POLLED_MAX: Final = 2_000
HEARD_AT_ONCE: Final = 50
LOOK_SECONDS: Final = 5
"""So often it is looked whether a topic that was not there has been made."""


def partition_of(tenant_id: str) -> TopicPartition:
    """Return where a counterpart is told of the cases that are shared with it."""
    return TopicPartition(shared_topic(tenant_id), 0)


class Redacted:
    """One reader for all tenants that are followed for; `hear` is told each record."""

    def __init__(self, bootstrap_servers: str, hear: Callable[[Record], None]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._hear = hear
        self._followers: Counter[str] = Counter()
        self._positions: dict[TopicPartition, int] = {}
        self._asker: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._joining = asyncio.Lock()

    def position(self, tenant_id: str) -> int:
        """Return the offset of the next record that a tenant will be told; of a topic that is not there, the first."""
        return self._positions.get(partition_of(tenant_id), 0)

    async def join(self, tenant_id: str) -> None:
        """Read on for a tenant from now, if it is not read for already; `leave` ends it.

        Raises:
            TransientError: Kafka is away.
        """
        async with self._joining:
            if not self._followers[tenant_id]:
                try:
                    await self._look([tenant_id], from_beginning=False)
                except KafkaError as error:
                    raise TransientError(f"events cannot be followed: {type(error).__name__}") from error
            self._followers[tenant_id] += 1
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._read_on())

    def leave(self, tenant_id: str) -> None:
        """Read no more for one of a tenant's followers."""
        self._followers[tenant_id] -= 1
        if not self._followers[tenant_id]:
            del self._followers[tenant_id]
            self._positions.pop(partition_of(tenant_id), None)

    async def stop(self) -> None:
        """Read no more."""
        async with self._joining:
            if self._task is not None:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
            if self._asker is not None:
                await self._asker.stop()
            self._task = self._asker = None

    async def _look(self, tenants: list[str], *, from_beginning: bool) -> None:
        """Note where topics stand that are there by now."""
        if self._asker is None:
            asker = new_reader(self._bootstrap_servers)
            try:
                await asker.start()
            except BaseException:
                await asker.stop()
                raise
            self._asker = asker
        there = await self._asker.topics()
        found = [place for place in map(partition_of, tenants) if place.topic in there]
        ends = dict.fromkeys(found, 0) if from_beginning or not found else await self._asker.end_offsets(found)
        for place, end in ends.items():
            self._positions.setdefault(place, end)

    async def _read_on(self) -> None:
        reader = new_reader(self._bootstrap_servers)
        looked_at = asyncio.get_running_loop().time()
        try:
            await reader.start()
            while True:
                try:
                    if asyncio.get_running_loop().time() - looked_at > LOOK_SECONDS:
                        looked_at = asyncio.get_running_loop().time()
                        await self._look_again()
                    await self._read(reader)
                except Exception as error:  # noqa: BLE001 - it must go on
                    log.warning("shared_events_not_followed", reason=type(error).__name__)
                    await asyncio.sleep(1)
        finally:
            await reader.stop()

    async def _look_again(self) -> None:
        missing = [tenant for tenant in self._followers if partition_of(tenant) not in self._positions]
        if missing:
            await self._look(missing, from_beginning=True)

    async def _read(self, reader: AIOKafkaConsumer) -> None:
        wanted = set(self._positions)
        if not wanted:
            await asyncio.sleep(POLL_MS / 1000)
            return
        if wanted != reader.assignment():
            # A new assignment forgets where the partitions stood.
            reader.assign(sorted(wanted))
            for place in wanted:
                reader.seek(place, self._positions[place])
        for place, records in (await reader.getmany(timeout_ms=POLL_MS, max_records=POLLED_MAX)).items():
            for number, record in enumerate(records):
                if number % HEARD_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if place in self._positions:
                    self._positions[place] = record.offset + 1
                    self._hear(record)
