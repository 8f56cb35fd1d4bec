"""One step of a case: what an effect wants changed, and how it is brought into the state and told."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.workflow.domain.case import MACHINES, RECENT_MAX, Accepted, Case, Event, Outcome
from services.workflow.domain.evolution import evolve
from services.workflow.domain.transitions import UNRESOLVED
from shared.contracts import limits
from shared.contracts.case import Actor, CaseState, Resolution, SignalState, StatusChange
from shared.contracts.events import Cause
from shared.contracts.fields import rfc3339
from shared.contracts.words import Condition, Role, State

CLEARED: Final = "Condition cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an accepted command changes: public fields, parts of the signal, and what only decisions need.

    `moves`: the state becomes the table's; `through`: states that are entered and left on the way.
    `text` is the command's own and only told. Nothing as a value removes a field.
    """

    event: str
    moves: bool = True
    through: tuple[State, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    signal: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    internal: dict[str, Any] = field(default_factory=dict)


def take(state: CaseState, step: Step, to: State | None, *, actor: Actor, at: datetime, version: int) -> CaseState:
    """Return the state after a step."""
    changes = dict(step.fields)
    if step.signal and state.signal is not None:
        changes["signal"] = evolve(state.signal, **step.signal)
    if to is not None:
        changes["state"] = to
        changes["status_history"] = lengthen(state.status_history, (*step.through, to), at)
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


def commit(case: Case, first: Event) -> Accepted:
    """Return one accepted command: the first event, and the resolution it brings if nobody ever acted on the case."""
    actor, cause, state = first.actor, first.cause, first.state
    touched = case.touched or actor.role not in MACHINES
    events: tuple[Event, ...] = (first,)
    if not touched and case.cleared_at is not None and _is_settled(state):
        second = _resolve(state, case.cleared_at, cause)
        events = (first, second)
        state = second.state
    after = evolve(
        case,
        state=state,
        touched=touched,
        recent=(*case.recent[1 - RECENT_MAX :], (cause.id, state.seq, state.version)),
    )
    outcome = Outcome(command_id=cause.id, actor=actor, seq=state.seq, version=state.version)
    return Accepted(after, events, (outcome,))


def lengthen(history: tuple[StatusChange, ...], states: tuple[State, ...], at: datetime) -> tuple[StatusChange, ...]:
    """Return the history with more steps: at its limit the first step and the latest ones are kept."""
    longer = history + tuple(StatusChange(state=state, at=at) for state in states)
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
            return list(value)
        case Resolution():
            names = ("root_cause", "type", "summary", "final_solution", "outcome")
            return {name: part for name in names if (part := getattr(value, name)) is not None}
        case _:
            return value


def _is_settled(state: CaseState) -> bool:
    signal: SignalState | None = state.signal
    return state.state in UNRESOLVED and signal is not None and signal.condition is Condition.CLEARED


def _resolve(state: CaseState, cleared_at: datetime, cause: Cause) -> Event:
    system = Actor(id="workflow", role=Role.SYSTEM, tenant_id=state.tenant_id)
    step = Step(event="resolved", fields={"resolution": Resolution(summary=CLEARED), "resolved_at": cleared_at})
    after = take(state, step, State.RESOLVED, actor=system, at=state.updated_at, version=state.version)
    return Event(name=step.event, change=tell(step, State.RESOLVED), state=after, cause=cause, actor=system)
