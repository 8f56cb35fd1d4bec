"""Who is told of something: each once, for the best of the reasons there are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.notification.domain.book import Book
from services.notification.domain.news import News
from shared.contracts.case import CaseState
from shared.contracts.shared_case import SharedCase
from shared.contracts.words import ContactType, ContactWay, NoticeTopic, Role

USER: Final = "user:"
MAIL: Final = "mail:"
HOOK: Final = "hook:"
TEAM_TOPICS: Final = frozenset({NoticeTopic.CREATED, NoticeTopic.ASSIGNED, NoticeTopic.ESCALATION, NoticeTopic.SLA})
CUSTOMERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who is told: the recipient, why, and whether only what is public."""

    recipient: str
    topic: NoticeTopic
    public: bool = False


def audience(news: News, book: Book) -> list[Party]:
    """Return who is told of some news, each once."""
    found: dict[str, Party] = {}
    for party in _everyone(news, book):
        held = found.get(party.recipient)
        # Who hears for a reason of their own (a mention, say) hears it so; who may know all is told all.
        if held is None or (held.public and not party.public):
            found[party.recipient] = party
    return list(found.values())


def subscribers(news: News, book: Book) -> list[Party]:
    """Return the tenant's endpoints that are told."""
    named = book.subscriptions(news.event, news.device_id)
    return [Party(f"{HOOK}{name}", news.topic) for name in dict.fromkeys(name for name, _ in named)]


def _everyone(news: News, book: Book) -> Iterator[Party]:
    case = news.case
    if news.unsteady:
        return
    if isinstance(case, SharedCase):
        yield from _counterparts_people(news, case, book)
    elif case is None:
        teams = (user for team in news.teams for user in book.members(team))
        operators = book.operators if news.to_operators else ()
        yield from _persons(news, ((user, news.topic) for user in (*news.assignees, *teams, *operators)), book)
        boxes = (book.mailbox(team) for team in news.teams)
        yield from (Party(f"{MAIL}{box}", news.topic) for box in boxes if box is not None)
    else:
        yield from _persons(news, _concerned(news, case, book), book)
        yield from _mailboxes(news, case, book)
        yield from _outsiders(news, case)


def _concerned(news: News, case: CaseState, book: Book) -> Iterator[tuple[str, NoticeTopic]]:
    """Yield the owner's people, best reasons first."""
    yield from ((user, NoticeTopic.MENTION) for user in news.mentions)
    mine = NoticeTopic.ASSIGNED if news.event == "created" else news.topic
    yield from ((user, mine) for user in case.assignees)
    if news.event == "created" and not case.assignees and book.defaults.default_assignee:
        yield book.defaults.default_assignee, NoticeTopic.ASSIGNED
    yield from ((user, news.topic) for team in case.teams for user in book.members(team))
    yield from ((user, news.topic) for user in case.watchers)
    for contact in case.contacts:
        ours = contact.tenant_id in {None, case.tenant_id}
        if contact.type is ContactType.NOTIFICATION and contact.user is not None and ours:
            yield contact.user, news.topic
    if case.created_by.role in CUSTOMERS and case.created_by.tenant_id == case.tenant_id:
        yield case.created_by.id, news.topic


def _persons(news: News, people: Iterable[tuple[str, NoticeTopic]], book: Book) -> Iterator[Party]:
    for user, topic in people:
        own = news.actor_id == user and news.actor_tenant_id == news.tenant_id
        if (own and not book.preference(user).own) or not book.may_hear(user, news.device_id):
            continue
        public = not book.is_staff(user)
        if news.public or not public:
            yield Party(f"{USER}{user}", topic, public)


def _mailboxes(news: News, case: CaseState, book: Book) -> Iterator[Party]:
    if news.topic in TEAM_TOPICS:
        boxes = (book.mailbox(team) for team in case.teams)
        yield from (Party(f"{MAIL}{box}", news.topic) for box in boxes if box is not None)
    if news.event == "created":
        yield from (Party(f"{MAIL}{box}", news.topic) for box in book.defaults.default_emails)


def _outsiders(news: News, case: CaseState) -> Iterator[Party]:
    """Yield addresses of people who are no users: copies, and contacts of type notification."""
    if not news.public:
        return
    yield from (Party(f"{MAIL}{address}", news.topic, public=True) for address in case.cc)
    for contact in case.contacts:
        if contact.type is ContactType.NOTIFICATION and contact.user is None:
            ways = (detail.value for detail in contact.details if detail.type is ContactWay.EMAIL)
            yield from (Party(f"{MAIL}{address}", news.topic, public=True) for address in ways)


def _counterparts_people(news: News, case: SharedCase, book: Book) -> Iterator[Party]:
    """Yield the counterpart's own people: who opened the case, and contacts; all they are told is redacted already."""
    people = [contact.user for contact in case.contacts if contact.type is ContactType.NOTIFICATION and contact.user]
    if case.created_by.id is not None and case.created_by.tenant_id == news.tenant_id:
        people.append(case.created_by.id)
    yield from _persons(news, ((user, news.topic) for user in people), book)
    if news.event in {"created", "shared"}:
        yield from (Party(f"{MAIL}{box}", news.topic) for box in book.defaults.default_emails)


def on_call_people(
    step_users: Iterable[str], step_teams: Iterable[str], book: Book, device_id: str | None
) -> list[str]:
    """Return the users of a step of the on-call chain."""
    named = [*step_users, *(user for team in step_teams for user in book.members(team))]
    return [user for user in dict.fromkeys(named) if book.may_hear(user, device_id)]
