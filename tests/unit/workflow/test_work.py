"""What people do to a case."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.workflow.domain import Case, Refused, Tenant, decide
from services.workflow.domain.steps import lengthen
from shared.contracts import limits
from shared.contracts.case import Resolution, StatusChange
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import RefusalCode, State
from tests.unit.workflow.builders import (
    AGENT,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    cause,
    command,
    minute,
    state_of,
    told,
)

TECHNICIAN = actor("technician", "tom")
DISPATCHER = actor("dispatcher")


def refusal(decision: object) -> tuple[RefusalCode, tuple[str, ...]]:
    assert isinstance(decision, Refused), decision
    return decision.code, decision.fields


def assigned(*people: str) -> Case:
    case = by_device()
    for person in reversed(people):
        case = after(case, "assign", DISPATCHER, assignee=person)
    return case


@pytest.mark.seed("S0.15")
def test_when_a_person_is_assigned_then_they_are_first_and_the_others_keep_their_order():
    decision = accepted(told(assigned("erin", "omar", "zoe"), "assign", AGENT, assignee="zoe"))
    assert state_of(decision.case).assignees == ("zoe", "erin", "omar")
    assert decision.events[0].name == "assigned"
    assert decision.events[0].change == {"assignees": ["zoe", "erin", "omar"], "assignee": "zoe"}


def test_when_the_first_assignee_is_assigned_again_then_the_order_stays_and_the_event_is_told():
    decision = accepted(told(assigned("erin", "omar"), "assign", AGENT, assignee="erin"))
    assert state_of(decision.case).assignees == ("erin", "omar")
    assert [event.name for event in decision.events] == ["assigned"]


@pytest.mark.seed("S1.20")
def test_when_somebody_says_me_then_the_actor_is_meant():
    case = after(by_device(), "assign", TECHNICIAN, assignee="me")
    assert state_of(case).assignees == ("tom",)
    assert state_of(after(case, "unassign", TECHNICIAN, assignee="me")).assignees == ()


def test_when_a_technician_assigns_somebody_else_then_that_is_forbidden():
    assert refusal(told(by_device(), "assign", TECHNICIAN, assignee="erin")) == (RefusalCode.FORBIDDEN, ())
    assert state_of(after(by_device(), "assign", TECHNICIAN, assignee="tom")).assignees == ("tom",)


def test_when_a_technician_takes_others_off_then_that_is_forbidden():
    case = assigned("tom", "erin")
    assert refusal(told(case, "unassign", TECHNICIAN, assignee="erin")) == (RefusalCode.FORBIDDEN, ())
    assert refusal(told(case, "unassign", TECHNICIAN)) == (RefusalCode.FORBIDDEN, ())
    assert refusal(told(assigned("erin"), "unassign", TECHNICIAN, assignee="me")) == (RefusalCode.FORBIDDEN, ())
    assert state_of(after(assigned("tom"), "unassign", TECHNICIAN)).assignees == ()


@pytest.mark.seed("S1.20")
def test_when_nobody_is_named_then_everybody_is_taken_off():
    decision = accepted(told(assigned("erin", "omar"), "unassign", AGENT))
    assert state_of(decision.case).assignees == ()
    assert decision.events[0].name == "unassigned"
    assert decision.events[0].change == {"assignees": []}


def test_when_one_is_named_then_the_others_stay():
    decision = accepted(told(assigned("erin", "omar"), "unassign", AGENT, assignee="erin"))
    assert decision.events[0].change == {"assignees": ["omar"], "assignee": "erin"}


USERS = {
    "tess": {"roles": ["technician"], "scopes": ["device:press-*"]},
    "mill": {"roles": ["technician"], "scopes": ["device:mill-*"]},
    "omar": {"roles": ["operator"]},
    "gone": {"roles": ["agent"], "active": False},
}


@pytest.mark.parametrize(("person", "refused"), [("tess", False), ("mill", True), ("omar", True), ("gone", True)])
def test_when_the_tenant_names_its_users_then_only_who_may_work_on_the_case_is_assigned(person: str, refused: bool):
    tenant = Tenant(TenantData({"user": {name: json.dumps(body).encode() for name, body in USERS.items()}}))
    case = by_device(device_id="press-07")
    for who, by in ((person, AGENT), ("me", actor("agent", person))):
        asked = command("assign", by, assignee=who)
        decision = decide(case, "assign", asked, cause=cause(), now=minute(10), number=None, tenant=tenant)
        if refused:
            assert refusal(decision) == (RefusalCode.FORBIDDEN, ("assignee",))
        else:
            assert state_of(accepted(decision).case).assignees == (person,)


def test_when_somebody_who_is_not_assigned_is_taken_off_then_the_command_is_invalid():
    decision = told(assigned("erin"), "unassign", AGENT, assignee="omar")
    assert refusal(decision) == (RefusalCode.INVALID_COMMAND, ("assignee",))


def test_when_the_case_has_all_assignees_it_can_have_then_only_they_can_be_assigned():
    case = by_device(assignees=tuple(f"p{number}" for number in range(limits.ASSIGNEES_MAX)))
    assert refusal(told(case, "assign", AGENT, assignee="one-more")) == (RefusalCode.LIMIT_EXCEEDED, ("assignee",))
    assert state_of(after(case, "assign", AGENT, assignee="p7")).assignees[:2] == ("p7", "p0")


def test_when_work_starts_then_the_actor_is_assigned_and_the_first_response_stamped():
    decision = accepted(told(by_device(), "start", TECHNICIAN, now=minute(3)))
    state = state_of(decision.case)
    assert (state.state, state.assignees, state.first_response_at) == (State.IN_PROGRESS, ("tom",), minute(3))
    assert decision.events[0].change == {
        "state": "IN_PROGRESS",
        "assignees": ["tom"],
        "first_response_at": "2026-01-02T09:03:00.000Z",
    }
    assert decision.case.touched


def test_when_somebody_is_assigned_already_then_starting_keeps_them():
    assert state_of(after(assigned("erin"), "start", TECHNICIAN)).assignees == ("erin",)


def test_when_work_starts_again_then_the_first_response_stays_the_first():
    case = after(by_device(), "start", now=minute(3))
    back = replace(case, state=replace(state_of(case), state=State.NEW))
    assert state_of(after(back, "start", now=minute(9))).first_response_at == minute(3)


@pytest.mark.seed("S0.6", "S0.17", "S3.3")
def test_when_a_case_is_resolved_then_the_solution_is_kept():
    told_fields = {"final_solution": "New bearing", "summary": "Fixed", "root_cause": "Wear", "type": "provided"}
    decision = accepted(told(by_device(), "resolve", now=minute(4), **told_fields))
    state = state_of(decision.case)
    assert (state.state, state.resolved_at) == (State.RESOLVED, minute(4))
    assert state.resolution == Resolution(**told_fields)
    assert decision.events[0].change == {
        "state": "RESOLVED",
        "resolution": told_fields,
        "resolved_at": "2026-01-02T09:04:00.000Z",
    }


@pytest.mark.parametrize("field", ["final_solution", "summary"])
def test_when_a_case_is_resolved_then_either_text_will_do(field):
    assert state_of(after(by_device(), "resolve", **{"summary": None, field: "New bearing"})).state == State.RESOLVED


@pytest.mark.seed("S0.6")
def test_when_no_solution_is_told_then_the_case_is_not_resolved():
    decision = told(by_device(), "resolve", summary=None, root_cause="Wear")
    assert refusal(decision) == (RefusalCode.INVALID_COMMAND, ("final_solution", "summary"))


def test_when_a_resolved_case_is_closed_then_its_resolution_stays():
    case = after(after(by_device(), "resolve", now=minute(3)), "close", now=minute(5))
    state = state_of(case)
    assert (state.state, state.resolved_at, state.closed_at) == (State.CLOSED, minute(3), minute(5))
    assert state.resolution == Resolution(summary="New bearing")
    assert case.ended_at == minute(5)


@pytest.mark.seed("S1.22", "S3.2")
def test_when_an_unresolved_case_is_closed_then_it_is_resolved_on_the_way():
    decision = accepted(told(by_device(), "close", now=minute(5), outcome="no_fault_found"))
    state = state_of(decision.case)
    assert [event.name for event in decision.events] == ["closed"]
    assert [step.state for step in state.status_history] == [State.NEW, State.RESOLVED, State.CLOSED]
    assert (state.resolved_at, state.closed_at) == (minute(5), minute(5))
    assert state.resolution == Resolution(outcome="no_fault_found")
    assert decision.events[0].change == {
        "state": "CLOSED",
        "resolved_at": "2026-01-02T09:05:00.000Z",
        "closed_at": "2026-01-02T09:05:00.000Z",
        "resolution": {"outcome": "no_fault_found"},
    }


def test_when_a_case_is_cancelled_then_the_outcome_tells_whose_it_was():
    operator = actor("operator")
    decision = accepted(told(by_operator(), "cancel", operator, reason="Mine", now=minute(5)))
    assert state_of(decision.case).resolution == Resolution(outcome="withdrawn")
    assert decision.events[0].name == "cancelled"
    assert decision.events[0].change == {
        "state": "CANCELLED",
        "resolution": {"outcome": "withdrawn"},
        "reason": "Mine",
    }
    assert decision.case.ended_at == minute(5)
    assert state_of(after(by_operator(), "cancel", AGENT)).resolution == Resolution(outcome="rejected")


def test_when_the_creator_has_the_same_id_in_another_tenant_then_the_case_is_not_their_own():
    case = by_operator(counterpart_tenant_id="maker")
    decision = told(case, "cancel", actor("operator", tenant="maker"))
    assert refusal(decision) == (RefusalCode.FORBIDDEN, ())


@pytest.mark.seed("S1.22", "S3.15")
def test_when_a_case_is_reopened_then_it_is_worked_on_again_and_its_closing_stays_in_the_history():
    case = after(by_device(), "close", now=minute(5))
    decision = accepted(told(case, "reopen", reason="Still hot", now=minute(8)))
    state = state_of(decision.case)
    assert (state.state, state.reopen_count, state.closed_at, state.resolved_at) == (State.IN_PROGRESS, 1, None, None)
    assert StatusChange(state=State.CLOSED, at=minute(5)) in state.status_history
    assert decision.case.ended_at is None
    assert decision.events[0].change == {
        "state": "IN_PROGRESS",
        "reopen_count": 1,
        "closed_at": None,
        "resolved_at": None,
        "reason": "Still hot",
    }


LAST_INSTANT = datetime(2026, 1, 22, 23, 59, 59, 999000, tzinfo=UTC)


def test_when_a_case_was_closed_on_friday_the_second_then_thursday_the_22nd_is_the_last_day_to_reopen():
    case = after(by_device(), "close", now=minute(5))
    assert state_of(case).closed_at.date() == date(2026, 1, 2)
    assert state_of(after(case, "reopen", now=LAST_INSTANT)).state == State.IN_PROGRESS
    late = told(case, "reopen", now=LAST_INSTANT + timedelta(milliseconds=1))
    assert refusal(late) == (RefusalCode.REOPEN_WINDOW_EXPIRED, ())


def test_when_a_stranger_reopens_too_late_then_forbidden_comes_first():
    case = after(by_operator(), "close", now=minute(5))
    decision = told(case, "reopen", actor("operator", "somebody"), now=LAST_INSTANT + timedelta(days=9))
    assert refusal(decision) == (RefusalCode.FORBIDDEN, ())


def test_when_a_history_is_at_its_limit_then_its_first_step_and_the_latest_are_kept():
    history: tuple[StatusChange, ...] = (StatusChange(state=State.NEW, at=minute(0)),)
    for number in range(1, 300):
        history = lengthen(history, (State.IN_PROGRESS,), minute(number))
    assert len(history) == limits.STATUS_HISTORY_MAX
    assert [step.at for step in history] == [minute(0), *(minute(number) for number in range(101, 300))]
