"""What signals do to a case: counts, conditions and flapping by event time."""

from dataclasses import replace

import pytest

from services.workflow.domain import Case, Refused
from services.workflow.domain.signals import COUNT_MAX
from shared.contracts.case import SignalState
from shared.contracts.words import Condition, RefusalCode, Role, Severity, State
from tests.unit.workflow.builders import (
    AGENT,
    DEVICE,
    START,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    minute,
    state_of,
    told,
)


def signal_of(case: Case) -> SignalState:
    signal = state_of(case).signal
    assert signal is not None
    return signal


def test_when_signals_occur_then_they_are_added_and_the_range_of_times_grows():
    case = after(by_device(), "occur", DEVICE, count=3, first_at=minute(-2), last_at=minute(4))
    case = after(case, "occur", DEVICE, count=2, last_at=minute(1))
    signal = signal_of(case)
    assert (signal.count, signal.first_at, signal.last_at) == (6, minute(-2), minute(4))


def test_when_a_first_time_is_later_than_the_last_then_the_earlier_one_counts():
    signal = signal_of(after(by_device(), "occur", DEVICE, first_at=minute(9), last_at=minute(-3)))
    assert (signal.first_at, signal.last_at) == (minute(-3), START)


def test_when_signals_occur_then_the_event_tells_what_changed():
    decision = accepted(told(by_device(), "occur", DEVICE, count=3, last_at=minute(4), severity=Severity.CRITICAL))
    assert decision.events[0].name == "occurred"
    assert decision.events[0].change == {
        "severity": "critical",
        "signal": {"count": 4, "last_at": "2026-01-02T09:04:00.000Z"},
    }
    late = accepted(told(decision.case, "occur", DEVICE, last_at=minute(-1)))
    assert late.events[0].change == {"signal": {"count": 5, "first_at": "2026-01-02T08:59:00.000Z"}}


@pytest.mark.parametrize("said", Severity)
@pytest.mark.parametrize("held", Severity)
def test_when_signals_occur_then_severity_only_rises(held, said):
    order = ["critical", "major", "minor", "warning", "info"]
    case = after(by_device(severity=held), "occur", DEVICE, severity=said)
    assert state_of(case).severity == order[min(order.index(held), order.index(said))]


def test_when_no_more_can_be_counted_then_signals_are_refused():
    case = by_device()
    full = replace(case, state=replace(state_of(case), signal=replace(signal_of(case), count=COUNT_MAX)))
    decision = told(full, "occur", DEVICE)
    assert isinstance(decision, Refused)
    assert decision.code == RefusalCode.LIMIT_EXCEEDED


@pytest.mark.parametrize("name", ["occur", "clear", "flag_flapping"])
def test_when_no_signal_opened_the_case_then_signals_are_refused(name):
    decision = told(by_operator(), name, DEVICE)
    assert isinstance(decision, Refused)
    assert decision.code == RefusalCode.INVALID_COMMAND


def test_when_a_fault_comes_after_the_resolution_then_the_case_recurs():
    case = after(by_device(), "resolve", now=minute(5))
    decision = accepted(told(case, "occur", DEVICE, last_at=minute(6)))
    state = state_of(decision.case)
    assert [event.name for event in decision.events] == ["recurred"]
    assert (state.state, state.resolved_at, state.signal.count) == (State.IN_PROGRESS, None, 2)
    assert state.resolution.summary == "New bearing"
    assert decision.events[0].change["state"] == "IN_PROGRESS"
    assert decision.events[0].change["resolved_at"] is None
    assert [step.state for step in state.status_history] == [State.NEW, State.RESOLVED, State.IN_PROGRESS]


@pytest.mark.parametrize("last", [4, 5])
def test_when_a_fault_is_not_later_than_the_resolution_then_it_is_counted_only(last):
    case = after(by_device(), "resolve", now=minute(5))
    decision = accepted(told(case, "occur", DEVICE, last_at=minute(last)))
    state = state_of(decision.case)
    assert [event.name for event in decision.events] == ["occurred"]
    assert (state.state, state.resolved_at, state.signal.count) == (State.RESOLVED, minute(5), 2)


@pytest.mark.parametrize("ending", ["close", "cancel"])
def test_when_a_fault_is_not_later_than_the_end_then_the_ended_case_counts_it(ending):
    case = after(by_device(), ending, now=minute(5))
    decision = accepted(told(case, "occur", DEVICE, count=7, last_at=minute(5)))
    assert [event.name for event in decision.events] == ["occurred"]
    assert signal_of(decision.case).count == 8
    assert state_of(decision.case).state == state_of(case).state


@pytest.mark.parametrize("ending", ["close", "cancel"])
def test_when_a_fault_is_later_than_the_end_then_it_is_handed_back(ending):
    case = after(by_device(), ending, now=minute(5))
    decision = accepted(
        told(case, "occur", DEVICE, count=7, first_at=minute(4), last_at=minute(6), severity=Severity.CRITICAL)
    )
    assert [event.name for event in decision.events] == ["occurrences_returned"]
    assert decision.events[0].change == {
        "count": 7,
        "first_at": "2026-01-02T09:04:00.000Z",
        "last_at": "2026-01-02T09:06:00.000Z",
    }
    state, before = state_of(decision.case), state_of(case)
    assert (state.signal, state.severity, state.state) == (before.signal, before.severity, before.state)
    assert (state.seq, state.version) == (before.seq + 1, before.version + 1)


def test_when_what_is_handed_back_has_no_first_time_then_none_is_told():
    case = after(by_device(), "close", now=minute(5))
    decision = accepted(told(case, "occur", DEVICE, last_at=minute(6)))
    assert decision.events[0].change == {"count": 1, "last_at": "2026-01-02T09:06:00.000Z"}


def test_when_a_case_is_reopened_then_it_counts_again():
    case = after(after(by_device(), "close", now=minute(5)), "reopen", now=minute(6))
    assert signal_of(after(case, "occur", DEVICE, last_at=minute(7))).count == 2


def test_when_the_fault_clears_and_nobody_acted_then_the_system_resolves_in_the_same_commit():
    decision = accepted(told(by_device(), "clear", DEVICE, at=minute(2), now=minute(9)))
    cleared, resolved = decision.events
    assert (cleared.name, cleared.state.seq, cleared.state.version, cleared.state.state) == (
        "condition_cleared",
        2,
        2,
        State.NEW,
    )
    assert (resolved.name, resolved.state.seq, resolved.state.version) == ("resolved", 3, 2)
    assert cleared.change == {"at": "2026-01-02T09:02:00.000Z", "signal": {"condition": "cleared"}}
    assert resolved.change == {
        "state": "RESOLVED",
        "resolution": {"summary": "Condition cleared"},
        "resolved_at": "2026-01-02T09:02:00.000Z",
    }
    assert (resolved.actor.role, resolved.actor.id, resolved.actor.tenant_id) == (Role.SYSTEM, "workflow", "acme")
    assert resolved.cause == cleared.cause
    state = state_of(decision.case)
    assert (state.state, state.resolved_at, state.updated_by) == (State.RESOLVED, minute(2), resolved.actor)
    assert [(outcome.seq, outcome.version, outcome.actor) for outcome in decision.outcomes] == [(3, 2, DEVICE)]
    assert not decision.case.touched


def test_when_a_person_acted_then_clearing_does_not_resolve():
    case = after(after(by_device(), "assign"), "clear", DEVICE, at=minute(2))
    assert (state_of(case).state, signal_of(case).condition) == (State.NEW, Condition.CLEARED)


def test_when_an_untouched_case_recurred_then_clearing_resolves_it_again():
    case = after(by_device(), "clear", DEVICE, at=minute(2))
    case = after(case, "occur", DEVICE, last_at=minute(3))
    assert (state_of(case).state, signal_of(case).condition) == (State.IN_PROGRESS, Condition.ACTIVE)
    case = after(case, "clear", DEVICE, at=minute(4))
    assert (state_of(case).state, state_of(case).resolved_at) == (State.RESOLVED, minute(4))


def test_when_a_late_fault_lies_between_two_clears_then_the_case_recurs_and_is_resolved_in_one_commit():
    case = after(after(by_device(), "clear", DEVICE, at=minute(2)), "clear", DEVICE, at=minute(6))
    assert state_of(case).resolved_at == minute(2)
    decision = accepted(told(case, "occur", DEVICE, last_at=minute(4)))
    assert [event.name for event in decision.events] == ["recurred", "resolved"]
    state = state_of(decision.case)
    assert (state.state, state.resolved_at, state.version) == (State.RESOLVED, minute(6), 4)


@pytest.mark.parametrize(("at", "condition"), [(3, Condition.ACTIVE), (4, Condition.CLEARED), (5, Condition.CLEARED)])
def test_when_a_clear_comes_then_the_later_of_raise_and_clear_wins_and_at_one_instant_the_clear(at, condition):
    case = after(by_device(), "occur", DEVICE, last_at=minute(4))
    decision = accepted(told(case, "clear", DEVICE, at=minute(at)))
    assert signal_of(decision.case).condition == condition
    assert decision.events[0].name == "condition_cleared"
    assert decision.events[0].change["signal"] == {"condition": condition.value}
    assert (state_of(decision.case).state == State.RESOLVED) == (condition == Condition.CLEARED)


def test_when_an_ended_case_is_cleared_then_only_its_condition_changes():
    case = after(by_device(), "close", now=minute(5))
    decision = accepted(told(case, "clear", DEVICE, at=minute(9)))
    assert [event.name for event in decision.events] == ["condition_cleared"]
    assert (state_of(decision.case).state, signal_of(decision.case).condition) == (State.CLOSED, Condition.CLEARED)


def test_when_flapping_is_flagged_then_the_later_word_wins_and_at_one_instant_the_calm():
    case = after(by_device(), "flag_flapping", DEVICE, flapping=True, at=minute(5))
    assert signal_of(case).flapping
    assert signal_of(after(case, "flag_flapping", DEVICE, flapping=False, at=minute(4))).flapping
    calm = after(case, "flag_flapping", DEVICE, flapping=False, at=minute(5))
    assert not signal_of(calm).flapping
    assert not signal_of(after(calm, "flag_flapping", DEVICE, flapping=True, at=minute(5))).flapping
    assert signal_of(after(calm, "flag_flapping", DEVICE, flapping=True, at=minute(6))).flapping


def test_when_flapping_is_flagged_then_the_event_tells_when_and_the_summary():
    decision = accepted(told(by_device(), "flag_flapping", DEVICE, flapping=True, summary="7 flips", now=minute(3)))
    assert [event.name for event in decision.events] == ["flapping_changed"]
    assert decision.events[0].change == {
        "signal": {"flapping": True},
        "at": "2026-01-02T09:03:00.000Z",
        "summary": "7 flips",
    }
    assert decision.case.flapping_at == minute(3)


def test_when_a_person_resolves_then_faults_recorded_before_that_are_folded():
    case = after(by_device(), "resolve", AGENT, now=minute(60))
    assert state_of(after(case, "occur", actor("system"), last_at=START)).state == State.RESOLVED
