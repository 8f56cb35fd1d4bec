"""Which of the broker's sessions this process holds: each is held by whoever works on the partition of its number.

So every session has exactly one holder while any adapter runs, and what a dead one left unacknowledged is taken up by
its heir: no session is orphaned with messages in it, however many adapters come and go.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

import structlog

from services.edge_adapter.inbound import Inbound
from services.edge_adapter.mqtt import Session
from services.edge_adapter.mqtt_client import Login
from services.edge_adapter.sparkplug_host import SPEAKER, Host

log = structlog.get_logger()
LOOK_SECONDS: Final = 0.2
#: A rebalance takes all partitions away for a moment; who gets a session takes it over by itself.
GRACE_SECONDS: Final = 3.0
#: As many accounts as the broker has for us.
SESSIONS_MAX: Final = 64
ALONE: Final = 0
"""The number of the session that hears all devices where none is shared."""


class Sessions:
    """Holds the sessions that fall to this process, as long as they do."""

    def __init__(
        self,
        login: Login,
        *,
        numbers: Callable[[], Collection[int]],
        on_share: Callable[[int], None],
        filters: Collection[str],
        hear: Callable[[Inbound], None],
        own_topic: Callable[[int], str],
        hear_own: Callable[[int, Inbound], None],
        in_flight: int,
        expiry_seconds: int,
        shared: bool = True,
        elsewhere: Callable[[], Awaitable[Collection[str]]],
        full: Callable[[], bool],
        host: Host | None = None,
    ) -> None:
        self._shared = shared
        self._login = login
        self._numbers = numbers
        self._on_share = on_share
        self._filters = list(filters)
        self._hear = hear
        self._own_topic = own_topic
        self._hear_own = hear_own
        self._in_flight = in_flight
        self._expiry_seconds = expiry_seconds
        self._host = host
        self._held: dict[int, Session] = {}
        self._lost_since: dict[int, float] = {}
        self._elsewhere = elsewhere
        self._full = full
        self._nobodys: dict[int, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = 0

    @property
    def held(self) -> Mapping[int, Session]:
        """The sessions that this process holds, by number."""
        return self._held

    @property
    def trouble(self) -> str | None:
        """Why not every session that falls to us is held; nothing if all are."""
        missing = [number for number in self._wanted() if number not in self._held or not self._held[number].connected]
        reasons = sorted({why for number in missing if number in self._held and (why := self._held[number].trouble)})
        return ", ".join((f"MQTT sessions not connected: {len(missing)}", *reasons)) if missing else None

    @property
    def cut_off(self) -> bool:
        """Whether sessions fall to us, and none of them is connected."""
        return bool(self._wanted()) and not any(session.connected for session in self._held.values())

    @property
    def refused(self) -> bool:
        """Whether the broker does not believe who we say we are."""
        return any(session.refused for session in self._held.values())

    async def start(self) -> None:
        """Begin to look which sessions fall to us."""
        self._tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._look_elsewhere())]

    def deafen(self) -> None:
        """Take nothing more in."""
        for session in self._held.values():
            session.deafen()

    async def stop(self) -> None:
        """Let go of all sessions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(session.close() for session in self._held.values()))
        self._held.clear()

    def any(self) -> Session | None:
        """Return a session to speak through, each in its turn; nothing while none is connected."""
        connected = [session for session in self._held.values() if session.connected]
        self._turn += 1
        return connected[self._turn % len(connected)] if connected else None

    def _wanted(self) -> set[int]:
        return {number for number in self._numbers() if number < SESSIONS_MAX}

    async def _look(self) -> None:
        while True:
            wanted, now = self._wanted(), time.monotonic()
            for number in wanted - self._held.keys():
                self._held[number] = self._open(number)
            for number in self._held.keys() - wanted:
                self._lost_since.setdefault(number, now)
            for number in wanted & self._lost_since.keys():
                del self._lost_since[number]
            gone = [
                number
                for number, since in self._lost_since.items()
                if now - since > GRACE_SECONDS or self._held[number].taken_over
            ]
            for number in gone:
                del self._lost_since[number]
                log.info("mqtt_session_given_up", session=number)
            await asyncio.gather(*(self._held.pop(number).close() for number in gone))
            self._on_share(len(self._held))
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_elsewhere(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            lost = {number: each.generation for number, each in self._held.items() if not each.connected}
            theirs = await self._elsewhere() if any(lost.values()) else ()
            # Each time anew: who took a session over shows it by proofs, a moment later.
            self._nobodys = {number: lost[number] for number in lost if str(number) not in theirs}

    def _comes_back(self, number: int) -> bool:
        """Tell whether a session that was lost may be held again.

        Why it was lost is not always heard, and who has no way to Kafka does not learn that it fell to somebody else:
        both would cut each other for ever. Nor while too much is under way: what was not acknowledged comes again.
        """
        held = self._held.get(number)
        free = held is not None and held.generation in (0, self._nobodys.get(number))
        return free and number not in self._lost_since and not self._full()

    def _open(self, number: int) -> Session:
        login = replace(self._login, username=self._login.username.replace("{session}", str(number)))
        own, host = self._own_topic(number), self._host if number == SPEAKER else None

        theirs = [host.topic] if host is not None else []

        def hear(inbound: Inbound) -> None:
            if inbound.topic == own:
                self._hear_own(number, inbound)
            elif host is not None and inbound.topic == host.topic:
                host.hear(inbound)
            else:
                self._hear(inbound)

        session = Session(
            login,
            filters=[*(self._filters if self._shared or number == ALONE else []), own, *theirs],
            in_order=not self._shared,
            hear=hear,
            in_flight=self._in_flight,
            expiry_seconds=self._expiry_seconds,
            will=host.will if host is not None else None,
            greet=host.present if host is not None else None,
        )
        self._nobodys.pop(number, None)
        session.comes_back = lambda: self._comes_back(number)
        session.open()
        return session
