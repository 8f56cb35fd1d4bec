"""What every service's process does: starts in order, shows its health, and stops without losing its place."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from shared.errors import CalloutError, TransientError
from shared.flow import Ear
from shared.health import HealthServer
from shared.monitoring import Monitor
from shared.ops import Operations
from shared.records import read_all_headers
from shared.settings import ServiceSettings
from shared.storage import Database

if TYPE_CHECKING:  # what it brings along is loaded only where tracing is on
    from shared.tracing import Tracing

log = structlog.get_logger()


def new_broker(settings: ServiceSettings) -> KafkaBroker:
    """Return a service's broker; it creates no topics and logs nothing of its own."""
    read_all_headers()
    return KafkaBroker(
        settings.kafka_bootstrap_servers,
        security=settings.of_broker(),
        logger=None,
        graceful_timeout=settings.drain_seconds,
        allow_auto_create_topics=False,
        metadata_max_age_ms=int(settings.metadata_refresh_seconds * 1000),
    )


class Part(Protocol):
    """Something a service starts before it listens and stops after.

    A part that hears or tells messages by itself names the topics in `hears` and `tells`: the AsyncAPI document is made
    of them. One that may be in `trouble` says so in words: the service is not ready then.
    """

    async def start(self) -> None:
        """Begin; return when ready."""

    async def stop(self) -> None:
        """End."""


@dataclass
class Service:
    """A service ready to run: its broker, its ears, its store and what else it is made of."""

    settings: ServiceSettings
    broker: KafkaBroker
    subscriptions: Sequence[Ear[Any]]
    database: Database
    operations: Operations
    before: Sequence[Part] = ()
    after: Sequence[Part] = ()
    listening: bool = field(default=False, init=False)
    port: int = field(default=0, init=False)
    monitor: Monitor = field(init=False)
    tracing: "Tracing | None" = field(init=False)

    def __post_init__(self) -> None:
        self.tracing = _open_tracing(self.settings)
        for subscription in self.subscriptions:
            subscription.tracing = self.tracing
        self.monitor = Monitor(
            self.operations,
            self.ready,
            self._reaches_database,
            self.subscriptions,
            interval_seconds=self.settings.metrics_interval_seconds,
            stuck_seconds=self.settings.stuck_seconds,
        )

    @property
    def name(self) -> str:
        """The service's name."""
        return self.settings.service

    async def run(self) -> bool:
        """Run until SIGTERM or SIGINT; then finish the round, give the partitions up and leave.

        Returns whether that was why it ended: false if it could not go on (the log and `ops.health.v1` say why).
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.set_exception_handler(_log_loop_error)
        server = HealthServer(
            self.settings, self.ready, service=self.name, refresh=self.monitor.show_lag, listens=self._listens
        )
        serving = asyncio.create_task(server.serve())
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping, serving), return_when=asyncio.FIRST_COMPLETED)
        failing = [asyncio.create_task(subscription.failed.wait()) for subscription in self.subscriptions]
        if starting.done() and not starting.exception():
            await asyncio.wait((stopping, serving, *failing), return_when=asyncio.FIRST_COMPLETED)
        failed = (starting.done() and starting.exception() is not None) or any(task.done() for task in failing)
        for task in (starting, *failing):
            task.cancel()
        await self._stop("could not go on" if failed else "told to stop")
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(serving, starting)
        return not failed

    async def ready(self) -> str | None:
        """Return why the service is not ready; nothing if it is."""
        if not self.listening:
            return _trouble(self.before) or "starting"
        try:
            await self.database.ping()
        except TransientError as error:  # the cause comes before what it brings: partitions that cannot be owned
            return str(error)
        waiting = [s.room.topic.name for s in self.subscriptions if not s.ready]
        if waiting:
            return f"partitions not owned: {', '.join(waiting)}"
        return _trouble(self.after)

    def _listens(self, port: int) -> None:
        self.port = port

    async def _reaches_database(self) -> bool:
        try:
            await self.database.ping()
        except TransientError:
            return False
        return True

    async def _start(self) -> None:
        patiently = AsyncRetrying(
            retry=retry_if_exception_type((KafkaError, CalloutError, OSError)),
            wait=wait_exponential_jitter(multiplier=0.2, max=5),
            before_sleep=_log_start,
        )
        for part in (self.operations, *self.before):
            await patiently(part.start)
        await patiently(self.broker.start)
        for part in self.after:
            await patiently(part.start)
        self.listening = True
        log.info("service_started")
        await self.operations.alarm(kind="started", details={"port": self.port})
        await self.monitor.start()

    async def _stop(self, reason: str) -> None:
        log.info("service_stopping", reason=reason)
        for part in reversed(self.after):
            await part.stop()
        # Both end by themselves, unless one is stuck; what it has not told comes again.
        await _in_time(self.broker.stop(), 2 * self.settings.drain_seconds)
        await _in_time(
            asyncio.gather(*(subscription.close() for subscription in self.subscriptions)), self.settings.drain_seconds
        )
        await self.monitor.stop()
        await self.operations.alarm(kind="stopped", reason=reason)
        for part in reversed(self.before):
            await part.stop()
        await self.operations.stop()
        await self.database.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        log.info("service_stopped")


def _trouble(parts: Sequence[Part]) -> str | None:
    return "; ".join(trouble for part in parts if (trouble := getattr(part, "trouble", None))) or None


def _open_tracing(settings: ServiceSettings) -> "Tracing | None":
    share = settings.traced_share()
    if share is None:
        return None
    from shared.tracing import Tracing

    log.info("tracing_is_on", share=share)
    return Tracing(settings.service, share=share)


async def _in_time(ending: Awaitable[Any], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ending
    except TimeoutError:
        log.warning("not_ended_in_time", seconds=seconds)


def _log_start(state: RetryCallState) -> None:
    reason = repr(state.outcome.exception()) if state.outcome else ""
    log.warning("start_will_be_tried_again", attempt=state.attempt_number, reason=reason)


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    level = log.debug if isinstance(error, KafkaError) else log.error
    level("loop_error", message=context.get("message"), error=type(error).__name__ if error else None)
