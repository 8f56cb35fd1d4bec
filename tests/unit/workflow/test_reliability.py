"""Reliability: the measures of one case, and what those of many come to."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.workflow.domain.reliability import Sums, measured, waited
from services.workflow.domain.tenant import UNSET
from shared.contracts.case import CaseState, Machine, SignalState, StatusChange
from shared.contracts.measures import CaseMeasures
from shared.contracts.words import Condition, HoldReason, Priority, State, Waiting
from shared.evolution import evolve
from tests.unit.workflow.test_sla import case, hours

H = 3600.0


def ended(*steps: Any, **fields: Any) -> CaseState:
    state = case(*steps, **fields)
    return evolve(state, updated_at=state.status_history[-1].at)


def measures(*steps: Any, cleared_at: datetime | None = None, **fields: Any) -> CaseMeasures:
    return measured(ended(*steps, **fields), cleared_at, UNSET)


WHOLE = (
    (State.IN_PROGRESS, 1),
    (State.ACTION_REQUIRED, 4),
    (State.IN_PROGRESS, 6),
    (State.RESOLVED, 9),
    (State.CLOSED, 20),
)


def test_a_case_is_measured_from_occurrence_to_close():
    signal = SignalState(
        dedup_key="k", count=1, first_at=hours(-1), last_at=hours(0), condition=Condition.CLEARED, flapping=False
    )
    told = measures(
        *WHOLE, cleared_at=hours(8), first_response_at=hours(1), occurred_at=hours(-0.5), signal=signal,
        machine=Machine(model="X2"),
    )  # fmt: skip
    assert (told.detect_seconds, told.acknowledge_seconds, told.first_response_seconds) == (0.5 * H, H, H)
    assert (told.resolve_seconds, told.restore_seconds, told.close_seconds) == (9 * H, 9 * H, 20 * H)
    assert told.waiting_seconds == {Waiting.US: 7 * H, Waiting.CUSTOMER: 2 * H, Waiting.CONFIRMATION: 11 * H}
    assert (told.first_response_met, told.resolution_met, told.end, told.model) == (True, True, State.CLOSED, "X2")


def test_what_never_happened_is_left_out():
    told = measures((State.CANCELLED, 2), occurred_at=None, signal=None)
    assert (told.detect_seconds, told.acknowledge_seconds, told.restore_seconds) == (None, None, None)
    assert (told.resolve_seconds, told.close_seconds, told.model) == (None, None, "(none)")
    assert told.waiting_seconds == {Waiting.US: 2 * H}


def test_a_fault_that_is_still_there_is_not_restored():
    assert measures(*WHOLE, cleared_at=hours(8)).restore_seconds is None


def test_what_was_promised_and_came_late_is_missed():
    told = measures((State.IN_PROGRESS, 9), (State.RESOLVED, 50), (State.CLOSED, 51), first_response_at=hours(9))
    assert (told.first_response_met, told.resolution_met) == (False, False)


def test_on_hold_tells_for_whom_a_case_waits():
    reasons = [(State.ON_HOLD, number + 1, reason) for number, reason in enumerate(HoldReason)]
    told = measures(*reasons, (State.CLOSED, len(reasons) + 1))
    assert told.waiting_seconds == {Waiting.US: 4 * H, Waiting.SUPPLIER: 2 * H, Waiting.DEVICE: H}


def test_a_reopened_case_is_measured_from_its_reopening_and_what_was_told_is_not_told_again():
    again = ((State.IN_PROGRESS, 100), (State.RESOLVED, 103), (State.CLOSED, 104))
    told = measures(*WHOLE, *again, first_response_at=hours(1), occurred_at=hours(0), reopen_count=1)
    assert (told.detect_seconds, told.first_response_seconds, told.acknowledge_seconds) == (None, None, None)
    assert (told.resolve_seconds, told.close_seconds) == (3 * H, 4 * H)
    assert told.waiting_seconds == {Waiting.US: 3 * H, Waiting.CONFIRMATION: H}
    assert (told.first_response_met, told.resolution_met) == (None, True)
    reopened = measures(*WHOLE, (State.IN_PROGRESS, 100), reopen_count=1)
    assert (reopened.end, reopened.resolve_seconds, reopened.close_seconds) == (None, None, None)


steps = st.lists(
    st.tuples(st.sampled_from(State), st.integers(0, 10_000_000), st.none() | st.sampled_from(HoldReason)), max_size=12
)


@settings(deadline=None)
@given(steps, st.integers(0, 10_000_000))
def test_every_moment_of_an_open_case_waits_for_exactly_one(found, more):
    at = hours(0)
    history = [StatusChange(state=State.NEW, at=at)]
    for state, milliseconds, reason in found:
        at += timedelta(milliseconds=milliseconds)
        history.append(StatusChange(state=state, at=at, reason=reason))
    until = at + timedelta(milliseconds=more)
    over = {State.CLOSED, State.CANCELLED, State.ARCHIVED}
    ends = [*(step.at for step in history[1:]), until]
    expected = sum(
        (end - step.at) // timedelta(milliseconds=1)
        for step, end in zip(history, ends, strict=True)
        if step.state not in over
    )
    assert sum(waited(tuple(history), until).values()) == expected


def test_sums_are_of_what_was_measured():
    first = measures(*WHOLE, first_response_at=hours(1), occurred_at=hours(-1))
    second = measures((State.RESOLVED, 3), (State.CLOSED, 4), occurred_at=None, signal=None, priority=Priority.BLOCKER)
    cancelled = measures((State.CANCELLED, 2))
    reopened = measures(*WHOLE, (State.IN_PROGRESS, 30), reopen_count=1)
    sums = Sums()
    for told in (first, second, cancelled, reopened):
        sums = sums.plus(told)
    assert (sums.closed, sums.cancelled, sums.reopened) == (2, 1, 1)
    assert sums.times["resolve"] == (2, 12 * H)
    assert sums.times["detect"] == (1, H)
    assert sums.times["close"] == (2, 24 * H)
    assert sums.waiting == {"us": 10 * H, "customer": 2 * H, "confirmation": 12 * H}
    assert sums.promises == {"first_response_met": 1, "resolution_met": 2, "first_response_missed": 1}
