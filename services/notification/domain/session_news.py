"""News of remote sessions: the machine's owner is asked and told who comes in; who asked, what became of it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from services.notification.domain.news import SESSION, News
from shared.contracts.fields import rfc3339
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import RemoteSession, SessionEvent
from shared.contracts.words import NoticeTopic


@dataclass(frozen=True, slots=True)
class Concern:
    """Whom a step of a session concerns: those of the owner who may consent, and who asked for the session."""

    owner: bool
    guest: bool


#: What is told; everything else (connecting, paused, progress, consent without a session) is nobody's news.
CONCERNS: Final[Mapping[str, Concern]] = {
    "requested": Concern(owner=True, guest=False),
    "offered": Concern(owner=False, guest=True),
    "active": Concern(owner=True, guest=False),
    "rejected": Concern(owner=False, guest=True),
    "expired": Concern(owner=False, guest=True),
    "failed": Concern(owner=False, guest=True),
    "closed": Concern(owner=True, guest=True),
    "revoked": Concern(owner=True, guest=True),
}
#: What the tenant of who asked is told of a session beyond its own words.
GUEST_FIELDS: Final = ("id", "kind", "state", "requested_at", "expires_at", "active_at", "ended_at", "end_reason")


def of_session(name: str, event: SessionEvent, *, id_: str, at: datetime, body: bytes) -> Iterator[News]:
    """Yield what a step of a session is to its owner's tenant, and to that of who asked; nothing if it is no news."""
    concern, session = CONCERNS.get(name), event.session
    if concern is None or session is None:
        return
    # With consent that was given before nobody is asked.
    asked = concern.owner and (name != "requested" or session.state is SessionState.AWAITING_CONSENT)
    guests = (session.by.id,) if concern.guest else ()
    same = session.by.tenant_id == event.tenant_id
    yield _news(name, event, session, event.tenant_id, guests if same else (), id_=id_, at=at, body=body, owner=asked)
    if concern.guest and not same:
        told = _for_guests(event, session)
        yield _news(name, event, session, session.by.tenant_id, guests, id_=id_, at=at, body=told, owner=False)


def _news(
    name: str,
    event: SessionEvent,
    session: RemoteSession,
    tenant_id: str,
    assignees: tuple[str, ...],
    *,
    id_: str,
    at: datetime,
    body: bytes,
    owner: bool,
) -> News:
    facts: dict[str, Any] = {
        "device_id": event.device_id,
        "state": session.state.value,
        "by": session.by.id,
        "by_tenant": session.by.tenant_id,
        "endpoints": ", ".join(service.endpoint for service in session.services),
        "until": rfc3339(session.expires_at),
        "session_id": session.id,
        "reason": session.end_reason,
    }
    return News(
        id=id_,
        tenant_id=tenant_id,
        event=f"{SESSION}{name}",
        topic=NoticeTopic.SESSION,
        at=at,
        actor_id=event.actor.id,
        actor_tenant_id=event.actor.tenant_id,
        actor_role=event.actor.role,
        case_id=session.case_id,
        seq=event.seq,
        text=session.end_reason or session.reason,
        public=True,
        public_text=session.end_reason or session.reason,
        facts={key: value for key, value in facts.items() if value},
        open_facts=True,
        assignees=assignees,
        to_operators=owner,
        body=body,
    )


def _for_guests(event: SessionEvent, session: RemoteSession) -> bytes:
    known = {field: value for field in GUEST_FIELDS if (value := getattr(session, field)) is not None}
    told = {field: rfc3339(value) if isinstance(value, datetime) else value for field, value in known.items()}
    by = {"id": session.by.id, "role": session.by.role.value, "tenant_id": session.by.tenant_id}
    names = {"tenant_id": event.tenant_id, "device_id": event.device_id, "case_id": session.case_id}
    return orjson.dumps({**names, "session_id": session.id, "at": rfc3339(event.at), "session": {**told, "by": by}})
