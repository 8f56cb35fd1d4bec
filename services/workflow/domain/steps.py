"""One step of a case: what an effect wants changed, and how it is brought into the state and told."""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final

from services.workflow.domain.case import MACHINES, Accepted, Case, Event, Outcome, Send
from services.workflow.domain.guards import Scene
from services.workflow.domain.reliability import measured
from services.workflow.domain.tenant import Tenant
from services.workflow.domain.timing import look, missed
from services.workflow.domain.transitions import UNRESOLVED
from shared.contracts import limits
from shared.contracts.case import (
    Actor,
    CaseState,
    Escalation,
    Resolution,
    SignalState,
    StatusChange,
)
from shared.contracts.events import Cause
from shared.contracts.fields import rfc3339
from shared.contracts.words import Clock, Condition, HoldReason, LinkKind, Role, State
from shared.evolution import evolve

SYSTEM_ID: Final = "workflow"
CLEARED: Final = "Condition cleared"
MEASURED: Final = frozenset({"closed", "cancelled", "reopened"})
PROMISES: Final = {Clock.FIRST_RESPONSE: "first response", Clock.RESOLUTION: "resolution"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an accepted command changes: public fields, parts of the signal, and what only decisions need.

    `moves`: the state becomes the table's, or `to` where a command takes two steps (`then` is the second).
    `through`: states that are entered and left on the way; `reason`: of the new state, for its history.
    `text` is the command's own and only told. Nothing as a value removes a field.
    """

    event: str
    moves: bool = True
    to: State | None = None
    through: tuple[State, ...] = ()
    reason: HoldReason | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    signal: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    internal: dict[str, Any] = field(default_factory=dict)
    then: "Step | None" = None
    sends: tuple[Send, ...] = ()


@dataclass(frozen=True, slots=True)
class Relay:
    """What an accepted command sends on without changing the case: there is no event of it."""

    sends: tuple[Send, ...] = ()


def carry_out(scene: Scene, step: Step, to: State | None, cause: Cause) -> Accepted:
    """Return the case after the steps of one command: one version, an event of each; `to` is the table's state."""
    case, state, version = scene.case, scene.state, scene.state.version + 1
    events: list[Event] = []
    sends = step.sends
    following: Step | None = step
    while following is not None:
        step, following = following, following.then
        new = (step.to or to) if step.moves else None
        if new is not None and state.close_request is not None:
            step = replace(step, fields={"close_request": None} | step.fields)
        state = take(state, step, new, actor=scene.actor, at=scene.at, version=version)
        events.append(Event(name=step.event, change=tell(step, new), state=state, cause=cause, actor=scene.actor))
        if step.internal:
            case = evolve(case, **step.internal)
    if case.ties.inbound:
        archived = state.state is State.ARCHIVED and scene.state.state is not State.ARCHIVED
        sends += _to_duplicates(scene.case, case, archived=archived)
    return commit(case, tuple(events), scene.tenant, sends)


def take(state: CaseState, step: Step, to: State | None, *, actor: Actor, at: datetime, version: int) -> CaseState:
    """Return the state after a step."""
    changes = dict(step.fields)
    if step.signal and state.signal is not None:
        changes["signal"] = evolve(state.signal, **step.signal)
    if to is not None:
        changes["state"] = to
        changes["status_history"] = lengthen(state.status_history, (*step.through, to), at, step.reason)
    return evolve(state, **changes, updated_at=at, updated_by=actor, version=version, seq=state.seq + 1)


def tell(step: Step, to: State | None) -> dict[str, object]:
    """Return the change of a step as an event tells it: new values by field, null for removed ones, the text beside."""
    change = {name: plain(value) for name, value in step.fields.items()}
    if to is not None:
        change["state"] = to.value
    if step.signal:
        change["signal"] = {name: plain(value) for name, value in step.signal.items()}
    change.update((name, plain(value)) for name, value in step.text.items() if value is not None)
    return change


def commit(case: Case, events: tuple[Event, ...], tenant: Tenant, sends: tuple[Send, ...] = ()) -> Accepted:
    """Return one accepted command: its events, and what follows from them by itself.

    That is the resolution of a case on which nobody ever acted, and the escalation of one whose time is up.
    """
    last = events[-1]
    actor, cause, state = last.actor, last.cause, last.state
    touched = case.touched or actor.role not in MACHINES
    if not touched and case.cleared_at is not None and _is_settled(state):
        resolved = _resolve(state, case.cleared_at, cause)
        events = (*events, resolved)
        state = resolved.state
    timing, shares = look(case.timing, case.state, state, tenant, state.updated_at)
    broken = missed(shares, state, tenant) if shares else None
    if broken is not None:
        escalated = _escalate(state, broken, cause)
        events = (*events, escalated)
        state = escalated.state
    after = evolve(
        case,
        state=state,
        timing=timing,
        touched=touched,
        recent=case.recent.add(cause.id, state.seq, state.version),
    )
    outcome = Outcome(command_id=cause.id, actor=actor, seq=state.seq, version=state.version)
    ends = tuple(measured(event.state, case.cleared_at, tenant) for event in events if event.name in MEASURED)
    return Accepted(after, events, (outcome,), (*shares, *ends), sends)


def lengthen(
    history: tuple[StatusChange, ...], states: tuple[State, ...], at: datetime, reason: HoldReason | None = None
) -> tuple[StatusChange, ...]:
    """Return the history with more steps: at its limit the first step and the latest ones are kept."""
    longer = history + tuple(StatusChange(state=state, at=at, reason=reason) for state in states)
    if len(longer) > limits.STATUS_HISTORY_MAX:
        return longer[:1] + longer[1 - limits.STATUS_HISTORY_MAX :]
    return longer


def condition_of(last_at: datetime, cleared_at: datetime | None) -> Condition:
    """Return the condition by event time: the later of raise and clear wins, at one instant the clear."""
    return Condition.ACTIVE if cleared_at is None or last_at > cleared_at else Condition.CLEARED


def plain(value: object) -> object:
    """Return a value of the language ready for JSON."""
    match value:
        case datetime():
            return rfc3339(value)
        case StrEnum():
            return value.value
        case tuple():
            return [plain(part) for part in value]
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case _ if is_dataclass(value):
            class_: Any = type(value)
            parts = ((name, getattr(value, name)) for name in _names(class_))
            return {name: plain(part) for name, part in parts if part is not None}
        case _:
            return value


@cache
def _names(class_: Any) -> tuple[str, ...]:  # noqa: ANN401 - any dataclass
    return tuple(each.name for each in fields(class_))


def _to_duplicates(before: Case, case: Case, *, archived: bool) -> tuple[Send, ...]:
    """Return what the cases that were merged into this one are told when it ends, is archived or is open again."""
    if archived:
        name, facts = "end_with_target", {"at": case.ended_at, "archived": True}
    elif (before.ended_at is None) == (case.ended_at is None):
        return ()
    elif case.ended_at is None:
        name, facts = "reopen_with_target", {}
    else:
        name, facts = "end_with_target", {"at": case.ended_at}
    told = {name: plain(value) for name, value in facts.items()}
    return tuple(
        Send(name=name, case_id=tie.id, arguments={"id": case.id, "attempt": tie.attempt, **told})
        for tie in case.ties.inbound
        if tie.kind is LinkKind.DUPLICATE
    )


def relief(state: CaseState) -> dict[str, Any]:
    """Return what ends the escalation of a case, if there is one."""
    return {} if state.escalation is None else {"escalation": None}


def _is_settled(state: CaseState) -> bool:
    signal: SignalState | None = state.signal
    return state.state in UNRESOLVED and signal is not None and signal.condition is Condition.CLEARED


def time_is_up(clock: Clock) -> str:
    """Return why a case is escalated by itself."""
    return f"The time for the {PROMISES[clock]} is up."


def _escalate(state: CaseState, broken: Clock, cause: Cause) -> Event:
    system = Actor(id=SYSTEM_ID, role=Role.SYSTEM, tenant_id=state.tenant_id)
    step = Step(
        event="escalated",
        moves=False,
        fields={"escalation": Escalation(level=1, by=system, at=state.updated_at, comment=time_is_up(broken))},
    )
    after = take(state, step, None, actor=system, at=state.updated_at, version=state.version)
    return Event(name=step.event, change=tell(step, None), state=after, cause=cause, actor=system)


def _resolve(state: CaseState, cleared_at: datetime, cause: Cause) -> Event:
    system = Actor(id=SYSTEM_ID, role=Role.SYSTEM, tenant_id=state.tenant_id)
    changed = {"resolution": Resolution(summary=CLEARED), "resolved_at": cleared_at, **relief(state)}
    if state.close_request is not None:
        changed["close_request"] = None
    step = Step(event="resolved", fields=changed)
    after = take(state, step, State.RESOLVED, actor=system, at=state.updated_at, version=state.version)
    return Event(name=step.event, change=tell(step, State.RESOLVED), state=after, cause=cause, actor=system)
