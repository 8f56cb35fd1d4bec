"""Service levels: what a case has taken of its time, against a reckoner that looks at every minute of its history."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.workflow.domain.calendar import HOUR
from services.workflow.domain.sla import PERCENTS, Course, courses, forecast, level_of
from services.workflow.domain.tenant import Tenant
from shared.contracts.case import CaseState, StatusChange
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import CaseType, HoldReason, Priority, State
from shared.evolution import evolve
from tests.unit.workflow.builders import by_device, state_of
from tests.unit.workflow.reckoner import MINUTE, Reckoner

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
OFFICE = {day: ["08:00-12:00", "13:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
OPEN = (State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED)
Steps = list[tuple[State, datetime, HoldReason | None]]


def tenant(calendar: dict[str, Any] | None = None, **levels: Any) -> Tenant:
    bodies: dict[str, dict[str, Any]] = {"sla": levels}
    if calendar is not None:
        bodies |= {"calendar": {"plant": calendar}, "settings": {"default": {"calendar": "plant"}}}
    encoded = {kind: {name: json.dumps(body).encode() for name, body in each.items()} for kind, each in bodies.items()}
    return Tenant(TenantData(encoded))


def case(*steps: tuple[State, float] | tuple[State, float, HoldReason], **fields: Any) -> CaseState:
    """Return a case that went these steps, so many hours after Monday, eight o'clock."""
    history = tuple(
        StatusChange(state=step[0], at=MONDAY + timedelta(hours=step[1]), reason=step[2] if len(step) > 2 else None)
        for step in ((State.NEW, 0.0), *steps)
    )
    changes = {"status_history": history, "state": history[-1].state, "created_at": history[0].at, **fields}
    return evolve(state_of(by_device()), **changes)


def both(state: CaseState, by: Tenant | None = None) -> tuple[Course, Course]:
    set_ = by or tenant()
    return courses(state, level_of(state, set_))


def hours(number: float) -> datetime:
    return MONDAY + timedelta(hours=number)


def test_both_clocks_run_from_the_creation_of_the_case():
    response, resolution = both(case())
    assert (response.target, resolution.target) == (8 * HOUR, 48 * HOUR)
    assert [response.percent(hours(at)) for at in (0, 2, 8, 12)] == [0, 25, 100, 150]
    assert [resolution.reaches(percent) for percent in PERCENTS] == [hours(24), hours(36), hours(48)]


def test_the_first_response_stops_its_clock_and_not_the_other():
    response, resolution = both(case((State.IN_PROGRESS, 2), first_response_at=hours(2)))
    assert (response.stopped, response.running) == (True, False)
    assert response.spent(hours(99)) == 2 * HOUR
    assert response.reaches(50) is None
    assert resolution.running


def test_a_case_that_is_resolved_at_once_needs_no_response_any_more():
    response, resolution = both(case((State.RESOLVED, 1), (State.IN_PROGRESS, 5)))
    assert response.stopped
    assert response.spent(hours(9)) == HOUR
    assert resolution.spent(hours(9)) == 5 * HOUR, "it goes on where it stood when the solution was rejected"


def test_the_clocks_stand_still_while_the_customer_is_to_act():
    state = case((State.ACTION_REQUIRED, 10), (State.IN_PROGRESS, 20))
    assert both(state)[1].spent(hours(30)) == 20 * HOUR
    assert both(state, tenant(default={"pauses": {"action_required": False}}))[1].spent(hours(30)) == 30 * HOUR


@pytest.mark.seed("S2.26")
def test_on_hold_they_stand_still_for_the_reasons_of_the_policy_only():
    state = case((State.ON_HOLD, 10, HoldReason.PARTS), (State.ON_HOLD, 15, HoldReason.VENDOR), (State.IN_PROGRESS, 20))
    assert both(state)[1].spent(hours(20)) == 20 * HOUR
    assert both(state, tenant(default={"pauses": {"on_hold": ["parts"]}}))[1].spent(hours(20)) == 15 * HOUR


def test_a_clock_that_stands_still_reaches_only_what_it_reached():
    _, resolution = both(case((State.ACTION_REQUIRED, 30)))
    assert [resolution.reaches(percent) for percent in PERCENTS] == [hours(24), None, None]
    assert forecast(resolution, hours(31)).due_at is None


def test_a_reopened_case_is_promised_its_time_anew():
    state = case((State.RESOLVED, 10), (State.CLOSED, 12), (State.IN_PROGRESS, 100), reopen_count=1)
    response, resolution = both(state)
    assert response.stopped
    assert (resolution.started_at, resolution.spent(hours(101))) == (hours(100), HOUR)
    assert resolution.reaches(100) == hours(148)


def test_an_ended_case_is_over():
    for ended in (State.CLOSED, State.CANCELLED, State.ARCHIVED):
        assert all(course.stopped and not course.running for course in both(case((ended, 5))))


@pytest.mark.seed("S2.26")
def test_hours_are_those_of_the_calendar():
    plant = tenant({"time_zone": "Europe/Berlin", "week": OFFICE})
    response, _ = both(case(priority=Priority.HIGH), plant)
    assert response.reaches(100) == datetime(2026, 3, 2, 13, tzinfo=UTC), "9 to 12 and 13 to 14 local"
    assert both(case(priority=Priority.HIGH), tenant())[0].reaches(100) == hours(4), "around the clock"


def test_the_first_level_by_name_that_fits_counts():
    levels = tenant(
        a={"devices": ["oven-*"], "targets": {"medium": {"resolution_hours": 1}}},
        b={"case_types": ["billing"], "targets": {"medium": {"resolution_hours": 2}}},
        c={"counterparts": ["maker"], "targets": {"medium": {"resolution_hours": 3}}},
    )
    found = {
        level_of(case(device_id=device, case_type=type_, counterpart_tenant_id=counterpart), levels).name
        for device, type_, counterpart in (("oven-1", CaseType.BILLING, "maker"),)
    }
    assert found == {"a"}
    assert level_of(case(case_type=CaseType.BILLING), levels).name == "b"
    assert level_of(case(counterpart_tenant_id="maker"), levels).name == "c"
    assert level_of(case(), levels).name == "default"
    assert both(case(device_id="oven-1"), levels)[1].target == HOUR


def test_a_level_may_have_a_calendar_of_its_own():
    plant = tenant({"week": OFFICE}, always={"calendar": "gone"})
    assert both(case(), plant)[0].reaches(100) == hours(8), "one that is not there is around the clock"


def test_a_forecast_tells_what_comes_if_nothing_changes():
    _, resolution = both(case())
    told = forecast(resolution, hours(30))
    assert (told.due_at, told.next_percent, told.next_at, told.left) == (hours(48), 75, hours(36), 18 * HOUR)
    late = forecast(resolution, hours(50))
    assert (late.due_at, late.next_percent, late.next_at, late.left) == (hours(48), None, None, -2 * HOUR)


@pytest.mark.parametrize(("zone", "due"), [("Europe/Berlin", 27 - 2), ("America/New_York", 27 - 6)])
def test_hours_that_a_change_of_the_clock_leaves_out_or_repeats_are_reckoned_with(zone, due):
    """A Saturday's work from 20 to 24, then Sunday's from 0 to 6 local, over the change to summer time in Berlin."""
    night = tenant({"time_zone": zone, "week": {"sat": ["20:00-24:00"], "sun": ["00:00-06:00"]}})
    created = datetime(2026, 3, 28, 12, tzinfo=UTC)
    state = case(created_at=created, status_history=(StatusChange(state=State.NEW, at=created),))
    response, _ = both(state, night)
    end = response.reaches(100)
    assert end is not None
    local = end.astimezone(night.calendar.zone)
    assert local.strftime("%H:%M") == ("05:00" if zone == "Europe/Berlin" else "04:00")


@st.composite
def histories(draw: st.DrawFn) -> Steps:
    at = MONDAY + timedelta(days=draw(st.sampled_from([0, 24, 25])), minutes=draw(st.integers(0, 3000)))
    steps: Steps = [(State.NEW, at, None)]
    for _ in range(draw(st.integers(0, 6))):
        at += timedelta(minutes=draw(st.integers(0, 900)))
        state = draw(st.sampled_from([*OPEN, State.RESOLVED]))
        steps.append((state, at, draw(st.sampled_from(HoldReason)) if state is State.ON_HOLD else None))
    return steps


@settings(max_examples=60, deadline=None)
@given(histories(), st.booleans(), st.integers(0, 2000), st.sets(st.sampled_from(HoldReason)))
def test_time_taken_is_what_a_reckoner_counts_minute_by_minute(steps, by_customer, more, reasons):
    set_ = tenant(
        {"time_zone": "Europe/Berlin", "week": OFFICE, "days": [{"date": "2026-03-04", "hours": ["10:00-12:00"]}]},
        default={"pauses": {"action_required": by_customer, "on_hold": sorted(reasons)}},
    )
    naive = Reckoner("Europe/Berlin", dict(enumerate([OFFICE["mon"]] * 5)), {date(2026, 3, 4): ["10:00-12:00"]})
    history = tuple(StatusChange(state=state, at=at, reason=reason) for state, at, reason in steps)
    state = evolve(state_of(by_device()), status_history=history, state=history[-1].state, created_at=history[0].at)
    end = history[-1].at + timedelta(minutes=more)
    _, resolution = courses(state, level_of(state, set_))
    minutes, at = 0, history[0].at
    while at < end:
        stands = [step for step in history if step.at <= at][-1]
        paused = (by_customer and stands.state is State.ACTION_REQUIRED) or (
            stands.state is State.ON_HOLD and stands.reason in reasons
        )
        minutes += stands.state in OPEN and not paused and naive.works(at)
        at += MINUTE
    assert resolution.spent(end) == minutes * 60_000
    for percent in PERCENTS:
        reached = resolution.reaches(percent)
        if reached is not None and reached <= end:
            assert resolution.percent(reached) >= percent
            assert resolution.percent(reached - timedelta(milliseconds=1)) < percent
        else:
            assert resolution.percent(end) < percent
