"""Leases: every session is held against the store every few seconds, and cut off when nobody can say it may go on."""

import asyncio
import time
from typing import Final

import structlog

from services.remote_session.relay import figures
from services.remote_session.relay.door import Door
from services.remote_session.relay.edges import Edge, Edges
from services.remote_session.relay.ledger import SessionLedger
from shared.errors import TransientError

log = structlog.get_logger()
RENEWED_SECONDS: Final = 5.0
CUT_SECONDS: Final = 15.0
AT_ONCE: Final = 50


class Leases:
    """Renews what the store says is live; what it does not, or could not for 15 s, is cut off."""

    def __init__(self, ledger: SessionLedger, door: Door, edges: Edges) -> None:
        self._ledger = ledger
        self._door = door
        self._edges = edges
        self._renewed: dict[str, float] = {}
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to renew."""
        self.task = asyncio.create_task(self._renew_on())

    async def stop(self) -> None:
        """Renew nothing more."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def renew(self, now: float) -> None:
        """Look once, however many devices there are, in the time after which it is looked again."""
        inside = [each for each in self._ledger.live.values() if each.id in self._door.inside]
        keys: dict[str, Edge | None] = {f"{each.tenant_id}/{each.device_id}": None for each in inside}
        keys |= {edge.key: edge for edge in self._edges.all()}
        room, ends = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop().time() + RENEWED_SECONDS
        await asyncio.gather(*(self._renew(key, edge, now, room, ends) for key, edge in keys.items()))
        for session_id in list(self._door.inside):
            if now - self._renewed.get(session_id, 0.0) > CUT_SECONDS - RENEWED_SECONDS:
                log.warning("session_cut", session=session_id)
                self._door.cut(session_id, figures.LEASE)
        known = self._ledger.live.keys() | self._door.inside.keys()
        self._renewed = {id_: at for id_, at in self._renewed.items() if id_ in known}

    async def _renew(self, key: str, edge: Edge | None, now: float, room: asyncio.Semaphore, ends: float) -> None:
        try:
            async with asyncio.timeout_at(ends), room:
                live = await self._ledger.leases(key)
                is_known = edge is None or await self._is_known(edge)
        except (TransientError, TimeoutError) as error:
            log.warning("lease_not_renewed", key=key, reason=type(error).__name__)
            return
        self._renewed |= dict.fromkeys(live, now)
        if edge is not None and not is_known:
            log.warning("edge_not_registered_any_more", key=key)
            edge.connection.abort()
        elif edge is not None:
            edge.tell({"do": "lease", "sessions": sorted(live)})

    async def _is_known(self, edge: Edge) -> bool:
        """Tell whether the registry still has the key by which a device was let in."""
        return edge.registered is None or edge.registered == await self._ledger.session_key(edge.key)

    async def _renew_on(self) -> None:
        while True:
            began = time.monotonic()
            await self.renew(began)
            await asyncio.sleep(max(0.0, RENEWED_SECONDS - (time.monotonic() - began)))
