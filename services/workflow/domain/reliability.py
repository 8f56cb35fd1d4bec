"""Reliability: how one case went, and what the measures of many come to. Pure sums, in milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from services.workflow.domain.sla import Course, courses, level_of, since_reopened
from services.workflow.domain.tenant import Tenant
from shared.contracts.case import CaseState, StatusChange
from shared.contracts.measures import NO_MODEL, CaseMeasures
from shared.contracts.words import Clock, Condition, HoldReason, State, Waiting
from shared.evolution import evolve

ENDS: Final = frozenset({State.CLOSED, State.CANCELLED})
OVER: Final = frozenset({*ENDS, State.ARCHIVED})
HELD_FOR: Final[Mapping[HoldReason | None, Waiting]] = {
    HoldReason.PARTS: Waiting.SUPPLIER,
    HoldReason.VENDOR: Waiting.SUPPLIER,
    HoldReason.DEVICE_OFFLINE: Waiting.DEVICE,
}
MEASURES: Final = ("detect", "acknowledge", "first_response", "resolve", "restore", "close")


def measured(state: CaseState, cleared_at: datetime | None, tenant: Tenant) -> CaseMeasures:
    """Return how a case went up to its last change; `cleared_at` is when its condition cleared, by event time."""
    steps = since_reopened(state.status_history)
    first, began = len(steps) == len(state.status_history), steps[0].at if steps else state.created_at
    closed = next((step.at for step in reversed(steps) if step.state is State.CLOSED), None)
    resolved = next((step.at for step in reversed(steps) if step.state is State.RESOLVED), None)
    ended = state.state if state.state in ENDS else None
    signal = state.signal
    occurred = state.occurred_at or (signal.first_at if signal else None)
    cleared = cleared_at if signal is not None and signal.condition is Condition.CLEARED else None
    met = {course.clock: _met(course, state.updated_at) for course in courses(state, level_of(state, tenant))}
    return CaseMeasures(
        tenant_id=state.tenant_id,
        case_id=state.id,
        number=state.number,
        at=state.updated_at,
        end=ended,
        model=(state.machine.model if state.machine else None) or NO_MODEL,
        device_id=state.device_id,
        priority=state.priority,
        detect_seconds=_between(occurred, began) if first else None,
        acknowledge_seconds=_between(began, _taken_up(state)) if first else None,
        first_response_seconds=_between(began, state.first_response_at) if first else None,
        resolve_seconds=_between(began, resolved) if ended is not State.CANCELLED else None,
        restore_seconds=_between(signal.first_at, cleared) if signal and first else None,
        close_seconds=_between(began, closed) if ended is State.CLOSED else None,
        reopen_count=state.reopen_count,
        waiting_seconds={who: ms / 1000 for who, ms in waited(steps, state.updated_at).items() if ms},
        first_response_met=met[Clock.FIRST_RESPONSE] if first else None,
        resolution_met=met[Clock.RESOLUTION],
    )


def waited(steps: tuple[StatusChange, ...], until: datetime) -> dict[Waiting, int]:
    """Return how long a case waited for whom, in milliseconds; time after its end counts for nobody."""
    found = dict.fromkeys(Waiting, 0)
    ends = [*(step.at for step in steps[1:]), until]
    for step, end in zip(steps, ends, strict=True):
        who = waits_for(step)
        if who is not None:
            found[who] += max(0, (min(end, until) - step.at) // timedelta(milliseconds=1))
    return found


def waits_for(step: StatusChange) -> Waiting | None:
    """Return for whom a case waits after a step; for nobody once it is over."""
    if step.state in OVER:
        return None
    if step.state is State.ACTION_REQUIRED:
        return Waiting.CUSTOMER
    if step.state is State.RESOLVED:
        return Waiting.CONFIRMATION
    return HELD_FOR.get(step.reason, Waiting.US) if step.state is State.ON_HOLD else Waiting.US


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the measures of many cases come to; sums are of seconds, with how many they are of."""

    closed: int = 0
    cancelled: int = 0
    reopened: int = 0
    times: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    promises: Mapping[str, int] = field(default_factory=dict)

    @property
    def ends(self) -> int:
        """How many ends, and ends taken back, they are of: it only grows."""
        return self.closed + self.cancelled + self.reopened

    def plus(self, case: CaseMeasures) -> "Sums":
        """Return the sums with one more end, or one that was taken back; cancelled cases are only counted."""
        if case.end is None:
            return self._with(reopened=self.reopened + 1)
        if case.end is State.CANCELLED:
            return self._with(cancelled=self.cancelled + 1)
        times, waiting, promises = dict(self.times), dict(self.waiting), dict(self.promises)
        for name in MEASURES:
            seconds: float | None = getattr(case, f"{name}_seconds")
            if seconds is not None:
                count, total = times.get(name, (0, 0.0))
                times[name] = (count + 1, total + seconds)
        for who, seconds in case.waiting_seconds.items():
            waiting[who.value] = waiting.get(who.value, 0.0) + seconds
        for clock in Clock:
            met: bool | None = getattr(case, f"{clock}_met")
            if met is not None:
                name = f"{clock}_{'met' if met else 'missed'}"
                promises[name] = promises.get(name, 0) + 1
        return self._with(closed=self.closed + 1, times=times, waiting=waiting, promises=promises)

    def _with(self, **changes: Any) -> "Sums":  # noqa: ANN401 - any of the fields
        return evolve(self, **changes)


def _met(course: Course, at: datetime) -> bool | None:
    """Tell whether a promise was kept; nothing while that is open."""
    if course.spent(at) > course.target:
        return False
    return True if course.stopped else None


def _taken_up(state: CaseState) -> datetime | None:
    """Return when a case left the pile: the first step away from NEW that is no end of its own."""
    steps = (step.at for step in state.status_history if step.state not in {State.NEW, State.CANCELLED})
    found = [at for at in (next(steps, None), state.first_response_at) if at is not None]
    return min(found, default=None)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start) / timedelta(seconds=1))
