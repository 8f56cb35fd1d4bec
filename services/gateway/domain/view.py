"""The view of a case: what an event says, as a document that lists are made of. Pure.

A view is keyed `<viewer tenant>/<case id>`: the owner's is made of `case.events.v1`, a counterpart's of its redacted
topic, so that one question serves both and nobody has to leave anything out afterwards.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from services.gateway.domain.remote_access import remote_access
from services.gateway.domain.text import fold, grams_of
from shared.contracts.words import Priority, Role, Severity, State

SCHEMA: Final = 1
KEY_MAX: Final = 200
"""Texts are compared and sorted by so many letters."""
UNKNOWN: Final = "unknown"
CASE: Final = b',"case":'
#: Words in their order, which they are sorted by: a life from its beginning, the most urgent first.
STATES: Final = tuple(State)
PRIORITIES: Final = tuple(Priority)
SEVERITIES: Final = tuple(Severity)
OPEN: Final = frozenset({State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED, State.RESOLVED})
#: Who opens a case as the one whose machine it is; others open it as the one who services the machine.
CUSTOMER_SIDE: Final = frozenset({Role.OPERATOR.value, Role.CONTACT.value, Role.DEVICE.value, Role.SYSTEM.value})

Document = dict[str, Any]
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """A case as its viewer sees it: `state` is the state after of the last event, `columns` what is not in it."""

    case_id: str
    number: str
    seq: int
    version: int
    deleted: bool
    state: Body
    columns: Body


class Seen(NamedTuple):
    """A view as it is now, and who takes part in its case."""

    view: CaseView
    parties: Collection[str]


class Written(NamedTuple):
    """A view that was written: whose, of which case, and how far it has come; `whole` if nothing of it is elsewhere."""

    tenant_id: str
    case_id: str
    seq: int
    version: int
    whole: Document | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """An event of a case as it was published: `value` are its bytes."""

    seq: int
    at: datetime
    type: str
    id: str
    cause_id: str | None
    prev_hash: str | None
    hash: str | None
    value: bytes


def view_id(viewer: str, case_id: str) -> str:
    """Return the id of a case's view."""
    return f"{viewer}/{case_id}"


def entry_id(viewer: str, case_id: str, seq: int) -> str:
    """Return the id of an entry of a case's history; in order of these ids, entries are in order."""
    return f"{viewer}/{case_id}:{seq:012d}"


def state_bytes(value: bytes, body: Body) -> bytes:
    """Return the state after, byte for byte as it stands in an event."""
    at = len(value)
    while (at := value.rfind(CASE, 0, at)) >= 0:
        found = value[at + len(CASE) : -1]
        # What outsiders write may look like the beginning of it, but not like the whole.
        if orjson_or_nothing(found) == body["case"]:
            return found
    return orjson.dumps(body["case"])


def orjson_or_nothing(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return what JSON says; nothing if it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def entry_document(viewer: str, body: Body, value: bytes, headers: Mapping[str, str]) -> Document:
    """Return the entry of an event in the history that a viewer sees."""
    papers = papers_in(body)
    return {
        "_id": entry_id(viewer, body["case_id"], body["seq"]),
        "schema": SCHEMA,
        "seq": body["seq"],
        "at": _instant(body["at"]),
        "type": headers.get("ce_type", ""),
        "event_id": headers.get("ce_id", ""),
        "cause": f"{viewer}/{cause}" if (cause := (body.get("cause") or {}).get("id")) else None,
        "prev_hash": headers.get("ce_prevhash"),
        "hash": headers.get("ce_hash"),
        "internal": any(paper.get("visibility") == "internal" for paper in papers),
        "noted": view_id(viewer, body["case_id"]) if papers else None,
        "papers": [view_id(viewer, paper["id"]) for paper in papers],
        "value": value,
    }


def event_name(type_: str) -> str:
    """Return the name of an event by its type on the wire."""
    return type_.removeprefix("callout.case.").rpartition(".")[0]


def papers_in(body: Body) -> list[Body]:
    """Return the notes and files that an event is about."""
    change: Body = body.get("change") or {}
    found = [change.get("note"), change.get("attachment")]
    found += (change.get("note") or {}).get("attachments") or () if isinstance(change.get("note"), Mapping) else ()
    return [paper for paper in found if isinstance(paper, Mapping) and isinstance(paper.get("id"), str)]


def view_document(viewer: str, body: Body, value: bytes) -> Document:
    """Return the view after an event: what is looked for and sorted by, folded, and the state as it was told."""
    case: Body = body["case"]
    deleted = case.get("deleted_at") is not None
    return {
        "_id": view_id(viewer, body["case_id"]),
        "schema": SCHEMA,
        "tenant": viewer,
        "listed": None if deleted else viewer,
        "ref": view_id(viewer, case["number"]),
        "case_id": body["case_id"],
        "seq": body["seq"],
        "version": case["version"],
        "deleted": deleted,
        "n": int(case["number"]),
        **_facts(case),
        **_people(case, viewer),
        **_sides(case),
        **_search(case),
        "raw": state_bytes(value, body),
    }


def _facts(case: Body) -> Document:
    machine: Body = case.get("machine") or {}
    state = State(case["state"])
    return {
        "created_at": _instant(case["created_at"]),
        "updated_at": _instant(case["updated_at"]),
        "closed_at": _instant(case.get("closed_at")),
        "state": STATES.index(state) + 1,
        "open": state in OPEN,
        "priority": _rank(PRIORITIES, case.get("priority")),
        "severity": _rank(SEVERITIES, case.get("severity")),
        "title": fold(case["title"])[:KEY_MAX],
        "case_type": case.get("case_type"),
        "case_code": case.get("case_code"),
        "origin": case.get("origin"),
        "visibility": case.get("visibility"),
        "escalated": case.get("escalation") is not None,
        "device": case.get("device_id"),
        "edge": f"{case['tenant_id']}/{case['device_id']}" if case.get("device_id") else None,
        "tags": [fold(tag) for tag in case.get("tags") or ()],
        **{name: _key(machine.get(name)) for name in ("serial", "model", "brand", "technology")},
    }


def _people(case: Body, viewer: str) -> Document:
    creator: Body = case.get("created_by") or {}
    assignees = list(case.get("assignees") or ())
    own = creator.get("id") if creator.get("tenant_id") == viewer else None
    contacts = [
        contact["user"]
        for contact in case.get("contacts") or ()
        if contact.get("user") and contact.get("tenant_id", viewer) == viewer
    ]
    parties = dict.fromkeys([own, *contacts, *assignees, *(case.get("watchers") or ())])
    return {
        "created_by": _key(creator.get("id") or creator.get("role")),
        "assignee": _key(assignees[0]) if assignees else None,
        "assignees": assignees,
        "teams": list(case.get("teams") or ()),
        "parties": [party for party in parties if party],
    }


def _sides(case: Body) -> Document:
    words: Body = case.get("classification") or {}
    customer, organisation = sides_of(case)
    return {
        "customer": _key(customer),
        "service_organisation": _key(organisation),
        "service_contract": _key(words.get("service_contract")),
        "application": _key(words.get("application")),
    }


def sides_of(case: Body) -> tuple[str | None, str | None]:
    """Return whose machine it is and who services it, as far as the case says.

    An account or customer that the classification names goes first. Of a shared case, who opened it tells which of
    the two tenants is which; a case that is not shared is serviced by its owner.
    """
    words: Body = case.get("classification") or {}
    named = words.get("customer") or words.get("account")
    owner, other = case["tenant_id"], case.get("counterpart_tenant_id")
    if other is None:
        return named, owner
    if (case.get("created_by") or {}).get("role") in CUSTOMER_SIDE:
        return named or owner, other
    return named or other, owner


def _search(case: Body) -> Document:
    names = ("title", "number", "primary_ref", "secondary_ref", "customer_reference")
    links = (link["id"] for link in case.get("links") or () if link.get("kind") == "external")
    parts = [fold(part) for part in (*(case.get(name) for name in names), *links) if part]
    return {"text": "\n".join(parts), "grams": grams_of(parts)}


def _rank(words: tuple[Any, ...], word: str | None) -> int | None:
    return words.index(word) + 1 if word in words else None


def _key(text: str | None) -> str | None:
    return fold(text)[:KEY_MAX] if text else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def read_view(document: Document, now: datetime) -> CaseView:
    """Return the view of a document; consent that has run out by now is none."""
    state: Body = orjson.loads(document["raw"])
    customer, organisation = sides_of(state)
    return CaseView(
        case_id=document["case_id"],
        number=state["number"],
        seq=document["seq"],
        version=document["version"],
        deleted=document["deleted"],
        state=state,
        columns={
            "customer": customer,
            "service_organisation": organisation,
            "service_contract": (state.get("classification") or {}).get("service_contract"),
            "remote_access": remote_access(state, document, now),
            "device_status": document.get("device_status", UNKNOWN),
        },
    )


def seen_of(document: Document, now: datetime) -> Seen:
    """Return the view of a document, with who takes part in its case."""
    return Seen(read_view(document, now), document["parties"])


def state_of_entry(entry: HistoryEntry) -> bytes:
    """Return the state after an event, byte for byte."""
    return state_bytes(entry.value, orjson.loads(entry.value))


def read_entry(document: Document) -> HistoryEntry:
    """Return the entry of a document."""
    cause = document["cause"]
    return HistoryEntry(
        seq=document["seq"],
        at=document["at"],
        type=document["type"],
        id=document["event_id"],
        cause_id=cause.split("/", 1)[1] if cause else None,
        prev_hash=document["prev_hash"],
        hash=document["hash"],
        value=document["value"],
    )
