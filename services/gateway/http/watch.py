"""Waits until views show what was accepted: one question per tenant and tick for all who wait."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final, Protocol

import structlog

from shared.errors import TransientError

log = structlog.get_logger()
TICK_SECONDS: Final = 0.01
PAUSE_SECONDS: Final = 0.2

Reached = tuple[int, int]


class Versions(Protocol):
    """What the watch asks of the views."""

    async def versions(self, tenant_id: str, case_ids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """Return `seq` and `version` of those of the cases that a tenant has views of."""


class Watch:
    """Looks at views for as long as somebody waits for one."""

    def __init__(self, views: Versions) -> None:
        self._views = views
        self._waiting: dict[asyncio.Future[None], tuple[str, str, Reached]] = {}
        self._task: asyncio.Task[None] | None = None

    async def reached(self, tenant_id: str, case_id: str, seq: int = 0, *, version: int = 0) -> None:
        """Return when a tenant's view of a case has come to an event, or to a version; bound it in time."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = (tenant_id, case_id, (seq, version))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_on())
        try:
            await waiting
        finally:
            self._waiting.pop(waiting, None)

    async def _look_on(self) -> None:
        while self._waiting:
            try:
                await self._look()
            except TransientError as error:
                log.warning("views_not_seen", reason=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(TICK_SECONDS)

    async def _look(self) -> None:
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for tenant_id, case_id, _ in self._waiting.values():
            wanted[tenant_id].add(case_id)
        for tenant_id, case_ids in wanted.items():
            shown = await self._views.versions(tenant_id, case_ids)
            for waiting, (tenant, case_id, (seq, version)) in list(self._waiting.items()):
                at = shown.get(case_id, (-1, -1)) if tenant == tenant_id else (-1, -1)
                if at[0] >= seq and at[1] >= version and not waiting.done():
                    waiting.set_result(None)
