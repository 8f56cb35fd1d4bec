"""What a counterpart reads: the events of a shared case, redacted as workflow does it."""

from typing import Any

import orjson

from services.workflow.domain import Event
from services.workflow.domain.redaction import Viewer, redact_event
from shared.contracts.case import CASE_STATE, Actor, CaseState
from shared.contracts.events import Cause
from shared.contracts.words import Role
from tests.contract.golden_cases import CASE, event

SHARED = {"visibility": "shared", "counterpart_tenant_id": "maker"}
#: Where the change of the owner's event has nothing for the counterpart, or is not what it is about.
BEFORE: dict[str, dict[str, Any]] = {
    "shared": {"visibility": "internal"},
    "unassigned": {"assignees": ["ann"]},
    "deescalated": {"escalation": event("escalated")["change"]["escalation"]},
    "untagged": {"tags": ["spindle", "hot"]},
    "unmerged": {"state": "CANCELLED", "resolution": {"outcome": "duplicate"}},
    "requeued": {"state": "IN_PROGRESS", "assignees": ["ann"]},
}
MIA = Actor(id="mia", role=Role.OPERATOR, tenant_id="maker")
THEIRS = frozenset({"note_added", "resolution_rejected", "attached"})


def shared_event(name: str) -> dict[str, Any]:
    """Return the body of an event as the counterpart `maker` reads it."""
    told = event(name)
    actor = MIA if name in THEIRS else CASE_STATE.validate_python(CASE).created_by
    first = name in {"created", "shared"}
    state = _state({**told["case"], **SHARED})
    before = None if name == "created" else _state({**CASE, **SHARED, **BEFORE.get(name, {})})
    happened = Event(name=name, change=told["change"], state=state, cause=Cause(**told["cause"]), actor=actor)
    shared = redact_event(happened, before, Viewer(tenant_id="maker"), 1 if first else 4)
    if shared is None:
        raise ValueError(f"{name} tells a counterpart nothing: think of an example that does")
    who = {"role": shared.actor.role.value, "tenant_id": shared.actor.tenant_id, "id": shared.actor.id}
    head = {"case_id": state.id, "number": state.number, "seq": 1 if first else 4, "at": told["at"]}
    body = {**head, "actor": {k: v for k, v in who.items() if v}, "change": shared.change, "case": shared.case}
    loaded: dict[str, Any] = orjson.loads(orjson.dumps(body))
    return loaded


def _state(case: dict[str, Any]) -> CaseState:
    return CASE_STATE.validate_python({name: value for name, value in case.items() if value is not None})
