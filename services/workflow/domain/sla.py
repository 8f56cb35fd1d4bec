"""Service levels: how much of its time a case has taken, when a share of it is or will be used up, and what to expect.

All of it follows from the state of a case with its history, the tenant's promises and an instant.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from services.workflow.domain.calendar import HOUR, Calendar
from services.workflow.domain.tenant import Tenant
from shared.contracts.case import CaseState, StatusChange
from shared.contracts.tenant_time import Sla
from shared.contracts.words import Clock, State

PERCENTS: Final = (50, 75, 100)
WHOLE: Final = 100
DEFAULT: Final = "default"
WORKED_ON: Final = frozenset({State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED})

Stretch = tuple[datetime, datetime | None]
"""From when to when a clock runs; to nothing: it still does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is promised to a case: the name of the service level, its rules and its calendar."""

    name: str
    rules: Sla
    calendar: Calendar


@dataclass(slots=True, kw_only=True)  # not frozen: two are made for each new case, and that takes twice as long
class Course:
    """One clock of one case: since when it counts, when it ran, whether it is over, and how long it may take."""

    clock: Clock
    started_at: datetime
    stretches: tuple[Stretch, ...]
    stopped: bool
    target: int
    calendar: Calendar

    @property
    def running(self) -> bool:
        """Whether time passes for it."""
        return bool(self.stretches) and self.stretches[-1][1] is None

    def spent(self, at: datetime) -> int:
        """Return the working time taken up to an instant, in milliseconds."""
        ends = ((start, at if end is None else min(end, at)) for start, end in self.stretches)
        return sum(self.calendar.worked(start, end) for start, end in ends)

    def percent(self, at: datetime) -> float:
        """Return the share of its time that was taken at an instant."""
        return self.spent(at) * WHOLE / self.target

    def reaches(self, percent: int) -> datetime | None:
        """Return when a share of the time was or will be taken if nothing changes; nothing if it is not in sight."""
        left = -(-self.target * percent // WHOLE)
        for start, end in self.stretches:
            at = self.calendar.after(start, left)
            if at is not None and (end is None or at <= end):
                return at
            if end is not None:
                left -= self.calendar.worked(start, end)
        return None

    def reached(self, at: datetime) -> int:
        """Return the highest of the told shares that was reached by an instant; 0 if none was."""
        if not self.stretches or self.stretches[0][0] >= at:
            return 0
        spent = self.spent(at)
        return max((percent for percent in PERCENTS if spent * WHOLE >= self.target * percent), default=0)

    def next_due(self, told: int) -> datetime | None:
        """Return when the share after `told` is reached, if it ever is."""
        following = next((percent for percent in PERCENTS if percent > told), None)
        return None if following is None else self.reaches(following)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What to expect if the case stays as it is: when its time is up, and the next share with its instant.

    A clock that stands still or is over has no such instants.
    """

    due_at: datetime | None
    next_percent: int | None
    next_at: datetime | None
    left: int


def level_of(state: CaseState, tenant: Tenant) -> Level:
    """Return what a tenant promises a case: the first of its service levels that fits, or the defaults."""
    for name, rules in tenant.slas:
        if _fits(rules, state):
            return Level(name=name, rules=rules, calendar=tenant.find_calendar(rules.calendar or tenant.calendar_name))
    return Level(name=DEFAULT, rules=PROMISED, calendar=tenant.calendar)


def courses(state: CaseState, level: Level) -> tuple[Course, Course]:
    """Return the two clocks of a case: first response, and resolution."""
    return _course(Clock.FIRST_RESPONSE, state, level), _course(Clock.RESOLUTION, state, level)


def forecast(course: Course, at: datetime) -> Forecast:
    """Return what to expect of a clock, as things are at an instant."""
    left = course.target - course.spent(at)
    if not course.running:
        return Forecast(due_at=None, next_percent=None, next_at=None, left=left)
    reached = course.reached(at)
    following = next((percent for percent in PERCENTS if percent > reached), None)
    return Forecast(due_at=course.reaches(WHOLE), next_percent=following, next_at=course.next_due(reached), left=left)


def _fits(rules: Sla, state: CaseState) -> bool:
    device = state.device_id
    by_device = any(
        pattern == "*" or (device is not None and fnmatchcase(device, pattern)) for pattern in rules.devices
    )
    by_type = not rules.case_types or state.case_type in rules.case_types
    by_counterpart = not rules.counterparts or state.counterpart_tenant_id in rules.counterparts
    return by_device and by_type and by_counterpart


def _course(clock: Clock, state: CaseState, level: Level) -> Course:
    steps = state.status_history
    if clock is Clock.RESOLUTION:
        steps = since_reopened(steps)
    stretches, over = [], False
    for place, step in enumerate(steps):
        if step.state not in WORKED_ON:
            over = True
            if clock is Clock.FIRST_RESPONSE:
                break
            continue
        over = False
        if not _paused(step, level.rules):
            stretches.append((step.at, steps[place + 1].at if place + 1 < len(steps) else None))
    if clock is Clock.FIRST_RESPONSE and state.first_response_at is not None:
        stretches, over = list(_until(stretches, state.first_response_at)), True
    return Course(
        clock=clock,
        started_at=steps[0].at if steps else state.created_at,
        stretches=tuple(stretches),
        stopped=over,
        target=max(1, round(level.rules.hours(state.priority, clock) * HOUR)),
        calendar=level.calendar,
    )


def since_reopened(steps: tuple[StatusChange, ...]) -> tuple[StatusChange, ...]:
    """Return the steps since a case was last reopened: what it took before was promised and told before."""
    for place in range(len(steps) - 1, 0, -1):
        if steps[place - 1].state is State.CLOSED and steps[place].state in WORKED_ON:
            return steps[place:]
    return steps


def _paused(step: StatusChange, rules: Sla) -> bool:
    if step.state is State.ACTION_REQUIRED:
        return rules.pauses.action_required
    return step.state is State.ON_HOLD and step.reason in rules.pauses.on_hold


def _until(stretches: Iterable[Stretch], at: datetime) -> Iterator[Stretch]:
    for start, end in stretches:
        if start < at:
            yield start, at if end is None else min(end, at)


PROMISED: Final = Sla()
