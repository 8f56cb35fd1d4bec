"""An ear for the redacted topics of all counterparts: one topic for each, and more as time goes on."""

import asyncio
import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared.contracts.catalogue import SHARED_EVENTS
from shared.contracts.envelope import read
from shared.errors import TransientError, Unreadable
from shared.flow.projection import Heard
from shared.flow.settings import heartbeat_seconds
from shared.kafka import client_settings
from shared.metrics import FlowFigures
from shared.records import read_all_headers

log = structlog.get_logger()
BEFORE, BEHIND = SHARED_EVENTS.name.split("<tenant>")
PATTERN: Final = "^" + re.escape(SHARED_EVENTS.name).replace("<tenant>", "[^.]+") + "$"
POLL_MS: Final = 1000
PAUSE_SECONDS: Final = 1


def counterpart_of(topic: str) -> str:
    """Return the tenant that a redacted topic is for."""
    return topic.removeprefix(BEFORE).removesuffix(BEHIND)


class CounterpartEar(ABC):
    """Hears the topics of all counterparts; a new one as soon as the cluster's topics are looked at again.

    What cannot be read is passed over and logged: workflow alone writes there, and has the case itself.
    """

    hears = (SHARED_EVENTS,)
    service: ClassVar[str]

    def __init__(self, bootstrap_servers: str, *, refresh_seconds: float, session_timeout_ms: int) -> None:
        self._group = f"callout.{self.service}.{SHARED_EVENTS.name}"
        self._settings: dict[str, Any] = {
            **client_settings(bootstrap_servers),
            "metadata_max_age_ms": int(refresh_seconds * 1000),
            "session_timeout_ms": session_timeout_ms,
            "heartbeat_interval_ms": int(heartbeat_seconds(session_timeout_ms / 1000) * 1000),
        }
        self._figures = FlowFigures(self.service, SHARED_EVENTS.name)
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write down what a batch says; it may come again, whole or in part.

        Raises:
            TransientError: if the store is away; the batch is tried again.
        """

    async def start(self) -> None:
        """Begin to hear."""
        read_all_headers()
        consumer = AIOKafkaConsumer(
            group_id=self._group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            **self._settings,
        )
        consumer.subscribe(pattern=PATTERN)
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        self._task = asyncio.create_task(self._listen(consumer))

    async def stop(self) -> None:
        """Hear no more: what is not committed comes again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await self._consumer.stop()
        self._task = self._consumer = None

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=POLL_MS)
                records = list(chain.from_iterable(batches.values()))
                if records:
                    await self._keep(records)
                    await consumer.commit({tp: batch[-1].offset + 1 for tp, batch in batches.items()})
                await self._show_lag(consumer)
            except Exception as error:  # noqa: BLE001 - the service must go on
                log.warning("shared_events_not_read", reason=type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
                await self._go_back(consumer)

    async def _keep(self, records: Sequence[Any]) -> None:
        started = time.perf_counter()
        batch = [event for record in records if (event := _heard(record)) is not None]
        while True:
            try:
                await self.keep(batch)
                break
            except TransientError as error:
                log.warning("batch_will_be_tried_again", group=self._group, reason=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
        self._figures.count_round(len(records), len(records), time.perf_counter() - started)
        self._figures.count_delays(records)

    async def _show_lag(self, consumer: AIOKafkaConsumer) -> None:
        """Show how far all topics together are behind; each has one partition."""
        places = [(consumer.highwater(tp) or 0, await consumer.position(tp)) for tp in consumer.assignment()]
        behind = sum(max(0, end - position) for end, position in places)
        self._figures.show_lag({0: behind}, len(places), len(places))

    async def _go_back(self, consumer: AIOKafkaConsumer) -> None:
        with contextlib.suppress(KafkaError):
            for partition in consumer.assignment():
                consumer.seek(partition, await consumer.committed(partition) or 0)


def _heard(record: Any) -> Heard | None:  # noqa: ANN401 - a record
    try:
        incoming = read(SHARED_EVENTS, record)
    except Unreadable as error:
        log.warning("shared_event_passed_over", topic=record.topic, offset=record.offset, reason=error.reason)
        return None
    return None if incoming is None else Heard(record, incoming)
