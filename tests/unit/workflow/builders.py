"""Cases, commands and causes that are valid by default; one keyword to differ."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from services.workflow.domain import Accepted, Case, Decision, Tenant, decide
from shared.contracts.case import Actor, CaseState
from shared.contracts.commands import COMMANDS, CaseCommand
from shared.contracts.events import Cause
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import HoldReason, LinkKind, RefusalCode, Role

OTHER_ID = "0f0e0d0c-0b0a-5908-8706-0504030201ff"
CASE_ID = "0f0e0d0c-0b0a-5908-8706-050403020100"
START = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
_ids = itertools.count()


def minute(number: float) -> datetime:
    """Return an instant some minutes after the start of the story."""
    return START + timedelta(minutes=number)


def with_counterparts(**counterparts: dict[str, Any]) -> Tenant:
    """Return a tenant that has set these counterparts, and nothing else."""
    bodies = {name: json.dumps(body).encode() for name, body in counterparts.items()}
    return Tenant(TenantData({"counterpart": bodies}))


def actor(role: Role | str, id_: str | None = None, tenant: str = "acme") -> Actor:
    """Return an actor, named after the role if nothing else."""
    return Actor(id=id_ or f"{Role(role)}-1", role=Role(role), tenant_id=tenant)


DEVICE = actor("device", "press-07")
AGENT = actor("agent")


def command(name: str, by: Actor = AGENT, /, **arguments: Any) -> CaseCommand:
    """Return a command with the least arguments it needs."""
    least: dict[str, dict[str, Any]] = {
        "create": {"case": {"title": "Spindle over temperature"}},
        "occur": {"count": 1, "last_at": minute(1)},
        "clear": {"at": minute(2)},
        "flag_flapping": {"flapping": True},
        "assign": {"assignee": "me"},
        "hold": {"reason": HoldReason.PARTS},
        "request_action": {"text": "Please send a photo"},
        "reply": {"text": "Here it is"},
        "resolve": {"summary": "New bearing"},
        "reject_resolution": {"reason": "It still smells"},
        "cancel": {"reason": "Reported by mistake"},
        "reopen": {"reason": "It is back"},
        "escalate": {"comment": "The line stands still"},
        "share": {"counterpart_tenant_id": "maker"},
        "update": {"fields": {"description": "Hot since Monday"}},
        "link": {"kind": LinkKind.WORK_ORDER, "id": "WO-1"},
        "unlink": {"kind": LinkKind.WORK_ORDER, "id": "WO-0"},
        "merge": {"into": OTHER_ID},
        "refuse_link": {
            "kind": LinkKind.DUPLICATE_OF,
            "id": OTHER_ID,
            "attempt": 3,
            "code": RefusalCode.INVALID_TRANSITION,
            "message": "Not open",
        },
        "end_with_target": {"id": OTHER_ID, "attempt": 3, "at": minute(3)},
        "reopen_with_target": {"id": OTHER_ID, "attempt": 3},
        "tag": {"tags": ("hot",)},
        "untag": {"tags": ("hot",)},
        "add_note": {"text": "I see"},
        "edit_note": {"note_id": "n-1", "text": "I see it"},
        "delete_note": {"note_id": "n-1"},
        "attach": {"attachment_id": "f-2", "name": "photo.jpg"},
        "detach": {"attachment_id": "f-1"},
    }
    base = {"case_id": CASE_ID, "tenant_id": "acme", "actor": by}
    return COMMANDS[name].model_validate(base | least.get(name, {}) | arguments)


def signal(**fields: Any) -> dict[str, Any]:
    """Return what intake knows of a first signal."""
    return {"dedup_key": "press-07:E417", "count": 1, "first_at": START, "last_at": START} | fields


def cause(id_: str | None = None) -> Cause:
    """Return the place of a command, with an id of its own."""
    number = next(_ids)
    return Cause(id=id_ or f"command-{number}", type="test", topic="case.commands.v1", partition=0, offset=number)


def told(
    case: Case | None,
    name: str,
    by: Actor = AGENT,
    /,
    *,
    now: datetime | None = None,
    id_: str | None = None,
    tenant: Tenant | None = None,
    **arguments: Any,
) -> Decision:
    """Return the decision on one command; unless it is said otherwise, the tenant has one counterpart, `maker`."""
    return decide(
        case,
        name,
        command(name, by, **arguments),
        cause=cause(id_),
        now=now or minute(10),
        number="10000001",
        tenant=tenant or with_counterparts(maker={}),
    )


def after(case: Case | None, name: str, by: Actor = AGENT, /, **arguments: Any) -> Case:
    """Return the case after a command that must be accepted."""
    decision = told(case, name, by, **arguments)
    assert isinstance(decision, Accepted), decision
    return decision.case


def accepted(decision: Decision) -> Accepted:
    """Return a decision that must be an acceptance."""
    assert isinstance(decision, Accepted), decision
    return decision


def state_of(case: Case) -> CaseState:
    """Return the state of a case that must have one."""
    assert case.state is not None
    return case.state


def by_device(**fields: Any) -> Case:
    """Return a new case that a device's signal opened."""
    title = {"title": "Spindle over temperature", "signal": signal()}
    return after(None, "create", DEVICE, now=START, case=title | fields)


def by_operator(**fields: Any) -> Case:
    """Return a new case that an operator opened."""
    return after(None, "create", actor("operator"), now=START, case={"title": "It smells"} | fields)
