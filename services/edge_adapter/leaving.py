"""Leaves sessions to others when this process alone has no way to the MQTT broker.

Who holds a session is said by Kafka. A process that reaches Kafka but not the MQTT broker would keep its sessions, and
what devices say into them would wait, and nobody's silence would count, for as long as that lasts.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import structlog

from services.edge_adapter.logins import ADVICE, REFUSED_FOR, Logins
from services.edge_adapter.mqtt_client import PORTS
from services.edge_adapter.sessions import Sessions
from shared.contracts.ops import HealthKind
from shared.errors import TransientError
from shared.flow.unit import Alarm
from shared.storage import Documents

log = structlog.get_logger()
LOOK_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 5.0


class Others:
    """Tells whether anybody hears devices, by what is proved of seats: one that has no session itself asks this."""

    def __init__(self, seats: Documents) -> None:
        self._seats = seats
        self._last: datetime | None = None

    async def hear(self) -> bool:
        """Tell whether more is proved than when this was asked last; never at the first time."""
        try:
            found = [seat["until"] for seat in await self._seats.query({}) if "until" in seat]
        except TransientError:
            found = []
        before, self._last = self._last, max(found, default=None)
        return before is not None and self._last is not None and self._last > before


class Leaving:
    """Ends a process that has had no session for so long, while others hear devices; they take what was its."""

    def __init__(
        self,
        others: Others,
        leave: Callable[[], None],
        alarm: Alarm,
        logins: Logins,
        *,
        after_seconds: float,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.sessions: Sessions | None = None
        self._others = others
        self._leave = leave
        self._alarm = alarm
        self._logins = logins
        self._after_seconds = after_seconds
        self._look_seconds = look_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_on(self) -> None:
        since: float | None = None
        while True:
            await asyncio.sleep(self._look_seconds)
            sessions = self.sessions
            alone = sessions is not None and sessions.cut_off and await self._others.hear()
            since = (since or time.monotonic()) if alone else None
            if sessions is not None and since is not None and time.monotonic() - since >= self._after_seconds:
                for_long = f"for {self._after_seconds:.0f} s, while others hear devices"
                reason = f"no way to the MQTT broker {for_long}: {sessions.trouble}"
                log.error("mqtt_left_to_others", reason=reason)
                if sessions.refused:
                    with contextlib.suppress(TransientError):
                        await self._logins.note_refused(datetime.now(UTC))
                await self._alarm(kind=HealthKind.STUCK.value, reason=reason)
                self._leave()
                return


class Way:
    """Lets a process begin only when it has a way to the MQTT broker, or nobody else hears devices either."""

    def __init__(self, others: Others, url: str, logins: Logins, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._others = others
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or PORTS.get(where.scheme, 0)
        self._logins = logins
        self._look_seconds = look_seconds
        self.trouble: str | None = None

    async def start(self) -> None:
        """Return when this process may take sessions."""
        await self._others.hear()
        while self._host and (trouble := await self._why_not()):
            await asyncio.sleep(self._look_seconds)
            if not await self._others.hear():
                break
            if trouble != self.trouble:
                log.warning("mqtt_not_reached_by_us_alone", reason=trouble)
            self.trouble = trouble
        self.trouble = None

    async def stop(self) -> None:
        """Need nothing more."""

    async def _why_not(self) -> str | None:
        if not await self._leads_there():
            return f"no way to the MQTT broker at {self._host}:{self._port}, while others hear devices"
        if await self._logins.are_refused(datetime.now(UTC)):
            minutes = REFUSED_FOR.total_seconds() / 60
            return f"the MQTT broker did not let us in: tried again after {minutes:.0f} minutes, {ADVICE}"
        return None

    async def _leads_there(self) -> bool:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True
