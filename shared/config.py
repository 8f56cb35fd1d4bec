"""A service's own view of `tenant.config.v1`: every process reads every record."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.catalogue import TENANT_CONFIG
from shared.contracts.envelope import Record, appended_at
from shared.errors import TransientError
from shared.kafka import client_settings
from shared.tenancy import NEVER, Tenancy, View

log = structlog.get_logger()
Shown = TypeVar("Shown", covariant=True)
CATCH_UP_SECONDS: Final = 10
POLL_MS: Final = 1000


class Tenants(Protocol[Shown]):
    """What rooms ask about tenants."""

    def of(self, tenant_id: str, as_of: datetime) -> Shown:
        """Return what a tenant had set at a moment."""

    async def catch_up(self, until: datetime) -> None:
        """Return when every change appended up to a moment is known."""


class TenantConfig(Generic[View]):
    """Reads the topic from its beginning and goes on reading; what cannot be read is passed over and logged.

    `heard` is told each moment that is asked for: the time of a record, by the brokers' clock.
    """

    hears = (TENANT_CONFIG,)

    def __init__(
        self,
        bootstrap_servers: str,
        tenancy: Tenancy[View],
        heard: Callable[[datetime], None] = lambda _at: None,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._heard = heard
        self._tenancy = tenancy
        self._reader: AIOKafkaConsumer | None = None
        self._asker: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._read = asyncio.Condition()
        self._through = NEVER
        self._wanted = NEVER
        self._next_check: asyncio.Future[None] | None = None

    def of(self, tenant_id: str, as_of: datetime) -> View:
        """Return what a tenant had set at a moment."""
        return self._tenancy.of(tenant_id, as_of)

    async def catch_up(self, until: datetime) -> None:
        """Return when every change appended up to `until`, the time of a record at hand, is known.

        Asks the brokers how far the topic goes: once for all who ask at the same time, and not at all for a moment
        that an earlier answer covers.

        Raises:
            TransientError: if that cannot be known now.
        """
        self._heard(until)
        if until <= self._through:
            return
        self._wanted = max(self._wanted, until)
        if self._next_check is None:
            self._next_check = asyncio.ensure_future(self._check())
        await asyncio.shield(self._next_check)

    async def start(self) -> None:
        """Read up to the end of the topic as it is now, then go on reading."""
        # A pending fetch holds back everything else on its connection: ends are asked for on another.
        self._reader, self._asker = self._consumer(TENANT_CONFIG.name), self._consumer()
        try:
            await asyncio.gather(self._reader.start(), self._asker.start())
            partitions = self._reader.assignment()
            while not partitions:
                await asyncio.sleep(0.05)
                partitions = self._reader.assignment()
            self._task = asyncio.create_task(self._read_on(self._reader))
            await self._reach(await self._ends())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop reading."""
        for task in (self._task, self._next_check):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, TransientError):
                    await task
        for consumer in (self._reader, self._asker):
            if consumer is not None:
                await consumer.stop()
        self._task = self._next_check = self._reader = self._asker = None

    def _consumer(self, *topics: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            *topics,
            **client_settings(self._bootstrap_servers),
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )

    async def _check(self) -> None:
        # By now all units of a round have asked; who asks from here on wants the next answer.
        through, self._next_check = self._wanted, None
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._reach(await self._ends())
        except (KafkaError, TimeoutError) as error:
            raise TransientError(f"tenant.config.v1 cannot be followed: {type(error).__name__}") from error
        self._through = max(self._through, through)

    async def _ends(self) -> Mapping[TopicPartition, int]:
        if self._reader is None or self._asker is None:
            raise TransientError("tenant.config.v1 is not read")
        ends: Mapping[TopicPartition, int] = await self._asker.end_offsets(list(self._reader.assignment()))
        return ends

    async def _reach(self, ends: Mapping[TopicPartition, int]) -> None:
        if not self._is_at(ends):
            async with self._read:
                await self._read.wait_for(lambda: self._is_at(ends))

    def _is_at(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all(self._positions.get(partition, 0) >= end for partition, end in ends.items())

    async def _read_on(self, reader: AIOKafkaConsumer) -> None:
        while True:
            try:
                await self._take(reader)
            except Exception as error:  # noqa: BLE001 - the view must go on
                log.warning("config_not_read", reason=type(error).__name__)
                await asyncio.sleep(1)

    async def _take(self, reader: AIOKafkaConsumer) -> None:
        for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                self._hear(record)
        for partition in reader.assignment():
            self._positions[partition] = await reader.position(partition)
        async with self._read:
            self._read.notify_all()

    def _hear(self, record: Record) -> None:
        try:
            tenant_id, kind, name = (record.key or b"").decode().split("/", 2)
            self._tenancy.hear(tenant_id, kind, name, record.value, appended_at(record))
        except ValueError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("config_record_passed_over", reason=type(error).__name__, **place)
