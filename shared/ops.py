"""What a service tells operations, as well as it can: an alarm must never hold up the work."""

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from shared.contracts import ops
from shared.contracts.catalogue import OPS_HEALTH
from shared.contracts.envelope import message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import fresh_id

log = structlog.get_logger()


class Operations:
    """Says on `ops.health.v1` what happened to this process."""

    tells = (OPS_HEALTH,)

    def __init__(self, service: str, bootstrap_servers: str) -> None:
        self._service = service
        self._producer: AIOKafkaProducer | None = None
        self._bootstrap_servers = bootstrap_servers
        self._sending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=True, request_timeout_ms=10_000
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Send what is waiting, for three seconds at most, and disconnect."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(3):
                if self._sending:
                    await asyncio.wait(self._sending)
                if self._producer is not None:
                    await self._producer.stop()

    async def alarm(
        self,
        *,
        kind: str,
        partition: TopicPartition | None = None,
        offset: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Tell that something happened; returns at once."""
        body: dict[str, Any] = {"service": self._service, "kind": kind, "at": rfc3339(datetime.now(UTC))}
        body["pid"] = os.getpid()
        if partition is not None:
            body |= {"topic": partition.topic, "partition": partition.partition}
        body |= {name: value for name, value in (("offset", offset), ("reason", reason)) if value is not None}
        task = asyncio.create_task(self._send(body))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, body: dict[str, Any]) -> None:
        if self._producer is None:
            return
        told = message(
            OPS_HEALTH,
            type_=ops.HEALTH,
            id_=fresh_id(),
            source=f"/callout/{self._service}",
            time=datetime.now(UTC),
            value=orjson.dumps(body),
            key=self._service,
        )
        try:
            await self._producer.send_and_wait(told.topic, told.value, key=told.key, headers=list(told.headers))
        except Exception as error:  # noqa: BLE001 - the alarm is in the log all the same
            log.warning("alarm_not_sent", kind=body["kind"], reason=type(error).__name__)
