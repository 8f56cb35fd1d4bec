"""What a service tells operations, as well as it can: telling it must never hold up the work."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, stop_after_delay, wait_exponential_jitter

from shared.contracts import ops
from shared.contracts.catalogue import OPS_HEALTH, OPS_METRICS, Topic
from shared.contracts.envelope import Message, message
from shared.contracts.fields import Model
from shared.contracts.ids import fresh_id
from shared.kafka import client_settings
from shared.metrics import CLOCK_SKEW, HEALTH_REPORTS
from shared.version import instance, version

log = structlog.get_logger()
WAITING_MAX: Final = 1_000
GIVEN_UP_SECONDS: Final = 300
PROMPT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5


class Operations:
    """Says on `ops.health.v1` what happened to this process, and on `ops.metrics.v1` its figures.

    Whatever Kafka does not take is sent again for five minutes, then it is in the log alone. `heard` is told the
    brokers' time, whenever they tell it, and how many seconds ago that may have been.
    """

    tells = (OPS_HEALTH, OPS_METRICS)

    def __init__(
        self, service: str, bootstrap_servers: str, heard: Callable[[datetime, float], None] = lambda _, __: None
    ) -> None:
        self.service = service
        self._heard = heard
        self._producer: AIOKafkaProducer | None = None
        self._bootstrap_servers = bootstrap_servers
        self._sending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect."""
        # Not idempotent: such a producer may refuse everything after one failure, and the ids tell repetitions.
        producer = AIOKafkaProducer(**client_settings(self._bootstrap_servers), acks="all", request_timeout_ms=10_000)
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
        for task in self._sending:
            task.cancel()

    async def answered(self) -> bool:
        """Tell whether Kafka answers this process now, on connections that nothing else uses."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._producer is not None:
                    await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError):
            return False
        return self._producer is not None

    async def alarm(
        self,
        *,
        kind: str,
        partition: TopicPartition | None = None,
        offset: int | None = None,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Tell that something happened, one of the kinds of `HealthKind`; returns at once."""
        HEALTH_REPORTS.labels(service=self.service, kind=kind).inc()
        body = ops.Health(
            service=self.service,
            kind=kind,
            at=datetime.now(UTC),
            instance=instance(),
            version=version(),
            pid=os.getpid(),
            topic=partition.topic if partition else None,
            partition=partition.partition if partition else None,
            offset=offset,
            reason=reason,
            details=details,
        )
        self._tell(OPS_HEALTH, ops.HEALTH, body.at, body)

    async def tell_metrics(self, body: ops.Metrics) -> None:
        """Tell the figures; returns at once."""
        self._tell(OPS_METRICS, ops.METRICS, body.at, body)

    def _tell(self, topic: Topic, type_: str, at: datetime, body: Model) -> None:
        if len(self._sending) >= WAITING_MAX:
            log.warning("report_not_sent", topic=topic.name, reason="too many are waiting")
            return
        task = asyncio.create_task(self._send(topic, type_, at, body))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, topic: Topic, type_: str, at: datetime, body: Model) -> None:
        told = message(
            topic,
            type_=type_,
            id_=fresh_id(),
            source=f"/callout/{self.service}",
            time=at,
            value=body.model_dump_json(exclude_none=True).encode(),
            key=self.service,
        )
        patiently = AsyncRetrying(
            wait=wait_exponential_jitter(multiplier=0.5, max=10), stop=stop_after_delay(GIVEN_UP_SECONDS), reraise=True
        )
        try:
            await patiently(self._send_once, told)
        except Exception as error:  # noqa: BLE001 - what was to be told is in the log all the same
            log.warning("report_not_sent", topic=topic.name, reason=type(error).__name__)

    async def _send_once(self, told: Message) -> None:
        if self._producer is None:
            return
        before = time.time()
        sent = await self._producer.send_and_wait(told.topic, told.value, key=told.key, headers=list(told.headers))
        after = time.time()
        self._heard(datetime.fromtimestamp(sent.timestamp / 1000, UTC), after - before)
        if after - before < PROMPT_SECONDS:
            CLOCK_SKEW.labels(service=self.service).set(sent.timestamp / 1000 - (before + after) / 2)
