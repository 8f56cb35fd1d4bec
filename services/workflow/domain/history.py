"""What a case's events say of what only decisions need: a case can be had again from its history alone.

Every event carries the state after it; what the state does not show follows from the events in their order. Whoever
adds a field to `Case` that is no part of its state says here how events bring it about.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.workflow.domain.case import MACHINES, Accepted, Case, FileRef, Merged, NoteRef, Papers, Ties
from services.workflow.domain.decide import PARKABLE, decide
from services.workflow.domain.family import with_inbound, without_inbound
from shared.contracts.case import BEFORE, Actor
from shared.contracts.commands import CaseCommand
from shared.contracts.events import Cause
from shared.contracts.words import Condition, LinkKind, NoteVisibility
from shared.evolution import evolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as it was told, without the state after it; `change` is its JSON, `version` that of the state."""

    name: str
    seq: int
    version: int
    at: datetime
    actor: Actor
    cause_id: str
    change: Mapping[str, Any]


def remember(case: Case, told: Told) -> Case:
    """Return the case after its next event, with the state and the hash still those before."""
    known: dict[str, Any] = {"recent": case.recent.add_event(told.cause_id, told.seq, told.version)}
    if told.actor.role not in MACHINES:
        known["touched"] = True
    brings = BROUGHT.get(told.name)
    return evolve(case, **known) if brings is None else evolve(case, **known, **brings(case, told))


def wait(stub: Case, name: str, command: CaseCommand, *, cause: Cause, now: datetime) -> Case:
    """Return the stub of a case that is not created yet after one more command; most commands leave it as it is."""
    decision = decide(stub, name, command, cause=cause, now=now, number=None) if name in PARKABLE else None
    return decision.case if isinstance(decision, Accepted) else stub


def _created(case: Case, told: Told) -> dict[str, Any]:
    known: dict[str, Any] = {"parked": (), "cleared_at": _cleared_on_arrival(told.change)}
    if any(link["kind"] == LinkKind.PARENT for link in told.change.get("links", ())):
        known["ties"] = evolve(case.ties, parent_attempt=told.seq)
    return known


def _cleared(case: Case, told: Told) -> dict[str, Any]:
    return {"cleared_at": _later(case.cleared_at, _instant(told.change["at"]))}


def _flapped(case: Case, told: Told) -> dict[str, Any]:
    return {"flapping_at": _later(case.flapping_at, _instant(told.change["at"]))}


def _ended(case: Case, told: Told) -> dict[str, Any]:
    return {"ended_at": case.ended_at or told.at, "deleted": case.deleted or told.name == "deleted"}


def _reopened(_case: Case, _told: Told) -> dict[str, Any]:
    return {"ended_at": None}


def _ended_with_target(_case: Case, told: Told) -> dict[str, Any]:
    return {"ended_at": _instant(told.change["at"])}


def _merged(case: Case, told: Told) -> dict[str, Any]:
    before = BEFORE.validate_python(told.change["before"])
    return {"ties": evolve(case.ties, merged=Merged(into=told.change["into"], attempt=told.seq, before=before))}


def _unmerged(case: Case, _told: Told) -> dict[str, Any]:
    return {"ties": evolve(case.ties, merged=None), "ended_at": None}


def _linked(case: Case, told: Told) -> dict[str, Any]:
    return {"ties": _with_link(case.ties, told)}


def _filed(case: Case, told: Told) -> dict[str, Any]:
    return {"papers": FILED[told.name](case.papers, told)}


def _with_link(ties: Ties, told: Told) -> Ties:
    link = told.change["link"]
    kind, id_ = LinkKind(link["kind"]), link["id"]
    if kind is LinkKind.PARENT:
        return evolve(ties, parent_attempt=told.seq if told.name == "linked" else None)
    if kind not in {LinkKind.CHILD, LinkKind.DUPLICATE}:
        return ties
    if told.name == "unlinked":
        return without_inbound(ties, kind, id_)
    return with_inbound(ties, kind, id_, link["attempt"]) if "attempt" in link else ties


def _with_note(papers: Papers, told: Told) -> Papers:
    note = told.change["note"]
    added = NoteRef(
        id=note["id"],
        author_id=told.actor.id,
        author_tenant_id=told.actor.tenant_id,
        visibility=NoteVisibility(note["visibility"]),
        parent_id=note.get("parent_note_id"),
    )
    files = tuple(_file(told, file["id"], added.id) for file in note.get("attachments", ()))
    return evolve(papers, notes=(*papers.notes, added), files=papers.files + files)


def _with_note_changed(papers: Papers, told: Told) -> Papers:
    note = told.change["note"]
    gone = {file["id"] for file in note.get("attachments", ())}
    changed = {"revision": note["revision"]} if told.name == "note_edited" else {"deleted": True}
    notes = tuple(evolve(each, **changed) if each.id == note["id"] else each for each in papers.notes)
    return evolve(papers, notes=notes, files=tuple(file for file in papers.files if file.id not in gone))


def _with_file(papers: Papers, told: Told) -> Papers:
    file = told.change["attachment"]
    return evolve(papers, files=(*papers.files, _file(told, file["id"], file.get("note_id"))))


def _without_file(papers: Papers, told: Told) -> Papers:
    gone = told.change["attachment"]["id"]
    return evolve(papers, files=tuple(file for file in papers.files if file.id != gone))


def _file(told: Told, id_: str, note_id: str | None) -> FileRef:
    return FileRef(id=id_, by_id=told.actor.id, by_tenant_id=told.actor.tenant_id, note_id=note_id)


FILED: Final[Mapping[str, Callable[[Papers, Told], Papers]]] = {
    "note_added": _with_note,
    "action_requested": _with_note,
    "note_edited": _with_note_changed,
    "note_deleted": _with_note_changed,
    "attached": _with_file,
    "detached": _without_file,
}


def _cleared_on_arrival(change: Mapping[str, Any]) -> datetime | None:
    signal = change.get("signal") or {}
    return _instant(signal["last_at"]) if signal.get("condition") == Condition.CLEARED else None


def _later(known: datetime | None, at: datetime) -> datetime:
    return at if known is None else max(known, at)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


BROUGHT: Final[Mapping[str, Callable[[Case, Told], dict[str, Any]]]] = {
    "created": _created,
    "condition_cleared": _cleared,
    "flapping_changed": _flapped,
    "closed": _ended,
    "cancelled": _ended,
    "archived": _ended,
    "deleted": _ended,
    "reopened": _reopened,
    "reopened_with_target": _reopened,
    "ended_with_target": _ended_with_target,
    "merged": _merged,
    "unmerged": _unmerged,
    "linked": _linked,
    "unlinked": _linked,
    **dict.fromkeys(FILED, _filed),
}
