"""Watches one process from inside: tells when it cannot work, what does not get on, and its figures once a minute."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from shared import metrics
from shared.contracts.ops import HealthKind
from shared.flow import Ear
from shared.flow.standing import Place
from shared.minutes import Minutes
from shared.ops import Operations
from shared.version import version

log = structlog.get_logger()
LOOK_SECONDS: Final = 2
UNREADY_SECONDS: Final = 6
"""A rebalance is over sooner; what lasts longer is told."""
LOST_SECONDS: Final = 180
"""So long an ear may be without its partitions while Kafka and MongoDB answer; then a new process is the better one."""


class Readiness:
    """Tells a passing unreadiness, as a rebalance is one, from one that operations should hear of. Pure."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False

    def look(self, why_not: str | None, now: float) -> tuple[HealthKind, float] | None:
        """Return what is to be told now, and after how many seconds of unreadiness."""
        if why_not is None:
            seconds = now - (now if self._since is None else self._since)
            told, self._since, self._told = self._told, None, False
            return (HealthKind.READY, seconds) if told else None
        self._since = now if self._since is None else self._since
        if self._told or now - self._since < UNREADY_SECONDS:
            return None
        self._told = True
        return HealthKind.UNREADY, now - self._since


class Progress:
    """Finds partitions that have something to do and do not get on. Pure."""

    def __init__(self, after_seconds: float) -> None:
        self._after_seconds = after_seconds
        self._moved: dict[TopicPartition, tuple[int, float]] = {}
        self._told: set[TopicPartition] = set()

    def look(self, places: dict[TopicPartition, Place], now: float) -> list[tuple[TopicPartition, Place, float]]:
        """Return the partitions that are found stuck now, where they stand and for how many seconds, each once."""
        found = []
        for partition, place in places.items():
            position, since = self._moved.get(partition, (-1, now))
            # Trouble moves a partition back: only what lies ahead of all it ever reached is progress.
            if place.position > position or not place.lag:
                self._moved[partition] = (max(place.position, position), now)
                self._told.discard(partition)
            elif now - since >= self._after_seconds and partition not in self._told:
                self._told.add(partition)
                found.append((partition, place, now - since))
        return found

    def keep(self, partitions: set[TopicPartition]) -> None:
        """Forget all others: they are somebody else's now."""
        self._moved = {tp: moved for tp, moved in self._moved.items() if tp in partitions}
        self._told &= partitions


class Losses:
    """Finds ears that have been without their partitions for too long, though nothing was in their way. Pure."""

    def __init__(self, after_seconds: float) -> None:
        self._after_seconds = after_seconds
        self._since: dict[str, float] = {}

    def look(self, lost: Collection[str], now: float, *, explained: bool) -> list[str]:
        """Return who has been lost for too long; what is explained, by servers that are away, begins anew."""
        self._since = {} if explained else {name: self._since.get(name, now) for name in lost}
        return [name for name, since in self._since.items() if now - since >= self._after_seconds]


class Monitor:
    """Looks at a service every two seconds, and tells its figures at every interval."""

    def __init__(
        self,
        operations: Operations,
        ready: Callable[[], Awaitable[str | None]],
        reaches: Callable[[], Awaitable[bool]],
        subscriptions: Sequence[Ear[Any]],
        *,
        interval_seconds: float,
        stuck_seconds: float,
        lost_seconds: float = LOST_SECONDS,
    ) -> None:
        self._operations = operations
        self._ready = ready
        self._reaches = reaches
        self._subscriptions = subscriptions
        self._interval_seconds = interval_seconds
        self._stuck_seconds = stuck_seconds
        self._readiness = Readiness()
        self._progress = Progress(stuck_seconds)
        self._losses, self._lost_seconds = Losses(lost_seconds), lost_seconds
        self._is_ready = False
        self._tasks: list[asyncio.Task[None]] = []
        metrics.prepare(operations.service, version())
        self._minutes = Minutes(operations.service)

    async def start(self) -> None:
        """Begin to look."""
        looks = {
            self._look: LOOK_SECONDS,
            self._look_at_progress: min(10, self._stuck_seconds / 4),
            self._look_for_lost: min(10, self._lost_seconds / 4),
            self.tell: self._interval_seconds,
        }
        self._tasks = [asyncio.create_task(_every(seconds, look)) for look, seconds in looks.items()]

    async def stop(self) -> None:
        """Look no more, and tell the figures that are not told yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.tell()

    async def show_lag(self) -> dict[TopicPartition, Place]:
        """Bring the figures that change by themselves up to date; return where the partitions stand."""
        shown = await asyncio.gather(*(subscription.show_lag() for subscription in self._subscriptions))
        return {partition: place for places in shown for partition, place in places.items()}

    async def tell(self) -> None:
        """Tell the figures since the last time."""
        await self.show_lag()
        await self._operations.tell_metrics(self._minutes.take(ready=self._is_ready))

    async def _look(self) -> None:
        why_not = await self._ready()
        self._is_ready = why_not is None
        metrics.READY.labels(service=self._operations.service).set(self._is_ready)
        told = self._readiness.look(why_not, time.monotonic())
        if told is not None:
            kind, seconds = told
            log.warning(f"service_{kind}", reason=why_not, seconds=round(seconds, 1))
            await self._operations.alarm(kind=kind.value, reason=why_not, details={"seconds": round(seconds, 1)})

    async def _look_at_progress(self) -> None:
        places = await self.show_lag()
        self._progress.keep({tp for subscription in self._subscriptions for tp in subscription.units})
        for partition, place, seconds in self._progress.look(places, time.monotonic()):
            reason = f"no record was worked off for {seconds:.0f} s"
            log.error("partition_stuck", topic=partition.topic, partition=partition.partition, lag=place.lag)
            await self._operations.alarm(
                kind=HealthKind.STUCK.value,
                partition=partition,
                offset=place.position,
                reason=reason,
                details={"lag": place.lag, "seconds": round(seconds, 1)},
            )

    async def _look_for_lost(self) -> None:
        """End a process whose ears do not find back to their partitions; who runs it starts a new one."""
        ears = {each.group: each for each in self._subscriptions if each.lost}
        explained = bool(ears) and not (await self._operations.answered() and await self._reaches())
        for group in self._losses.look(ears.keys(), time.monotonic(), explained=explained):
            reason = f"no partitions of {ears[group].room.topic.name} for {self._lost_seconds:.0f} s: a new process may"
            log.error("ear_lost", group=group, reason=reason)
            await self._operations.alarm(kind=HealthKind.STUCK.value, reason=reason)
            ears[group].failed.set()


async def _every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await look()
        except Exception as error:  # noqa: BLE001 - whoever watches must go on watching
            log.warning("monitor_will_look_again", look=look.__name__, reason=type(error).__name__)
