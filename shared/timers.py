"""The clock of a service: sends a wake for every document that time has something to do for.

A wake is an ordinary message: what it does is decided when it is heard, by the time of its own record. So one that is
sent twice, or too early, finds nothing to do; and a clock that is wrong is late at most.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer

from shared.contracts.catalogue import Topic
from shared.contracts.envelope import Message
from shared.flow.teller import partitioner
from shared.kafka import client_settings
from shared.storage import Documents

log = structlog.get_logger()
IN_FLIGHT_MIN: Final = 100
IN_FLIGHT_MAX: Final = 4_000
AHEAD_SECONDS: Final = 1.0
"""So long may it take to do what was sent; what others send meanwhile waits behind it."""
BUSY_SECONDS: Final = 0.1
EXACT_SECONDS: Final = 0.05
CLOCK_SET_SECONDS: Final = 1.0
APPENDED: Final = 1
"""The type of a timestamp that the broker set."""
AGAIN_SECONDS: Final = 4.0
AGAIN_SECONDS_MAX: Final = 600.0

Document = dict[str, Any]


class BrokerTime:
    """What time it is by the brokers' clock, which all decisions go by; by this machine's until they told it."""

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._anchor: tuple[datetime, float] | None = None

    @property
    def anchored(self) -> bool:
        """Whether the brokers have told it."""
        return self._anchor is not None

    def now(self) -> datetime:
        """Return the time; once anchored, this machine's clock may be set as it likes."""
        if self._anchor is None:
            return self._wall()
        at, steady = self._anchor
        return at + timedelta(seconds=self._steady() - steady)

    def is_now(self, at: datetime) -> None:
        """Note what the brokers' clock says just now."""
        self._anchor = (at, self._steady())

    def was(self, at: datetime, ago_seconds: float) -> None:
        """Note what the brokers' clock said at most so long ago; of use only if it is news, or rather exact."""
        off_seconds = abs((at - self.now()).total_seconds())
        if self._anchor is None or ago_seconds < EXACT_SECONDS or off_seconds > ago_seconds + CLOCK_SET_SECONDS:
            self.is_now(at)

    def has_been(self, at: datetime) -> None:
        """Note a time that the brokers' clock has reached, now or before."""
        if at > self.now():
            self.is_now(at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Which documents to wake, in which order, and how; `fields` come along for `wake`.

    `conditions` get the time; a document is done when it meets them no longer, or with another value of `sort`.
    """

    conditions: Callable[[datetime], Mapping[str, Any]]
    sort: str
    fields: Sequence[str]
    wake: Callable[[Document, datetime], Message]


class Finder(Protocol):
    """Finds what is due."""

    async def prepare(self) -> None:
        """Get ready to look."""

    async def find(self, now: datetime) -> tuple[list[Message], bool]:
        """Return the wakes to send now, and whether there may be more at once."""


@dataclass(slots=True)
class _Sent:
    place: Any
    at: float
    again_at: float
    wait: float


class Pace:
    """How many may be on their way at a time, so that they are done in a moment.

    It begins with few, and is doubled as long as all are done sooner; it shrinks when they take longer. So wakes never
    pile up before a consumer that is slow or away, and what people send meanwhile waits behind a moment's work.
    """

    def __init__(self) -> None:
        self.most = IN_FLIGHT_MIN
        self._since = 0.0

    def saw(self, done: Collection[float], now: float, *, full: bool) -> None:
        """Note when pages were sent that are all done now; `full`: no more were allowed."""
        longest = max((now - sent_at for sent_at in done if sent_at >= self._since), default=None)
        if longest is None:  # what was sent earlier went at an older pace
            return
        if longest > AHEAD_SECONDS:
            self.most = max(IN_FLIGHT_MIN, int(self.most * max(0.5, AHEAD_SECONDS / longest)))
        elif full:
            self.most = min(IN_FLIGHT_MAX, 2 * self.most)
        else:
            return
        self._since = now


class Wakes:
    """Wakes on their way to the documents of one kind of due: a moment's work, each again after a growing pause."""

    def __init__(self, due: Due, documents: Documents, steady: Callable[[], float] = time.monotonic) -> None:
        self._due = due
        self._documents = documents
        self._steady = steady
        self._pace = Pace()
        self._sent: dict[str, _Sent] = {}

    @property
    def in_flight(self) -> int:
        """How many were sent and are not known to be done."""
        return len(self._sent)

    async def prepare(self) -> None:
        """Make sure that what is due is found by an index."""
        await self._documents.index(self._due.sort, sparse=True)

    async def find(self, now: datetime) -> tuple[list[Message], bool]:
        """Return the wakes to send now, and whether there may be more at once."""
        conditions = dict(self._due.conditions(now))
        again = await self._unfinished(conditions)
        room = self._pace.most - len(self._sent)
        found: list[Document] = []
        if room > 0:
            others = {"_id": {"$nin": list(self._sent)}} if self._sent else {}
            found = await self._documents.query(
                conditions | others, sort=self._due.sort, limit=room, fields=(self._due.sort, *self._due.fields)
            )
        at = self._steady()
        for document in found:
            self._sent[document["_id"]] = _Sent(document[self._due.sort], at, at + AGAIN_SECONDS, AGAIN_SECONDS)
        busy = len(found) == room or len(self._sent) > self._pace.most // 2
        return [self._due.wake(document, now) for document in (*again, *found)], busy

    async def _unfinished(self, conditions: dict[str, Any]) -> list[Document]:
        """Forget what is done; return what was sent long ago and is not."""
        if not self._sent:
            return []
        still = await self._documents.query(
            conditions | {"_id": {"$in": list(self._sent)}},
            sort=self._due.sort,
            fields=(self._due.sort, *self._due.fields),
        )
        pending = {d["_id"]: d for d in still if self._sent[d["_id"]].place == d[self._due.sort]}
        now, full = self._steady(), len(self._sent) >= self._pace.most
        pages = {sent.at for sent in self._sent.values()}
        self._sent = {id_: sent for id_, sent in self._sent.items() if id_ in pending}
        self._pace.saw(pages - {sent.at for sent in self._sent.values()}, now, full=full)
        late = [(id_, sent) for id_, sent in self._sent.items() if sent.again_at <= now]
        for _, sent in late:
            sent.wait = min(2 * sent.wait, AGAIN_SECONDS_MAX)
            sent.again_at = now + sent.wait
        return [pending[id_] for id_, _ in late]


class Clock:
    """Looks for what is due, as long as `owns` says that this process is the one to do so."""

    def __init__(
        self,
        finders: Sequence[Finder],
        *,
        tells: Sequence[Topic],
        owns: Callable[[], bool],
        bootstrap_servers: str,
        interval_seconds: float,
        brokers: BrokerTime,
    ) -> None:
        self.tells = tells
        self._finders = finders
        self._owns = owns
        self._bootstrap_servers = bootstrap_servers
        self._interval_seconds = interval_seconds
        self._brokers = brokers
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        for finder in self._finders:
            await finder.prepare()
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers), acks="all", enable_idempotence=True, partitioner=partitioner
        )
        await producer.start()
        self._producer = producer
        self._task = asyncio.create_task(self._look_on(producer))

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._producer is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(3):
                    await self._producer.stop()

    async def _look_on(self, producer: AIOKafkaProducer) -> None:
        busy = False
        while True:
            await asyncio.sleep(min(BUSY_SECONDS, self._interval_seconds) if busy else self._interval_seconds)
            busy = False
            if not self._owns():
                continue
            try:
                for finder in self._finders:
                    found, more = await finder.find(self._brokers.now())
                    await self._send(producer, found)
                    busy = busy or more
            except Exception as error:  # noqa: BLE001 - the clock must go on
                log.warning("clock_will_look_again", reason=type(error).__name__)

    async def _send(self, producer: AIOKafkaProducer, wakes: Sequence[Message]) -> None:
        began = time.monotonic()
        sent = [await producer.send(w.topic, w.value, key=w.key, headers=list(w.headers)) for w in wakes]
        for appended in await asyncio.gather(*sent):
            if appended.timestamp_type == APPENDED:
                # Appended some time since then: taken for now, it would set the clock back under load.
                self._brokers.was(datetime.fromtimestamp(appended.timestamp / 1000, UTC), time.monotonic() - began)
