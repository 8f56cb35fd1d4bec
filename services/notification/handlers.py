"""What notification hears: cases, sessions, machines, promises, requests; each becomes the deliveries that it makes."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.notification import figures
from services.notification.domain import news
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.domain.device_news import of_presence
from services.notification.domain.news import News
from services.notification.domain.planning import Reaction, planned, reaction, requested
from services.notification.domain.session_news import of_session
from services.notification.store import Deliveries
from shared.config import Tenants
from shared.contracts.catalogue import CASE_EVENTS, DEVICE_PRESENCE, NOTIFICATION_REQUESTS, OPS_SLA, SESSION_EVENTS
from shared.contracts.events import EVENTS, event_type
from shared.contracts.ids import derived_id
from shared.contracts.notices import REDRIVE, Redrive
from shared.contracts.sessions import EVENTS as SESSION_STEPS
from shared.contracts.sessions import event_type as session_type
from shared.contracts.words import Facet, NoticeChannel
from shared.flow import Heard, Viewer
from shared.flow.counterparts import CounterpartEar, counterpart_of

log = structlog.get_logger()
NAMES: Final = {event_type(name): name for name in EVENTS}
SESSION_NAMES: Final = {session_type(name): name for name in SESSION_STEPS}
NOTHING_HIDDEN: Final[frozenset[Facet]] = frozenset()


@dataclass(slots=True)
class Decided:
    """What a batch decides."""

    deliveries: list[Delivery] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    redrives: list[Redrive] = field(default_factory=list)


class Decisions:
    """Where decisions are made and written down: once each, whatever comes again.

    What would go by a channel that this installation has not is not written down at all.
    """

    def __init__(
        self,
        tenants: Tenants[Book],
        deliveries: Deliveries,
        wake: Callable[[], None],
        *,
        channels: Collection[NoticeChannel],
        stale_hours: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.tenants = tenants
        self._deliveries = deliveries
        self._wake = wake
        self._channels = channels
        self._stale = timedelta(hours=stale_hours)
        self._now = now

    async def make(self, batch: Sequence[Heard], decide: Callable[[Heard, Decided], None]) -> None:
        """Decide on a batch and write it down.

        Raises:
            TransientError: if the store, or the tenants' data, is away.
        """
        oldest = self._now() - self._stale
        fresh = [heard for heard in batch if heard.incoming.now >= oldest]
        figures.STALE.inc(len(batch) - len(fresh))
        if not fresh:
            return
        await self.tenants.catch_up(max(heard.incoming.now for heard in fresh))
        decided = Decided()
        for heard in fresh:
            decide(heard, decided)
        deliveries = [each for each in decided.deliveries if each.channel in self._channels]
        await self._deliveries.decide(deliveries, decided.reactions)
        for redrive in decided.redrives:
            await self._deliveries.redrive(redrive.tenant_id, redrive.recipient, redrive.delivery_id, now=self._now())
        if deliveries or decided.redrives:
            self._wake()

    def book(self, tenant_id: str, at: datetime) -> Book:
        """Return a tenant's book as of a moment."""
        return self.tenants.of(tenant_id, at)


class Deciding(Viewer):
    """What the ears have in common."""

    service = "notification"

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write down the deliveries that a batch makes."""
        await self._decisions.make(batch, self._decide)

    @abstractmethod
    def _decide(self, heard: Heard, decided: Decided) -> None:
        """Add what one record decides."""


class CaseEvents(Deciding):
    """What happens to cases, for their owners."""

    topic = CASE_EVENTS

    def _decide(self, heard: Heard, decided: Decided) -> None:
        incoming, event = heard.incoming, heard.incoming.data
        book = self._decisions.book(event.case.tenant_id, incoming.now)
        partner = event.case.counterpart_tenant_id
        known = book.data.counterpart(partner) if partner is not None else None
        told = news.of_event(
            NAMES[incoming.type],
            event,
            id_=incoming.id,
            at=incoming.now,
            body=heard.record.value,
            hides=frozenset(known.hides) if known is not None else NOTHING_HIDDEN,
        )
        decided.deliveries += planned(told, book)
        reacted = reaction(told)
        if reacted is not None:
            decided.reactions.append(reacted)


class SlaShares(Deciding):
    """Promises that run out."""

    topic = OPS_SLA

    def _decide(self, heard: Heard, decided: Decided) -> None:
        incoming = heard.incoming
        told = news.of_share(incoming.data, id_=incoming.id, at=incoming.now, body=heard.record.value)
        decided.deliveries += planned(told, self._decisions.book(told.tenant_id, incoming.now))


class SessionEvents(Deciding):
    """What becomes of remote sessions, for the machines' owners and for who asked."""

    topic = SESSION_EVENTS

    def _decide(self, heard: Heard, decided: Decided) -> None:
        incoming, name = heard.incoming, SESSION_NAMES[heard.incoming.type]
        for told in of_session(name, incoming.data, id_=incoming.id, at=incoming.now, body=heard.record.value):
            decided.deliveries += planned(told, self._decisions.book(told.tenant_id, incoming.now))


class Presences(Deciding):
    """Machines that come and go."""

    topic = DEVICE_PRESENCE

    def _decide(self, heard: Heard, decided: Decided) -> None:
        incoming = heard.incoming
        told = of_presence(incoming.data, id_=incoming.id, at=incoming.now, body=heard.record.value)
        if told is not None:
            decided.deliveries += planned(told, self._decisions.book(told.tenant_id, incoming.now))


class Requests(Deciding):
    """What others ask to be told."""

    topic = NOTIFICATION_REQUESTS

    def _decide(self, heard: Heard, decided: Decided) -> None:
        incoming = heard.incoming
        if incoming.type == REDRIVE:
            decided.redrives.append(incoming.data)
            return
        # An outsider's id is its own matter: another sender, or another tenant, may use the same.
        id_ = derived_id("request", incoming.source, incoming.id) if incoming.named else incoming.place
        told = news.of_request(incoming.data, id_=id_, at=incoming.now, body=heard.record.value)
        decided.deliveries += requested(told, incoming.data, self._decisions.book(told.tenant_id, incoming.now))


class CounterpartEvents(CounterpartEar):
    """What happens to shared cases, for their counterparts: they are told of nothing but their redacted topic."""

    service = "notification"

    def __init__(
        self, bootstrap_servers: str, decisions: Decisions, *, refresh_seconds: float, session_timeout_ms: int
    ) -> None:
        super().__init__(bootstrap_servers, refresh_seconds=refresh_seconds, session_timeout_ms=session_timeout_ms)
        self._decisions = decisions

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write down the deliveries that a batch makes."""
        await self._decisions.make(batch, self._decide)

    def _decide(self, heard: Heard, decided: Decided) -> None:
        incoming = heard.incoming
        tenant_id = counterpart_of(heard.record.topic)
        told: News = news.of_shared_event(
            NAMES[incoming.type],
            incoming.data,
            tenant_id=tenant_id,
            id_=incoming.id,
            at=incoming.now,
            body=heard.record.value,
        )
        decided.deliveries += planned(told, self._decisions.book(tenant_id, incoming.now))
