"""What became of deliveries, told on `notification.results.v1`: at least once, each with an id that stays the same."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.notification.domain.delivery import Delivery, DeliveryState
from services.notification.store import Deliveries
from shared.contracts.catalogue import NOTIFICATION_RESULTS
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import rfc3339, utc_milliseconds
from shared.contracts.ids import derived_id
from shared.contracts.notices import result_type
from shared.contracts.words import NoticeChannel
from shared.errors import TransientError
from shared.flow.teller import partitioner
from shared.kafka import client_settings

log = structlog.get_logger()
SOURCE: Final = "/callout/notification"
SWEEP_SECONDS: Final = 2
UNTOLD_SECONDS: Final = 5
"""What was not told for so long is told by whoever looks next."""
SWEPT_MAX: Final = 1000
DEFERRED: Final = "deferred"


class Results:
    """Tells what became of deliveries; what a dead process did not come to tell is told by whoever looks next."""

    tells = (NOTIFICATION_RESULTS,)

    def __init__(self, bootstrap_servers: str, deliveries: Deliveries) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._deliveries = deliveries
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and begin to look for what was not told."""
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers), acks="all", enable_idempotence=True, partitioner=partitioner
        )
        await producer.start()
        self._producer = producer
        self._task = asyncio.create_task(self._sweep())

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

    async def tell(self, judged: Sequence[Delivery]) -> None:
        """Tell what became of deliveries; what cannot be told now is told later."""
        if self._producer is None or not judged:
            return
        try:
            sent = [await self._send(self._producer, result(each)) for each in judged]
            await asyncio.gather(*sent)
            await self._deliveries.told(judged)
        except (KafkaError, TransientError) as error:
            log.warning("results_will_be_told_later", reason=type(error).__name__, number=len(judged))

    @staticmethod
    async def _send(producer: AIOKafkaProducer, told: Message) -> "asyncio.Future[Any]":
        sending: asyncio.Future[Any] = await producer.send(
            told.topic, told.value, key=told.key, headers=list(told.headers)
        )
        return sending

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                before = datetime.now(UTC) - timedelta(seconds=UNTOLD_SECONDS)
                await self.tell(await self._deliveries.untold(before, SWEPT_MAX))
            except Exception as error:  # noqa: BLE001 - it must go on
                log.warning("untold_results_not_found", reason=type(error).__name__)


def result(delivery: Delivery) -> Message:
    """Return what is told of a delivery as it stands."""
    name = DEFERRED if delivery.state is DeliveryState.WAITING else delivery.state.value
    at = utc_milliseconds(delivery.done_at or datetime.now(UTC))
    body: dict[str, Any] = {
        "delivery_id": delivery.id,
        "tenant_id": delivery.tenant_id,
        "recipient": delivery.recipient,
        "channel": delivery.channel.value,
        "topic": delivery.topic.value,
        "event": delivery.event,
        "at": rfc3339(at),
        "attempts": delivery.attempts,
        "repeats": delivery.repeats,
        "case_id": delivery.case_id,
        "number": delivery.number,
        "due_at": rfc3339(utc_milliseconds(delivery.due_at)) if name == DEFERRED else None,
        "code": delivery.code,
        "reason": delivery.reason,
        "folded_into": delivery.folded_into,
        "notice": delivery.notice if delivery.channel is NoticeChannel.IN_APP and delivery.notice else None,
    }
    return message(
        NOTIFICATION_RESULTS,
        type_=result_type(name),
        id_=derived_id("result", delivery.id, rfc3339(utc_milliseconds(delivery.created_at)), delivery.attempts, name),
        source=SOURCE,
        time=at,
        value=encode({name: value for name, value in body.items() if value is not None}),
        key=f"{delivery.tenant_id}/{delivery.recipient}",
        tenant=delivery.tenant_id,
        subject=delivery.case_id,
    )
