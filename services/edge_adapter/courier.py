"""The courier: brings messages to Kafka, many at a time, and comes back when all of them are there."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.contracts.envelope import Message
from shared.flow.teller import partitioner
from shared.kafka import client_settings

log = structlog.get_logger()
REQUEST_MS: Final = 10_000
LINGER_MS: Final = 2
BATCH_BYTES: Final = 256 * 1024
REQUEST_BYTES_MAX: Final = 2 * 1024 * 1024
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0


class Posted(NamedTuple):
    """Messages that were handed to a producer, and when; nothing in a future's stead: it could not be handed over."""

    producer: AIOKafkaProducer | None
    sent: Sequence[tuple[Message, "asyncio.Future[Any] | None"]]
    at: float


class Courier:
    """Sends with one idempotent producer; one that Kafka refused something is thrown away for a new one.

    A message that Kafka may or may not have is sent again: what counts once has an id that tells the repetition.
    `heard` is told the brokers' time whenever they tell it, and how many seconds ago that may have been.
    """

    def __init__(self, bootstrap_servers: str, heard: Callable[[datetime, float], None] = lambda _, __: None) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._heard = heard
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._ends: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: Kafka is away.
        """
        self._producer = await self._connected()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await _end(self._producer)
        self._producer = None
        for task in self._ends:
            task.cancel()

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has all of them, however long that takes."""
        await self.settle(await self.post(messages))

    async def post(self, messages: Sequence[Message]) -> Posted:
        """Send messages in order; `settle` returns when they are there."""
        producer, at = self._producer, time.monotonic()
        usable = producer
        sent: list[tuple[Message, asyncio.Future[Any] | None]] = []
        for message in messages:
            future = None
            if usable is not None:
                try:
                    future = await usable.send(
                        message.topic, message.value, key=message.key, headers=list(message.headers)
                    )
                except Exception as error:  # noqa: BLE001 - whatever it is, the message is not there yet
                    log.warning("kafka_not_reached", reason=type(error).__name__)
                    usable = None  # those after it must not overtake it
            sent.append((message, future))
        return Posted(producer, sent, at)

    async def settle(self, posted: Posted) -> None:
        """Return when Kafka has all that was posted; what it did not take is sent again until it does."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            futures = [future for _, future in posted.sent if future is not None]
            if futures:
                await asyncio.wait(futures)
            missing = [message for message, future in posted.sent if future is None or _failed(future)]
            if not missing:
                if futures:
                    appended = datetime.fromtimestamp(futures[-1].result().timestamp / 1000, UTC)
                    self._heard(appended, time.monotonic() - posted.at)
                return
            log.warning("kafka_did_not_take", messages=len(missing))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            await self._renew(posted.producer)
            posted = await self.post(missing)

    async def _renew(self, failed: AIOKafkaProducer | None) -> None:
        async with self._renewing:
            if self._producer is not failed:
                return
            self._producer = None
            if failed is not None:
                task = asyncio.create_task(_end(failed))
                self._ends.add(task)
                task.add_done_callback(self._ends.discard)
            with contextlib.suppress(KafkaError, OSError):
                self._producer = await self._connected()

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_MS,
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES_MAX,
            partitioner=partitioner,
        )
        try:
            await producer.start()
        except BaseException:
            await _end(producer)
            raise
        return producer


def _failed(future: "asyncio.Future[Any]") -> bool:
    return future.cancelled() or future.exception() is not None


async def _end(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(REQUEST_MS / 1000):
            await producer.stop()
