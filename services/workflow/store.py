"""How a case is written down: case <-> document, without I/O."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import orjson

from services.workflow.domain import Case, Parked
from services.workflow.domain.case import (
    NO_PAPERS,
    NO_TIES,
    FileRef,
    Inbound,
    Merged,
    NoteRef,
    Papers,
    Shared,
    Ties,
)
from services.workflow.domain.recent import Recent
from services.workflow.domain.timing import Timing
from shared.contracts.case import BEFORE, CASE_STATE, CaseState
from shared.contracts.events import Cause
from shared.contracts.fields import rfc3339
from shared.contracts.words import LinkKind, NoteVisibility, State
from shared.errors import UnknownSchema

SCHEMA: Final = 1
#: Parts whose names are outsiders' words: kept as JSON, for a name in a document must be ours.
OUTSIDERS: Final = ("details", "classification")
INSTANTS: Final = ("cleared_at", "flapping_at", "ended_at")

Document = dict[str, Any]


def to_document(case: Case) -> Document:
    """Return the document of a case: what queries need on top, the state as it is told, texts of outsiders as JSON."""
    document: Document = {
        "_id": case.id,
        "schema": SCHEMA,
        "hash": case.hash,
        "touched": case.touched,
        "deleted": case.deleted,
        "recent": case.recent.text,
    }
    for name in INSTANTS:
        instant = getattr(case, name)
        if instant is not None:
            document[name] = instant
    if case.parked:
        document["parked"] = [asdict(parked) for parked in case.parked]
    if case.papers is not NO_PAPERS:
        document |= _papers(case.papers)
    if case.timing is not None and case.state is not None:
        document |= _timing(case.timing, case.state)
    if case.ties != NO_TIES:
        document["ties"] = _ties(case.ties)
    if case.shared is not None:
        document["shared"] = asdict(case.shared)
    if case.state is not None:
        document |= _searchable(case.state)
        document["case"] = _state(case.state)
    return document


def from_document(document: Document) -> Case:
    """Return the case of a document.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"case {document['_id']} has schema {document['schema']}, known is {SCHEMA}")
    state = document.get("case")
    if state is not None:
        state = state | {name: orjson.loads(state[name]) for name in OUTSIDERS if name in state}
    return Case(
        id=document["_id"],
        state=None if state is None else CASE_STATE.validate_python(state),
        hash=document["hash"],
        touched=document["touched"],
        deleted=document["deleted"],
        cleared_at=document.get("cleared_at"),
        flapping_at=document.get("flapping_at"),
        ended_at=document.get("ended_at"),
        parked=tuple(Parked(**(parked | {"cause": Cause(**parked["cause"])})) for parked in document.get("parked", ())),
        ties=_read_ties(document),
        papers=_read_papers(document),
        shared=Shared(**document["shared"]) if "shared" in document else None,
        recent=Recent(document["recent"]),
        timing=_read_timing(document),
    )


def timed_key(tenant_id: str, settings_at: datetime | None) -> str:
    """Return what tells, in order, which cases of a tenant were timed by older settings."""
    return f"{tenant_id}|{rfc3339(settings_at) if settings_at else ''}"


def _timing(timing: Timing, state: CaseState) -> Document:
    """Return what the clock looks for (`due_at`, and `timed` as long as settings still matter) and what was told."""
    found: Document = {"timing": {"first_response": timing.first_response, "resolution": timing.resolution}}
    if timing.settings_at is not None:
        found["timing"]["settings_at"] = timing.settings_at
    if timing.due_at is not None:
        found["due_at"] = timing.due_at
    if state.state is not State.ARCHIVED and state.deleted_at is None:
        found["timed"] = timed_key(state.tenant_id, timing.settings_at)
    return found


def _read_timing(document: Document) -> Timing | None:
    found = document.get("timing")
    return None if found is None else Timing(**found, due_at=document.get("due_at"))


def _papers(papers: Papers) -> Document:
    """Return notes and files as JSON of bare lists: there may be a thousand, read by decisions alone."""
    notes = [
        (n.id, n.author_id, n.author_tenant_id, n.visibility, n.parent_id, n.revision, n.deleted) for n in papers.notes
    ]
    files = [(f.id, f.by_id, f.by_tenant_id, f.note_id) for f in papers.files]
    return {"notes": orjson.dumps(notes), "files": orjson.dumps(files)}


def _read_papers(document: Document) -> Papers:
    if "notes" not in document:
        return NO_PAPERS
    notes = tuple(
        NoteRef(
            id=id_,
            author_id=author_id,
            author_tenant_id=tenant_id,
            visibility=NoteVisibility(visibility),
            parent_id=parent_id,
            revision=revision,
            deleted=deleted,
        )
        for id_, author_id, tenant_id, visibility, parent_id, revision, deleted in orjson.loads(document["notes"])
    )
    files = tuple(
        FileRef(id=id_, by_id=by_id, by_tenant_id=tenant_id, note_id=note_id)
        for id_, by_id, tenant_id, note_id in orjson.loads(document["files"])
    )
    return Papers(notes=notes, files=files)


def _ties(ties: Ties) -> Document:
    merged = ties.merged
    stored: Document = {"inbound": [(tie.kind.value, tie.id, tie.attempt) for tie in ties.inbound]}
    if ties.parent_attempt is not None:
        stored["parent_attempt"] = ties.parent_attempt
    if merged is not None:
        before = BEFORE.dump_json(merged.before, exclude_defaults=True)
        stored["merged"] = {"into": merged.into, "attempt": merged.attempt, "before": before}
    return stored


def _read_ties(document: Document) -> Ties:
    stored = document.get("ties")
    if stored is None:
        return NO_TIES
    merged = stored.get("merged")
    return Ties(
        merged=None if merged is None else Merged(**(merged | {"before": BEFORE.validate_json(merged["before"])})),
        parent_attempt=stored.get("parent_attempt"),
        inbound=tuple(Inbound(kind=LinkKind(kind), id=id_, attempt=number) for kind, id_, number in stored["inbound"]),
    )


def _searchable(state: CaseState) -> Document:
    found: Document = {
        "tenant_id": state.tenant_id,
        "number": state.number,
        "state": state.state.value,
        "updated_at": state.updated_at,
    }
    if state.device_id is not None:
        found["device_id"] = state.device_id
    if state.signal is not None:
        found["dedup_key"] = state.signal.dedup_key
    return found


def _state(state: CaseState) -> Document:
    """Return the state as it is told; its words are texts to the driver."""
    body: Document = CASE_STATE.dump_python(state, exclude_none=True)
    for name in OUTSIDERS:
        if name in body:
            body[name] = orjson.dumps(body[name])
    return body
