"""News of remote sessions and of machines that come and go: who is told, and what."""

import json
from typing import Any

import pytest

from services.notification.domain import news
from services.notification.domain.device_news import of_presence
from services.notification.domain.news import News
from services.notification.domain.planning import planned
from services.notification.domain.session_news import of_session
from shared.contracts.catalogue import DEVICE_PRESENCE, SESSION_EVENTS
from shared.contracts.presence import PRESENCE
from shared.contracts.sessions import event_type
from shared.contracts.words import NoticeChannel
from tests.contract import golden_devices
from tests.contract.golden_sessions import session_event
from tests.unit.notification.news_of import NOW, book, people

OPERATORS = {
    "omar": {"roles": ["operator"], "email": "omar@acme.example"},
    "olga": {"roles": ["operator"], "email": "olga@acme.example", "scopes": ["device:lathe-*"]},
}
OURS = book(user={**OPERATORS, "tina": {"roles": ["technician"], "email": "tina@acme.example"}})
THEIRS = book(user={"tina": {"roles": ["technician"], "email": "tina@maker.example"}})
HOOK = {"erp": {"url": "https://erp.example/", "secrets": ["x"], "events": ["session_closed", "session_requested"]}}


def steps(name: str, *, by: str = "maker", **fields: Any) -> list[News]:
    """Return the news of a step of a session that tina asked for."""
    body = session_event(name)
    if "session" in body:
        body["session"] = body["session"] | fields | {"by": body["session"]["by"] | {"tenant_id": by}}
    value = json.dumps(body).encode()
    parsed = SESSION_EVENTS.types[event_type(name)].validate_json(value)
    return list(of_session(name, parsed, id_=f"s-{name}", at=NOW, body=value))


def told_of(name: str, **fields: Any) -> dict[str, set[str]]:
    """Return who is told, by tenant."""
    books = {"acme": OURS, "maker": THEIRS}
    return {each.tenant_id: people(planned(each, books[each.tenant_id])) for each in steps(name, **fields)}


def test_who_may_consent_is_asked_when_consent_is_needed_and_not_when_it_was_given_before() -> None:
    assert told_of("requested", state="AWAITING_CONSENT") == {"acme": {"user:omar"}}
    assert told_of("requested", state="REQUESTED") == {"acme": set()}


@pytest.mark.parametrize(
    ("name", "owner", "guest"),
    [
        ("offered", set(), {"user:tina"}),
        ("rejected", set(), {"user:tina"}),
        ("expired", set(), {"user:tina"}),
        ("failed", set(), {"user:tina"}),
        ("closed", {"user:omar"}, {"user:tina"}),
        ("revoked", {"user:omar"}, {"user:tina"}),
    ],
)
def test_who_asked_hears_what_became_of_it_and_the_owner_who_was_let_in(
    name: str, owner: set[str], guest: set[str]
) -> None:
    assert told_of(name) == {"acme": owner, "maker": guest}


def test_the_owner_hears_that_somebody_is_in() -> None:
    assert told_of("active") == {"acme": {"user:omar"}}


def test_of_one_tenant_both_are_told_once() -> None:
    assert told_of("closed", by="acme") == {"acme": {"user:omar", "user:tina"}}


@pytest.mark.parametrize("name", ["connecting", "inactive", "progressed", "granted", "withdrawn", "defined"])
def test_steps_in_between_are_nobodys_news(name: str) -> None:
    assert steps(name) == []


def test_what_the_other_tenant_is_sent_has_nothing_of_the_owners_people_or_targets() -> None:
    theirs = book(user={}, subscription=HOOK)
    guest = steps("closed", ended_by={"id": "omar", "role": "operator", "tenant_id": "acme"})[1]
    (hooked,) = [each for each in planned(guest, theirs) if each.recipient == "hook:erp"]
    body = json.loads(hooked.payload)
    assert body["type"] == "session.closed"
    assert body["data"]["session"]["state"] == "CLOSED"
    assert b"omar" not in hooked.payload
    assert b"192.168" not in hooked.payload


def test_the_owners_endpoint_is_sent_the_event_as_it_was_told() -> None:
    asked = steps("requested", state="AWAITING_CONSENT")[0]
    (hooked,) = [each for each in planned(asked, book(subscription=HOOK)) if each.recipient == "hook:erp"]
    assert json.loads(hooked.payload)["type"] == "session.requested"
    assert json.loads(hooked.payload)["data"] == json.loads(asked.body)


def test_who_is_asked_for_consent_is_told_at_once_and_of_the_rest_when_changes_have_gathered() -> None:
    mails = [
        each.due_at - NOW
        for name in ("requested", "active")
        for each in planned(steps(name, state="AWAITING_CONSENT")[0], OURS)
        if each.channel is NoticeChannel.EMAIL
    ]
    assert [due.total_seconds() for due in mails] == [0, 20]


def machine(**fields: Any) -> News | None:
    """Return the news of a change of presence."""
    value = json.dumps(golden_devices.PRESENCE | fields).encode()
    parsed = DEVICE_PRESENCE.types[PRESENCE].validate_json(value)
    return of_presence(parsed, id_="p-1", at=NOW, body=value)


def reached(found: News | None) -> set[str]:
    """Return who is told if the tenant's people want to hear of machines."""
    ours = book(user=OPERATORS, notification={"default": {"channels": {"machine": ["in_app"]}}})
    return people(planned(found, ours)) if found is not None else set()


def test_operators_who_want_to_hear_of_a_machine_that_has_gone_and_is_back() -> None:
    assert reached(machine(status="offline")) == {"user:omar"}
    assert reached(machine(status="online", previous="offline", cause="birth")) == {"user:omar"}
    gone = machine(status="offline")
    assert gone is not None
    assert people(planned(gone, book(user=OPERATORS))) == set(), "nobody who did not ask for it"


def test_an_unstable_machine_is_held_back_until_it_has_calmed_down() -> None:
    assert machine(status="offline", unstable=True) is None
    calm = machine(status="online", previous="online", cause="heartbeat", unstable=False)
    assert calm is not None
    assert calm.event == f"{news.DEVICE}online"


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "degraded"},
        {"status": "offline", "cause": "decommission"},
        {"status": "online", "previous": "unknown", "cause": "birth"},
    ],
    ids=["late", "taken out", "new"],
)
def test_what_is_no_news_of_a_machine(fields: dict[str, Any]) -> None:
    assert machine(**fields) is None
