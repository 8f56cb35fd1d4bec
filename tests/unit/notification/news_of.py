"""News and books for tests: valid unless a test says otherwise."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from services.notification.domain import news
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.domain.news import News
from shared.contracts.catalogue import CASE_EVENTS, SHARED_EVENTS
from shared.contracts.events import event_type
from shared.contracts.tenant import KINDS
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Facet, NoticeChannel, NoticeTopic
from tests.contract.golden_cases import event
from tests.contract.golden_shared import shared_event

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)  # a Monday
PEOPLE = {
    "ann": {"roles": ["agent"], "email": "ann@acme.example"},
    "bob": {"roles": ["technician"], "email": "bob@acme.example"},
    "cyd": {"roles": ["dispatcher"], "email": "cyd@acme.example"},
    "erin": {"roles": ["contact"], "email": "erin@acme.example"},
    "far": {"roles": ["technician"], "scopes": ["device:lathe-*"], "email": "far@acme.example"},
    "gone": {"roles": ["agent"], "active": False, "email": "gone@acme.example"},
}


def book(**kinds: dict[str, Any]) -> Book:
    """Return the book of a tenant with six users; kinds as `subscription={"erp": {…}}`."""
    bodies: dict[str, dict[str, bytes]] = {}
    for kind, entries in {"user": PEOPLE, **kinds}.items():
        for name, body in entries.items():
            value = json.dumps(body).encode()
            KINDS[kind].model_validate_json(value)
            bodies.setdefault(kind, {})[name] = value
    return Book(TenantData(bodies))


def told(name: str = "created", /, *, hides: set[Facet] | None = None, at: datetime = NOW, **case: Any) -> News:
    """Return what happened to a case; fields of its state, or `change`, `actor`, `seq` of the event."""
    body = event(name)
    for field in ("change", "actor", "seq"):
        if field in case:
            body[field] = case.pop(field)
    nobody: dict[str, list[Any]] = {key: [] for key in ("assignees", "watchers", "teams", "cc", "contacts")}
    body["case"] = body["case"] | nobody | case
    value = json.dumps(body).encode()
    parsed = CASE_EVENTS.types[event_type(name)].validate_json(value)
    return news.of_event(
        name, parsed, id_=f"event-{name}-{body['seq']}", at=at, body=value, hides=frozenset(hides or ())
    )


def told_to_counterpart(name: str = "created", /, *, tenant_id: str = "maker", **fields: Any) -> News:
    """Return what a counterpart's redacted topic says."""
    body = shared_event(name)
    body["case"] = body["case"] | fields
    value = json.dumps(body).encode()
    parsed = SHARED_EVENTS.types[event_type(name)].validate_json(value)
    return news.of_shared_event(name, parsed, tenant_id=tenant_id, id_=f"shared-{name}", at=NOW, body=value)


def note(text: str, visibility: str = "external", mentions: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the change of a note."""
    return {"note": {"id": "n1", "visibility": visibility, "text": text, "mentions": list(mentions)}}


def delivery(number: int = 1, **fields: Any) -> Delivery:
    """Return a waiting delivery."""
    known: dict[str, Any] = {
        "id": f"delivery-{number}",
        "tenant_id": "acme",
        "recipient": "hook:erp",
        "channel": NoticeChannel.WEBHOOK,
        "topic": NoticeTopic.CREATED,
        "event": "created",
        "created_at": NOW,
        "due_at": NOW + timedelta(milliseconds=number),
        "payload": b"{}",
    }
    return Delivery(**(known | fields))


def ways(found: list[Delivery]) -> set[tuple[str, str]]:
    """Return who is told by which channel."""
    return {(each.recipient, each.channel.value) for each in found}


def people(found: list[Delivery]) -> set[str]:
    """Return who is told."""
    return {each.recipient for each in found}
