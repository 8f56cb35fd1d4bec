"""Probes: proof, session by session, that what devices say arrives in Kafka.

A probe goes to the session's own topic and so lies in its queue behind all that devices had said by then. When it is
back, and Kafka has all that came before it, then everything said until it was sent has been heard.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from services.edge_adapter.domain.topics import ROOT
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.listening import Horizon, SeatNotes
from services.edge_adapter.mqtt import Session
from services.edge_adapter.sessions import Sessions
from shared.errors import TransientError
from shared.timers import BrokerTime

log = structlog.get_logger()
EXPIRY_SECONDS: Final = 60
#: Of one session: those that are not back, and those that wait for Kafka.
UNDER_WAY_MAX: Final = 200
CLOCK_SET_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.05


def probe_topic(session: int) -> str:
    """Return the topic on which a session hears its own probes; no device can have such a name."""
    return f"{ROOT}/-/{session}/probe"


@dataclass(slots=True)
class _Seat:
    """One session's probes on one connection: when each was sent, in order."""

    connection: int
    token: bytes
    since: datetime
    sent: dict[int, datetime] = field(default_factory=dict)
    last: int = 0
    gap: bool = False
    """Whether some went the way of what expires."""


class Prober:
    """Probes the sessions of this process, and notes how far each has listened."""

    def __init__(
        self,
        notes: SeatNotes,
        mark: Callable[[], "asyncio.Future[None]"],
        brokers: BrokerTime,
        *,
        interval_seconds: float,
    ) -> None:
        self.sessions: Sessions | None = None
        self._notes = notes
        self._mark = mark
        self._brokers = brokers
        self._interval_seconds = interval_seconds
        self._seats: dict[int, _Seat] = {}
        self._awaited: dict[int, int] = {}
        self._all_back = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._looked: tuple[datetime, float] | None = None

    async def start(self) -> None:
        """Begin to probe."""
        self._loop = asyncio.create_task(self._probe_on())

    async def stop(self) -> None:
        """Probe no more."""
        tasks = [*self._tasks, *([self._loop] if self._loop is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, number: int, inbound: Inbound) -> None:
        """Take a probe that is back; at once, for what came before it was taken before."""
        inbound.acknowledge()
        seat = self._seats.get(number)
        token, _, probe = inbound.payload.partition(b":")
        if seat is None or not probe.isdigit() or token != seat.token:
            return  # one of an earlier holder, or of an earlier connection
        sent_at = seat.sent.get(int(probe))
        if sent_at is None:
            return
        if seat.gap or any(earlier < int(probe) for earlier in seat.sent):
            # One was dropped on its way, so others may have been: what was said before this one may be lost.
            log.warning("mqtt_probe_lost", session=number)
            seat.since, seat.gap = sent_at, False
        for earlier in [each for each in seat.sent if each <= int(probe)]:
            del seat.sent[earlier]
        task = asyncio.create_task(self._heard(number, int(probe), Horizon(seat.since, sent_at), self._mark()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _heard(self, number: int, probe: int, horizon: Horizon, drained: "asyncio.Future[None]") -> None:
        await drained
        self._notes.note(str(number), horizon)
        if self._awaited.get(number, probe + 1) <= probe:
            del self._awaited[number]
            if not self._awaited:
                self._all_back.set()

    async def _probe_on(self) -> None:
        while True:
            began = time.monotonic()
            if self.sessions is not None and self._brokers.anchored:
                self._start_over_if_the_clock_was_set()
                self._probe_all(self.sessions.held)
                # The slowest seat counts: what it proves is written down at once, not a round later.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._interval_seconds):
                        await self._all_back.wait()
                with contextlib.suppress(TransientError):
                    await self._notes.write()
            await asyncio.sleep(max(PAUSE_SECONDS, self._interval_seconds - (time.monotonic() - began)))

    def _probe_all(self, held: Mapping[int, Session]) -> None:
        for number in self._seats.keys() - held.keys():
            del self._seats[number]
        self._awaited.clear()
        for number, session in list(held.items()):
            if session.connected:
                self._probe(number, session)
        (self._all_back.clear if self._awaited else self._all_back.set)()

    def _start_over_if_the_clock_was_set(self) -> None:
        """Believe nothing from before the brokers' clock was set: spans of time across that are wrong."""
        now, steady = self._brokers.now(), time.monotonic()
        if self._looked is not None:
            before, steady_before = self._looked
            if abs((now - before).total_seconds() - (steady - steady_before)) > CLOCK_SET_SECONDS:
                log.warning("brokers_clock_was_set", seconds=(now - before).total_seconds())
                self._seats.clear()
        self._looked = now, steady

    def _probe(self, number: int, session: Session) -> None:
        now = self._brokers.now()
        seat = self._seats.get(number)
        if seat is None or seat.connection != session.generation:
            seat = self._seats[number] = _Seat(session.generation, secrets.token_hex(4).encode(), now)
        for lost in [each for each, at in seat.sent.items() if (now - at).total_seconds() > EXPIRY_SECONDS]:
            del seat.sent[lost]  # the broker has forgotten it: with all of them lost, none would ever be sent again
            seat.gap = True
        if len(seat.sent) >= UNDER_WAY_MAX or len(self._tasks) >= UNDER_WAY_MAX * len(self._seats):
            return
        if session.tell(probe_topic(number), b"%b:%d" % (seat.token, seat.last + 1), expiry_seconds=EXPIRY_SECONDS):
            seat.last += 1
            seat.sent[seat.last] = now
            self._awaited[number] = seat.last
