"""How a case begins: its first state, from what was given and who gave it."""

from datetime import datetime
from typing import Any, Final

from services.workflow.domain.case import Case, Event, Refused
from services.workflow.domain.steps import condition_of
from shared.contracts.case import CaseState, SignalState, StatusChange
from shared.contracts.commands import Create, NewCase, NewSignal
from shared.contracts.events import Cause
from shared.contracts.words import Channel, Condition, Origin, RefusalCode, Role, State, Visibility

FOLD_BYTES_MAX: Final = 8 * 1024 * 1024  # of all events that one creation brings: a document can hold 16 MiB
EVENT_BYTES: Final = 2 * 1024  # of one event and its outcome, without what the case was given

SHARERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})
ORIGINS: Final[dict[Role, tuple[Origin, Channel]]] = {
    Role.DEVICE: (Origin.DEVICE, Channel.DEVICE),
    Role.OPERATOR: (Origin.OPERATOR, Channel.PORTAL),
    Role.CONTACT: (Origin.PORTAL, Channel.PORTAL),
    Role.AGENT: (Origin.AGENT, Channel.API),
    Role.TECHNICIAN: (Origin.AGENT, Channel.API),
    Role.SYSTEM: (Origin.TRIGGER, Channel.API),
}

NOBODY_TO_SHARE_WITH: Final = Refused(
    RefusalCode.INVALID_COMMAND,
    "A shared case needs another tenant to share it with; give `counterpart_tenant_id`, or make it internal.",
    ("case.counterpart_tenant_id",),
)
TOO_MUCH: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED,
    "Too many commands wait for this case to be created with texts this long; create it with shorter ones.",
    ("case",),
)


def create(stub: Case, command: Create, *, cause: Cause, now: datetime, number: str) -> tuple[Case, Event] | Refused:
    """Return the new case and its first event."""
    given = command.case
    counterpart = given.counterpart_tenant_id
    visibility = given.visibility or _visibility(command)
    if counterpart == command.tenant_id or (visibility is Visibility.SHARED and counterpart is None):
        return NOBODY_TO_SHARE_WITH
    if stub.parked and len(stub.parked) * (len(given.model_dump_json().encode()) + EVENT_BYTES) > FOLD_BYTES_MAX:
        return TOO_MUCH
    state = _first_state(command, visibility, number=number, now=now)
    cleared_at = _cleared_at(given.signal)
    case = Case(id=stub.id, state=state, hash=stub.hash, cleared_at=cleared_at)
    event = Event(name="created", change=_change(command), state=state, cause=cause, actor=command.actor)
    return case, event


def _visibility(command: Create) -> Visibility:
    shared = command.actor.role in SHARERS and command.case.counterpart_tenant_id is not None
    return Visibility.SHARED if shared else Visibility.INTERNAL


def _first_state(command: Create, visibility: Visibility, *, number: str, now: datetime) -> CaseState:
    given = command.case
    origin, channel = ORIGINS[command.actor.role]
    return CaseState(
        id=command.case_id,
        number=number,
        tenant_id=command.tenant_id,
        counterpart_tenant_id=given.counterpart_tenant_id,
        visibility=visibility,
        state=State.NEW,
        title=given.title,
        description=given.description,
        case_type=given.case_type,
        case_code=given.case_code,
        ticket_class=given.ticket_class,
        priority=given.priority,
        severity=given.severity,
        device_id=given.device_id,
        machine=given.machine,
        part_model=given.part_model,
        primary_ref=given.primary_ref,
        secondary_ref=given.secondary_ref,
        customer_reference=given.customer_reference,
        occurred_at=given.occurred_at,
        origin=given.origin or origin,
        channel=given.channel or channel,
        assignees=tuple(dict.fromkeys(given.assignees)),
        tags=tuple(dict.fromkeys(given.tags)),
        template_id=given.template_id,
        solution_suggestion=given.solution_suggestion,
        links=given.links,
        signal=_signal(given),
        status_history=(StatusChange(state=State.NEW, at=now),),
        created_at=now,
        created_by=command.actor,
        updated_at=now,
        updated_by=command.actor,
        version=1,
        seq=1,
    )


def _signal(given: NewCase) -> SignalState | None:
    new = given.signal
    if new is None:
        return None
    return SignalState(
        dedup_key=new.dedup_key,
        count=new.count,
        first_at=min(new.first_at, new.last_at),
        last_at=new.last_at,
        condition=condition_of(new.last_at, _cleared_at(new)),
        raw_severity=new.raw_severity,
    )


def _cleared_at(new: NewSignal | None) -> datetime | None:
    return new.last_at if new is not None and new.condition is Condition.CLEARED else None


def _change(command: Create) -> dict[str, object]:
    change: dict[str, Any] = command.case.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    for name in ("raw", "measurements", "clock_skew"):
        value = getattr(command, name)
        if value is not None:
            change[name] = value
    return change
