"""What time has in store for a case: shares of its time that are used up, its closing and archiving by itself.

Everything is reckoned from the state and the tenant's settings, by the time of the record that is decided. A case keeps
only which shares were told, and when time has something to do for it next.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter, is_
from typing import Final

from services.workflow.domain.sla import PERCENTS, WHOLE, WORKED_ON, Course, Level, courses, forecast, level_of
from services.workflow.domain.tenant import UNSET, Tenant
from shared.contracts.case import CaseState
from shared.contracts.measures import SlaForecast, SlaShare
from shared.contracts.words import Clock, State

DUPLICATE: Final = "duplicate"
HOUR_MS: Final = 3_600_000
WEIGHED: Final = attrgetter(
    *("status_history", "priority", "first_response_at"),
    *("case_type", "device_id", "counterpart_tenant_id", "deleted_at"),
)
"""The parts of a state by which time is reckoned; while they stay, so does what was reckoned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What was told of a case's time so far, when to look next, and as of which settings that was reckoned."""

    first_response: int = 0
    resolution: int = 0
    due_at: datetime | None = None
    settings_at: datetime | None = None


def look(
    timing: Timing | None, before: CaseState | None, state: CaseState, tenant: Tenant, at: datetime
) -> tuple[Timing, tuple[SlaShare, ...]]:
    """Return what was told by an instant, and the shares to tell now: those reached since the last look."""
    if timing is not None and before is not None and _stands(timing, before, state, tenant, at):
        return timing, ()
    # What an older version wrote has no timing: what was due then was told then. A new case is its own past.
    if timing is None and before is not None and before is not state:
        timing = _reckon(Timing(), before, tenant, before.updated_at)[0]
    return _reckon(timing or Timing(), state, tenant, at)


def begin(state: CaseState) -> Timing:
    """Return what was told of a case by its last change, if its tenant has set nothing."""
    return _reckon(Timing(), state, UNSET, state.updated_at)[0]


def due_step(state: CaseState, tenant: Tenant, at: datetime) -> str | None:
    """Return the command that time gives a case by now: `close`, `archive`, or nothing."""
    step_at = _step_at(state, tenant)
    if step_at is None or step_at > at:
        return None
    return "close" if state.state is State.RESOLVED else "archive"


def missed(shares: tuple[SlaShare, ...], state: CaseState, tenant: Tenant) -> Clock | None:
    """Return the promise over whose breach the tenant wants a case escalated, if one was just broken."""
    if state.escalation is not None or state.state not in WORKED_ON:
        return None
    wanted = (share.clock for share in shares if share.percent == WHOLE)
    return next((clock for clock in wanted if clock in tenant.settings.auto_escalate), None)


def _stands(timing: Timing, before: CaseState, state: CaseState, tenant: Tenant, at: datetime) -> bool:
    """Tell whether nothing that time is reckoned by has changed, and nothing is due."""
    if timing.settings_at != tenant.timed_at or (timing.due_at is not None and timing.due_at <= at):
        return False
    return all(map(is_, WEIGHED(before), WEIGHED(state)))


def _reckon(known: Timing, state: CaseState, tenant: Tenant, at: datetime) -> tuple[Timing, tuple[SlaShare, ...]]:
    dues = [_step_at(state, tenant)]
    if state.deleted_at is not None:
        return Timing(settings_at=tenant.timed_at), ()
    level = level_of(state, tenant)
    shares: list[SlaShare] = []
    told: dict[Clock, int] = {}
    for course, before in zip(courses(state, level), (known.first_response, known.resolution), strict=True):
        told[course.clock] = reached = course.reached(at)
        if before < reached:
            shares += [_share(course, p, level, state, at) for p in PERCENTS if before < p <= reached]
        dues.append(course.next_due(reached) if course.running else None)
    timing = Timing(
        first_response=told[Clock.FIRST_RESPONSE],
        resolution=told[Clock.RESOLUTION],
        due_at=min((due for due in dues if due is not None), default=None),
        settings_at=tenant.timed_at,
    )
    # What is kept for reference tells nothing; a merged case that comes back from there knows what it told before.
    return timing, () if state.state is State.ARCHIVED else tuple(shares)


def _step_at(state: CaseState, tenant: Tenant) -> datetime | None:
    """Return when a case closes or goes to the archive by itself; nothing if it never does."""
    if not state.status_history or state.deleted_at is not None:
        return None
    since = state.status_history[-1].at
    if state.state is State.RESOLVED:
        return _closes_at(since, tenant)
    if state.state is State.CANCELLED and state.resolution is not None and state.resolution.outcome == DUPLICATE:
        return None  # it counts on, and goes to the archive with the case that it was merged into
    if state.state in {State.CLOSED, State.CANCELLED}:
        hours, days = tenant.settings.auto_archive_hours, tenant.settings.auto_archive_days
        kept = timedelta(days=days) if hours is None else timedelta(hours=hours)
        return since + kept if kept else None
    return None


def _closes_at(since: datetime, tenant: Tenant) -> datetime | None:
    calendar, hours = tenant.calendar, tenant.settings.auto_close_working_hours
    if hours is not None:
        return calendar.after(since, max(1, round(hours * HOUR_MS)))
    if not tenant.settings.auto_close_working_days:
        return None
    last = calendar.working_day_after(calendar.local_date(since), tenant.settings.auto_close_working_days)
    return None if last is None else calendar.end_of(last)


def _share(course: Course, percent: int, level: Level, state: CaseState, at: datetime) -> SlaShare:
    expected = forecast(course, at)
    machine = state.machine
    return SlaShare(
        tenant_id=state.tenant_id,
        case_id=state.id,
        number=state.number,
        clock=course.clock,
        percent=percent,
        level=level.name,
        reached_at=course.reaches(percent) or at,
        at=at,
        started_at=course.started_at,
        target_seconds=course.target / 1000,
        spent_seconds=course.spent(at) / 1000,
        running=course.running,
        forecast=SlaForecast(
            due_at=expected.due_at,
            next_percent=expected.next_percent,
            next_at=expected.next_at,
            left_seconds=expected.left / 1000,
        ),
        state=state.state,
        priority=state.priority,
        severity=state.severity,
        assignees=state.assignees,
        teams=getattr(state, "teams", ()),
        device_id=state.device_id,
        model=machine.model if machine else None,
    )
