"""Waits until views show what was accepted: told by this process's own writing, looked for where another writes.

What this process writes itself it is told of (`wrote`), so it asks the store once for all whose views a batch brought.
Of cases on other processes' partitions it asks at each tick, one question per tenant for all who wait.
"""

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from services.gateway.domain.view import Seen, Written, seen_of
from shared.errors import TransientError

log = structlog.get_logger()
TICK_SECONDS: Final = 0.01
OURS_SECONDS: Final = 0.1
"""What this process writes itself is looked for all the same, but seldom: its partition may have gone elsewhere."""
PAUSE_SECONDS: Final = 0.2
WRITTEN_MAX: Final = 10_000

Key = tuple[str, str]


class Shelf(Protocol):
    """What the watch asks of the views."""

    async def versions(self, tenant_id: str, case_ids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """Return `seq` and `version` of those of the cases that a tenant has views of."""

    async def newest(self, tenant_id: str, case_ids: Collection[str]) -> Mapping[str, Seen]:
        """Return those of the cases that a tenant has views of; one question for all."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """Somebody who waits, and for what; `look_at` is when the store is asked, if it was not heard of before."""

    key: Key
    seq: int
    version: int
    every: float
    look_at: float
    seen: asyncio.Future[Seen]

    def has(self, seq: int, version: int) -> bool:
        return seq >= self.seq and version >= self.version


def nobodys(_: str) -> bool:
    """Tell that this process writes no views."""
    return False


class Watch:
    """Looks at views for as long as somebody waits for one; `ours` tells of whose cases this process writes views."""

    def __init__(self, views: Shelf, ours: Callable[[str], bool] = nobodys) -> None:
        self._views = views
        self._ours = ours
        self._waiting: defaultdict[Key, list[_Waiting]] = defaultdict(list)
        self._written: OrderedDict[Key, tuple[int, int]] = OrderedDict()
        self._there: set[_Waiting] = set()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wrote(self, views: Iterable[Written]) -> None:
        """Hear of views that this process has written; whoever waits for one is shown it."""
        for tenant_id, case_id, seq, version, whole in views:
            key = tenant_id, case_id
            self._written[key] = max((seq, version), self._written.get(key, (0, 0)))
            self._written.move_to_end(key)
            there = [waiting for waiting in self._waiting.get(key, ()) if waiting.has(seq, version)]
            if whole is None:
                self._there.update(there)
            elif there:
                _tell(there, seen_of(whole, datetime.now(UTC)))
        while len(self._written) > WRITTEN_MAX:
            self._written.popitem(last=False)
        if self._there:
            self._hurry.set()

    async def reached(
        self, tenant_id: str, case_id: str, seq: int = 0, *, version: int = 0, owners: bool = True
    ) -> Seen:
        """Return a tenant's view of a case once it has come to an event, or to a version; bound it in time.

        `owners` tells that the tenant is the case's owner, whose views are made of `case.events.v1`.
        """
        key, loop = (tenant_id, case_id), asyncio.get_running_loop()
        ours = owners and self._ours(case_id)
        look_at = loop.time() + (OURS_SECONDS if ours else 0)
        waiting = _Waiting(key, seq, version, OURS_SECONDS if ours else TICK_SECONDS, look_at, loop.create_future())
        self._waiting[key].append(waiting)
        if waiting.has(*self._written.get(key, (-1, -1))):
            self._there.add(waiting)
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_on())
        try:
            return await waiting.seen
        finally:
            self._there.discard(waiting)
            self._waiting[key].remove(waiting)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _look_on(self) -> None:
        while self._waiting:
            self._hurry.clear()
            there, self._there = self._there, set()
            try:
                await self._show(there | await self._look(self._due() - there))
            except TransientError as error:
                log.warning("views_not_seen", reason=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
                self._there |= {waiting for waiting in there if not waiting.seen.done()}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._hurry.wait()

    def _due(self) -> set[_Waiting]:
        now = asyncio.get_running_loop().time()
        due = {waiting for each in self._waiting.values() for waiting in each if waiting.look_at <= now}
        for waiting in due:
            waiting.look_at = now + waiting.every
        return due

    async def _look(self, due: Collection[_Waiting]) -> set[_Waiting]:
        """Return those whose views have come as far as they wait for."""
        there = set()
        for tenant_id, each in _by_tenant(due).items():
            at = await self._views.versions(tenant_id, {waiting.key[1] for waiting in each})
            there |= {waiting for waiting in each if waiting.has(*at.get(waiting.key[1], (-1, -1)))}
        return there

    async def _show(self, there: Collection[_Waiting]) -> None:
        for tenant_id, each in _by_tenant(there).items():
            shown = await self._views.newest(tenant_id, {waiting.key[1] for waiting in each})
            for waiting in each:
                if waiting.key[1] in shown:
                    _tell((waiting,), shown[waiting.key[1]])


def _tell(waiting: Iterable[_Waiting], seen: Seen) -> None:
    for each in waiting:
        if not each.seen.done():
            each.seen.set_result(seen)


def _by_tenant(waiting: Iterable[_Waiting]) -> dict[str, list[_Waiting]]:
    found: defaultdict[str, list[_Waiting]] = defaultdict(list)
    for each in waiting:
        found[each.key[0]].append(each)
    return found
