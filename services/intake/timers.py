"""Intake's clock: sends a wake for every key that time has something to do for."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from aiokafka import AIOKafkaProducer

from shared.contracts.catalogue import INTAKE_TIMERS
from shared.contracts.envelope import message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.intake import WAKE
from shared.flow import Subscription
from shared.flow.teller import partitioner
from shared.storage import Documents

log = structlog.get_logger()
SOURCE: Final = "/callout/intake"
AT_ONCE: Final = 1000
SAID_FOR: Final = timedelta(seconds=30)


class Clock:
    """Looks for keys that are due; only the process that owns partition 0 of the timers does, so that one does.

    A wake that is sent twice, by two processes or again after half a minute, finds nothing left to do.
    """

    tells = (INTAKE_TIMERS,)

    def __init__(
        self, timers: Subscription[Any], documents: Documents, bootstrap_servers: str, *, interval_seconds: float
    ) -> None:
        self._timers = timers
        self._documents = documents
        self._bootstrap_servers = bootstrap_servers
        self._interval_seconds = interval_seconds
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None
        self._said: dict[tuple[str, datetime], datetime] = {}

    async def start(self) -> None:
        """Begin to look."""
        await self._documents.index("wake_at", sparse=True)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=True, partitioner=partitioner
        )
        await producer.start()
        self._producer = producer
        self._task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._producer is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(3):
                    await self._producer.stop()

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            if not self._timers.owns(0):
                continue
            try:
                await self._look(datetime.now(UTC))
            except Exception as error:  # noqa: BLE001 - the clock must go on
                log.warning("clock_will_look_again", reason=type(error).__name__)

    async def _look(self, now: datetime) -> None:
        self._said = {place: at for place, at in self._said.items() if now - at < SAID_FOR}
        due = await self._documents.query(
            {"wake_at": {"$lte": now}}, sort="wake_at", limit=AT_ONCE, fields=("tenant_id", "dedup_key", "wake_at")
        )
        for found in due:
            place = (found["_id"], found["wake_at"])
            if place not in self._said:
                self._said[place] = now
                await self._wake(found["tenant_id"], found["dedup_key"], found["wake_at"], now)

    async def _wake(self, tenant_id: str, dedup_key: str, due_at: datetime, now: datetime) -> None:
        if self._producer is None:
            return
        told = message(
            INTAKE_TIMERS,
            type_=WAKE,
            id_=derived_id("wake", tenant_id, dedup_key, rfc3339(due_at), rfc3339(now)),
            source=SOURCE,
            time=now,
            value=orjson.dumps({"tenant_id": tenant_id, "dedup_key": dedup_key, "due_at": rfc3339(due_at)}),
            key=f"{tenant_id}/{dedup_key}",
            tenant=tenant_id,
        )
        await self._producer.send(told.topic, told.value, key=told.key, headers=list(told.headers))
