"""A service's own view of `tenant.config.v1`: every process reads every record."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from shared.contracts import tenant
from shared.contracts.catalogue import TENANT_CONFIG

log = structlog.get_logger()
Changed = Callable[[str, str, str, Any | None], None]


class TenantConfig:
    """Reads the topic from its beginning and hands every valid change on.

    `changed(tenant, kind, name, body)` is called in the topic's order; a body of nothing means deleted. A record
    that cannot be read is passed over and logged: what was valid before stays in force.
    """

    hears = (TENANT_CONFIG,)

    def __init__(self, bootstrap_servers: str, changed: Changed) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._changed = changed
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read up to the end of the topic as it is now, then go on reading."""
        consumer = AIOKafkaConsumer(
            TENANT_CONFIG.name,
            bootstrap_servers=self._bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        try:
            await consumer.start()
            partitions = consumer.assignment()
            while not partitions:
                await asyncio.sleep(0.05)
                partitions = consumer.assignment()
            await self._catch_up(consumer, await consumer.end_offsets(list(partitions)))
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        self._task = asyncio.create_task(self._read_on(consumer))

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await self._consumer.stop()

    async def _catch_up(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            await self._take(consumer, timeout_ms=200)

    async def _read_on(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                await self._take(consumer, timeout_ms=1000)
            except Exception as error:  # noqa: BLE001 - the view must go on
                log.warning("config_not_read", reason=type(error).__name__)
                await asyncio.sleep(1)

    async def _take(self, consumer: AIOKafkaConsumer, *, timeout_ms: int) -> None:
        for records in (await consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                self._hear(record.key, record.value)

    def _hear(self, key: bytes | None, value: bytes | None) -> None:
        try:
            tenant_id, kind, name = (key or b"").decode().split("/", 2)
            model = tenant.KINDS.get(kind)
            if model is not None:
                self._changed(tenant_id, kind, name, None if value is None else model.model_validate_json(value))
        except (ValueError, ValidationError, orjson.JSONDecodeError) as error:
            log.warning("config_record_passed_over", reason=type(error).__name__)
