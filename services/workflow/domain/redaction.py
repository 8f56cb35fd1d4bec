"""What the counterpart of a shared case may see of it: nothing, unless it is allowed here.

A field of the state, a kind of event or a command's own word that nobody has thought of stays hidden. What may be seen
is listed with the facet by which the owner can hide it all the same.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.workflow.domain.case import Event
from services.workflow.domain.tenant import Tenant
from shared.contracts.case import Actor, CaseState, CloseRequest, Contact, Escalation, SignalState, StatusChange
from shared.contracts.shared_case import (
    SHARED_CASE,
    SharedActor,
    SharedCase,
    SharedCloseRequest,
    SharedContact,
    SharedEscalation,
    SharedSignal,
    SharedStatus,
)
from shared.contracts.words import Facet, NoteVisibility, Visibility

#: What the counterpart is told as it stands, and the facet that hides it; parts that are redacted are in `REDACTED`.
SHOWN: Final[Mapping[str, Facet | None]] = {
    "id": None,
    "number": None,
    "tenant_id": None,
    "counterpart_tenant_id": None,
    "visibility": None,
    "state": None,
    "title": None,
    "description": Facet.DESCRIPTION,
    "case_type": None,
    "case_code": None,
    "ticket_class": None,
    "details": Facet.REFERENCES,
    "severity": None,
    "device_id": Facet.MACHINE,
    "machine": Facet.MACHINE,
    "part_model": Facet.MACHINE,
    "primary_ref": Facet.REFERENCES,
    "secondary_ref": Facet.REFERENCES,
    "customer_reference": Facet.REFERENCES,
    "occurred_at": None,
    "origin": None,
    "channel": None,
    "contacts": Facet.CONTACTS,
    "tags": Facet.TAGS,
    "resolution": Facet.SOLUTION,
    "escalation": None,
    "close_request": None,
    "signal": Facet.SIGNAL,
    "status_history": None,
    "reopen_count": None,
    "first_response_at": None,
    "resolved_at": None,
    "closed_at": None,
    "created_at": None,
    "created_by": None,
    "updated_at": None,
    "updated_by": None,
    "version": None,
    "deleted_at": None,
}
#: What no counterpart is ever told: how the owner orders its work, who does it, and what else it knows.
HIDDEN: Final = frozenset(
    {
        "priority",
        "classification",  # the desk's own order of things
        "cc",  # addresses that the owner's notices go to
        "assignees",  # `assigned` tells whether there are any
        "teams",
        "watchers",
        "template_id",
        "solution_suggestion",
        "links",  # they may lead to internal cases
        "seq",  # counts internal events too
    }
)
#: The events that are told, the words of each that are meant for the counterpart, and the facet that hides them.
TEXTS: Final[Mapping[str, Mapping[str, Facet | None]]] = {
    "created": {},
    "occurred": {},
    "recurred": {},
    "condition_cleared": {"at": Facet.SIGNAL},
    "flapping_changed": {"at": Facet.SIGNAL},
    "assigned": {},
    "unassigned": {},
    "started": {},
    "held": {},
    "action_requested": {"note": Facet.NOTES},
    "resumed": {},
    "requeued": {},
    "resolved": {},
    "resolution_rejected": {"reason": None},
    "closed": {},
    "reopened": {"reason": None},
    "cancelled": {"reason": None},
    "archived": {},
    "escalated": {},
    "deescalated": {},
    "close_requested": {},
    "shared": {},
    "deleted": {},
    "updated": {},
    "tagged": {},
    "untagged": {},
    "merged": {},  # into which case is not told, as it may be internal
    "unmerged": {},
    "note_added": {"note": Facet.NOTES},
    "note_edited": {"note": Facet.NOTES},
    "note_deleted": {"note": Facet.NOTES},
    "attached": {"attachment": Facet.ATTACHMENTS},
    "detached": {"attachment": Facet.ATTACHMENTS},
}
#: Parts of a note or of a file that are told.
NOTE_PARTS: Final = ("id", "visibility", "parent_note_id", "text", "revision")
FILE_PARTS: Final = ("id", "visibility", "note_id", "name")
#: What says only that there was an event: alone it is no reason to tell one.
BOOKKEEPING: Final = frozenset({"status_history", "updated_at", "updated_by", "version", "seq"})
BEGINNINGS: Final = frozenset({"created", "shared"})

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at a case: the counterpart, and what the owner hides from it."""

    tenant_id: str
    hides: frozenset[Facet] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedChange:
    """What the counterpart is told of one event, ready for JSON."""

    actor: SharedActor
    change: Body
    case: Body


def viewer_of(state: CaseState, tenant: Tenant) -> Viewer | None:
    """Return who looks at a case besides its owner: nobody, unless it is shared with a counterpart that takes part."""
    if state.visibility is not Visibility.SHARED or state.counterpart_tenant_id is None:
        return None
    counterpart = tenant.data.counterpart(state.counterpart_tenant_id)
    if counterpart is None or not counterpart.onboarded:
        return None
    return Viewer(tenant_id=state.counterpart_tenant_id, hides=frozenset(counterpart.hides))


def redact_event(event: Event, before: CaseState | None, viewer: Viewer, seq: int) -> SharedChange | None:
    """Return what a viewer is told of an event, as number `seq`; nothing if nothing of it is for them."""
    if event.name not in TEXTS:
        return None
    case = redact(event.state, viewer, seq)
    known = {} if before is None else redact(before, viewer, seq)
    change = _patch(known, case) | _texts(event, viewer)
    if not change and event.name not in BEGINNINGS:
        return None
    return SharedChange(actor=_actor(event.actor, viewer), change=change, case=case)


def redact(state: CaseState, viewer: Viewer, seq: int) -> Body:
    """Return a case as a viewer sees it, ready for JSON; `seq` is the number of the event that brings it."""
    seen: dict[str, Any] = {}
    for name, facet in SHOWN.items():
        value = getattr(state, name)
        if value is None or (facet is not None and facet in viewer.hides):
            continue
        part = REDACTED.get(name)
        seen[name] = value if part is None else part(value, viewer)
    seen["counterpart_tenant_id"] = viewer.tenant_id
    shared = SharedCase(**seen, assigned=bool(state.assignees), seq=seq)
    body: Body = SHARED_CASE.dump_python(shared, mode="json", exclude_none=True)
    return body


def _patch(before: Body, after: Body) -> Body:
    """Return what changed as a merge patch; of the signal only the parts that did."""
    change: Body = {}
    for name in before.keys() | after.keys():
        if name not in BOOKKEEPING and before.get(name) != after.get(name):
            change[name] = after.get(name)
    if isinstance(change.get("signal"), dict) and "signal" in before:
        change["signal"] = {n: v for n, v in change["signal"].items() if before["signal"].get(n) != v}
    return dict(sorted(change.items()))


def _texts(event: Event, viewer: Viewer) -> Body:
    allowed = {n for n, facet in TEXTS[event.name].items() if facet is None or facet not in viewer.hides}
    found = {name: value for name, value in event.change.items() if name in allowed}
    for name, parts in (("note", NOTE_PARTS), ("attachment", FILE_PARTS)):
        if name in found:
            paper = _paper(found.pop(name), parts, viewer)
            found |= {name: paper} if paper else {}
    return found


def _paper(paper: Any, parts: Collection[str], viewer: Viewer) -> Body | None:  # noqa: ANN401 - any value of a change
    """Return a note or a file as a viewer sees it; nothing unless it is said to be external."""
    if not isinstance(paper, dict) or paper.get("visibility") != NoteVisibility.EXTERNAL.value:
        return None
    seen = {name: paper[name] for name in parts if name in paper}
    if "attachments" in paper and Facet.ATTACHMENTS not in viewer.hides:
        seen["attachments"] = [
            {name: file[name] for name in ("id", "name") if name in file} for file in paper["attachments"]
        ]
    return seen


def _actor(actor: Actor, viewer: Viewer) -> SharedActor:
    own = actor.tenant_id == viewer.tenant_id
    return SharedActor(role=actor.role, tenant_id=actor.tenant_id, id=actor.id if own else None)


def _contacts(contacts: tuple[Contact, ...], viewer: Viewer) -> tuple[SharedContact, ...]:
    """Return the contacts but for the owner's own people."""
    return tuple(
        SharedContact(
            type=contact.type,
            user=contact.user if contact.tenant_id == viewer.tenant_id else None,
            first_name=contact.first_name,
            last_name=contact.last_name,
            details=contact.details,
        )
        for contact in contacts
        if _is_seen(contact, viewer)
    )


def _is_seen(contact: Contact, viewer: Viewer) -> bool:
    return contact.tenant_id == viewer.tenant_id or (contact.tenant_id is None and contact.user is None)


def contacts_unseen(state: CaseState, tenant_id: str, tenant: Tenant) -> tuple[Contact, ...]:
    """Return the contacts of a case that a counterpart is not told of; all of them, if it is told of none."""
    viewer = viewer_of(state, tenant)
    if viewer is None or viewer.tenant_id != tenant_id or Facet.CONTACTS in viewer.hides:
        return state.contacts
    return tuple(contact for contact in state.contacts if not _is_seen(contact, viewer))


def _escalation(escalation: Escalation, viewer: Viewer) -> SharedEscalation:
    own = escalation.by.tenant_id == viewer.tenant_id
    return SharedEscalation(
        level=escalation.level,
        by=_actor(escalation.by, viewer),
        at=escalation.at,
        comment=escalation.comment if own else None,
    )


def _close_request(request: CloseRequest, viewer: Viewer) -> SharedCloseRequest:
    return SharedCloseRequest(by=_actor(request.by, viewer), at=request.at)


def _signal(signal: SignalState, _viewer: Viewer) -> SharedSignal:
    return SharedSignal(
        count=signal.count,
        first_at=signal.first_at,
        last_at=signal.last_at,
        condition=signal.condition,
        flapping=signal.flapping,
        raw_severity=signal.raw_severity,
    )


def _history(history: tuple[StatusChange, ...], _viewer: Viewer) -> tuple[SharedStatus, ...]:
    return tuple(SharedStatus(state=step.state, at=step.at, reason=step.reason) for step in history)


REDACTED: Final[Mapping[str, Callable[[Any, Viewer], Any]]] = {
    "contacts": _contacts,
    "escalation": _escalation,
    "close_request": _close_request,
    "signal": _signal,
    "status_history": _history,
    "created_by": _actor,
    "updated_by": _actor,
}
