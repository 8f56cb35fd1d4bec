"""The delivery half: lanes that have something due are taken in turn, so that none waits for another."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from services.notification import figures
from services.notification.run import Turns
from services.notification.store import Claim, Deliveries
from shared.contracts.ids import fresh_id
from shared.errors import TransientError

log = structlog.get_logger()
CLAIMED_MAX: Final = 50


class Dispatcher:
    """Takes lanes and works on many of them side by side."""

    def __init__(
        self,
        deliveries: Deliveries,
        turns: Turns,
        *,
        lanes_at_once: int,
        poll_seconds: float,
        lease_seconds: float,
        drain_seconds: float,
    ) -> None:
        self._deliveries = deliveries
        self._turns = turns
        self._lanes_at_once = lanes_at_once
        self._poll_seconds = poll_seconds
        self._lease_seconds = lease_seconds
        self._drain_seconds = drain_seconds
        self._running: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._dispatch())

    async def stop(self) -> None:
        """Take no more lanes; finish the turns under way, as long as a stop may last."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._drain_seconds)
            for turn in late:
                turn.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def wake(self) -> None:
        """Look at once: something was decided."""
        self._news.set()

    async def _dispatch(self) -> None:
        def tell(state: RetryCallState) -> None:
            reason = repr(state.outcome.exception()) if state.outcome else ""
            log.warning("lanes_will_be_looked_for_again", reason=reason, attempt=state.attempt_number)

        while True:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(TransientError),
                wait=wait_exponential_jitter(multiplier=0.2, max=5),
                before_sleep=tell,
            ):
                with attempt:
                    await self._look()

    async def _look(self) -> None:
        """Take lanes once; wait if there is nothing to do, or no room to do it."""
        self._news.clear()
        room = min(CLAIMED_MAX, self._lanes_at_once - len(self._running))
        claims: list[Claim] = []
        if room > 0:
            claims = await self._deliveries.claim(
                room, now=datetime.now(UTC), seconds=self._lease_seconds, token=fresh_id()
            )
        for claim in claims:
            turn = asyncio.create_task(self._take(claim))
            self._running.add(turn)
            turn.add_done_callback(self._over)
        figures.LANES.set(len(self._running))
        if len(claims) < room or room <= 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._news.wait()

    async def _take(self, claim: Claim) -> None:
        try:
            await self._turns.take(claim)
        except TransientError as error:
            log.warning("lane_left", lane=claim.lane.id, reason=str(error))
        except Exception:
            log.exception("lane_stumbled", lane=claim.lane.id)

    def _over(self, turn: asyncio.Task[None]) -> None:
        self._running.discard(turn)
        if len(self._running) >= self._lanes_at_once - 1:
            self._news.set()
