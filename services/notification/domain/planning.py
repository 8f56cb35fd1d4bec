"""What is sent because of some news: which channels, when, and what goes together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from services.notification.domain.audience import HOOK, USER, Party, audience, on_call_people, subscribers
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.domain.news import MACHINES, ON_CALL, SESSION, News
from services.notification.domain.quiet import awake_at, digest_at, open_at
from shared.contracts.case import CaseState
from shared.contracts.ids import derived_id
from shared.contracts.notices import NoticeRequest
from shared.contracts.tenant_notices import Preference
from shared.contracts.words import NoticeChannel, NoticeTopic, State

EMAIL, PUSH, CHAT, IN_APP = NoticeChannel.EMAIL, NoticeChannel.PUSH, NoticeChannel.CHAT, NoticeChannel.IN_APP
ALL_WAYS: Final = (EMAIL, PUSH, CHAT, IN_APP)
#: What people get who chose nothing: every step of a case by mail and push, machines' comings and goings not at all.
FACTORY: Final[Mapping[NoticeTopic, tuple[NoticeChannel, ...]]] = {
    **dict.fromkeys(NoticeTopic, ALL_WAYS),
    NoticeTopic.UPDATE: (EMAIL, IN_APP),
    NoticeTopic.MACHINE: (),
}
#: Never kept for a digest.
URGENT: Final = frozenset(
    {NoticeTopic.MENTION, NoticeTopic.ASSIGNED, NoticeTopic.ESCALATION, NoticeTopic.ON_CALL, NoticeTopic.SESSION}
)
QUIET: Final = frozenset({EMAIL, PUSH, CHAT})
FOLDED: Final = frozenset({EMAIL, PUSH, CHAT})
DIGEST: Final = "digest"
CONSENT_ASKED: Final = f"{SESSION}requested"

ALARMING: Final = frozenset({"created", "recurred", "reopened", "escalated"})
#: By these somebody has taken a case up, or it is over.
REACTIONS: Final = frozenset(
    {
        *("assigned", "started", "held", "action_requested", "requeued", "note_added", "deescalated"),
        *("resolved", "closed", "cancelled", "merged", "deleted", "archived"),
    }
)


@dataclass(frozen=True, slots=True)
class Reaction:
    """Somebody has reacted to a case: what its on-call chain has not told before `seq` is not told any more."""

    tenant_id: str
    case_id: str
    seq: int


def planned(news: News, book: Book) -> list[Delivery]:
    """Return every delivery that some news makes; decided again, they are the same."""
    found = [_to_hook(news, party, book) for party in subscribers(news, book)]
    for party in audience(news, book):
        found += _to_person(news, party, book, _channels(party, book))
    return [*found, *_chain(news, book)]


def requested(news: News, request: NoticeRequest, book: Book) -> list[Delivery]:
    """Return the deliveries of something that somebody asked to be told."""
    kind, _, name = request.recipient.partition(":")
    public = kind != "user" or not book.is_staff(name)
    party = Party(request.recipient, request.topic, public)
    if kind == "hook":
        known = book.data.subscription(name)
        return [_to_hook(news, party, book)] if known is not None and known.active else []
    if kind == "user" and not book.may_hear(name, None):
        return []
    return list(_to_person(news, party, book, request.channels or _channels(party, book)))


def reaction(news: News) -> Reaction | None:
    """Return that somebody reacted to a case, if these news say so."""
    case = news.case
    if not isinstance(case, CaseState) or news.event not in REACTIONS:
        return None
    if news.actor_role in MACHINES and case.state in {State.NEW, State.IN_PROGRESS}:
        return None
    return Reaction(case.tenant_id, case.id, news.seq)


def _channels(party: Party, book: Book) -> tuple[NoticeChannel, ...]:
    """Return the channels that somebody chose, else those of the tenant, else the factory's."""
    kind, _, name = party.recipient.partition(":")
    defaults = book.defaults.channels.get(party.topic, FACTORY[party.topic])
    if kind != "user":
        preference = book.preference(party.recipient)  # who is no user can only say what they do not want
        return tuple(way for way in preference.channels.get(party.topic, (EMAIL,)) if way is EMAIL)
    preference = book.preference(name)
    if preference.muted and party.topic is not NoticeTopic.ON_CALL:
        return ()
    return preference.channels.get(party.topic, defaults)


def _to_person(news: News, party: Party, book: Book, channels: tuple[NoticeChannel, ...]) -> Iterator[Delivery]:
    user = party.recipient.removeprefix(USER) if party.recipient.startswith(USER) else None
    preference = book.preference(user) if user is not None else Preference()
    for channel in dict.fromkeys(channels):
        if user is None and channel is not EMAIL:
            continue
        if user is not None and not _reachable(user, channel, preference, book):
            continue
        due_at, fold = _when(news, party.topic, channel, preference, book, personal=user is not None)
        yield _delivery(news, party, channel, due_at=due_at, fold=fold)


def _reachable(user: str, channel: NoticeChannel, preference: Preference, book: Book) -> bool:
    match channel:
        case NoticeChannel.EMAIL:
            known = book.user(user)
            return known is not None and known.email is not None
        case NoticeChannel.PUSH:
            return bool(preference.push)
        case NoticeChannel.CHAT:
            return bool(preference.chat)
        case _:
            return channel is IN_APP


def _when(
    news: News, topic: NoticeTopic, channel: NoticeChannel, preference: Preference, book: Book, *, personal: bool
) -> tuple[datetime, str]:
    """Return when a delivery is due, and with what it goes together."""
    at, defaults = news.at, book.defaults
    if topic is NoticeTopic.ON_CALL or channel not in QUIET:
        return at, ""
    if channel is EMAIL and preference.digest is not None and topic not in URGENT:
        return digest_at(at, preference.digest, preference.time_zone), DIGEST
    # Who is asked for consent has minutes.
    if channel in FOLDED and news.case_id is not None and news.event != CONSENT_ASKED:
        at += timedelta(seconds=defaults.fold_seconds)
    if personal:
        at = awake_at(at, preference.quiet_hours, preference.time_zone)
        calendar = book.data.calendar(defaults.quiet_calendar) if defaults.quiet_calendar else None
        if calendar is not None and not preference.quiet_hours:
            at = open_at(at, calendar)
    return at, f"case:{news.case_id}" if news.case_id is not None else ""


def _to_hook(news: News, party: Party, book: Book) -> Delivery:
    known = book.data.subscription(party.recipient.removeprefix(HOOK))
    channel = known.channel if known is not None else NoticeChannel.WEBHOOK
    if channel is NoticeChannel.WEBHOOK:
        return replace(_delivery(news, party, channel, due_at=news.at, fold=""), payload=news.payload(), notice={})
    due_at, fold = _when(news, party.topic, channel, Preference(), book, personal=False)
    return _delivery(news, party, channel, due_at=due_at, fold=fold)


def _chain(news: News, book: Book) -> Iterator[Delivery]:
    """Yield what the on-call chain will tell unless somebody reacts; each step's people are known from the start."""
    case, defaults = news.case, book.defaults
    if not isinstance(case, CaseState) or news.event not in ALARMING or news.unsteady or not defaults.on_call:
        return
    if case.priority not in defaults.on_call_priorities and case.severity not in defaults.on_call_severities:
        return
    for number, step in enumerate(defaults.on_call):
        at = news.at + timedelta(minutes=step.after_minutes)
        calling = replace(news, event=ON_CALL, topic=NoticeTopic.ON_CALL)
        for user in on_call_people(step.users, step.teams, book, case.device_id):
            party = Party(f"{USER}{user}", NoticeTopic.ON_CALL, not book.is_staff(user))
            for each in _to_person(calling, party, book, _channels(party, book)):
                id_ = derived_id("on_call", each.id, number)
                yield replace(each, id=id_, due_at=at, on_call=True, notice=each.notice | {"step": number + 1})


def _delivery(news: News, party: Party, channel: NoticeChannel, *, due_at: datetime, fold: str) -> Delivery:
    return Delivery(
        id=derived_id("delivery", news.id, news.tenant_id, party.recipient, channel.value, news.event),
        tenant_id=news.tenant_id,
        recipient=party.recipient,
        channel=channel,
        topic=party.topic,
        event=news.event,
        created_at=news.at,
        due_at=due_at,
        case_id=news.case_id,
        owner_id=news.case.tenant_id if news.case is not None else None,
        number=news.number,
        seq=news.seq,
        fold=fold,
        public=party.public,
        notice=news.notice(public=party.public),
    )
