"""Who looks at a case and how closely; and how a case is put away."""

import re

import pytest

from services.workflow.domain import Refused
from services.workflow.telling import DELETED, event_message, snapshot_message
from shared.contracts.case import CASE_STATE, CloseRequest, Escalation
from shared.contracts.words import RefusalCode, State, Visibility
from tests.unit.workflow.builders import (
    AGENT,
    DEVICE,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    minute,
    state_of,
    told,
)

OPERATOR, DISPATCHER = actor("operator"), actor("dispatcher")
BY_OPERATOR = {"id": "operator-1", "role": "operator", "tenant_id": "acme"}


@pytest.mark.seed("S3.12")
def test_when_a_case_is_escalated_then_who_when_and_why_are_kept_and_the_state_stays():
    decision = accepted(told(by_operator(), "escalate", OPERATOR, now=minute(3)))
    state = state_of(decision.case)
    assert state.state == State.NEW
    assert state.escalation == Escalation(level=1, by=OPERATOR, at=minute(3), comment="The line stands still")
    assert decision.events[0].change == {
        "escalation": {
            "level": 1,
            "by": BY_OPERATOR,
            "at": "2026-01-02T09:03:00.000Z",
            "comment": "The line stands still",
        }
    }
    calm = accepted(told(decision.case, "deescalate", DISPATCHER))
    assert calm.events[0].change == {"escalation": None}
    assert state_of(calm.case).escalation is None


@pytest.mark.parametrize("name", ["resolve", "close"])
def test_when_an_escalated_case_is_resolved_or_closed_then_its_escalation_ends_with_it(name):
    case = after(by_operator(), "escalate", OPERATOR)
    decision = accepted(told(case, name))
    assert [event.name for event in decision.events] == [{"resolve": "resolved", "close": "closed"}[name]]
    assert decision.events[0].change["escalation"] is None
    assert state_of(decision.case).escalation is None


def test_when_the_machine_is_well_again_then_the_escalation_of_an_untouched_case_ends_with_it():
    case = after(by_device(), "escalate", actor("system"))
    decision = accepted(told(case, "clear", DEVICE))
    assert [event.name for event in decision.events] == ["condition_cleared", "resolved"]
    assert decision.events[1].change["escalation"] is None
    assert state_of(decision.case).escalation is None


@pytest.mark.seed("S3.13")
def test_when_closing_is_requested_then_the_next_change_of_the_state_answers_it():
    decision = accepted(told(by_operator(), "request_close", OPERATOR, now=minute(3)))
    assert state_of(decision.case).close_request == CloseRequest(by=OPERATOR, at=minute(3))
    assert decision.events[0].change == {"close_request": {"by": BY_OPERATOR, "at": "2026-01-02T09:03:00.000Z"}}
    assigned = after(decision.case, "assign")
    assert state_of(assigned).close_request is not None
    started = accepted(told(assigned, "start"))
    assert started.events[0].change["close_request"] is None
    assert state_of(started.case).close_request is None


def test_when_an_untouched_case_settles_then_a_request_to_close_it_is_answered():
    case = after(by_device(), "request_close", OPERATOR)
    resolved = accepted(told(case, "resolve"))
    assert resolved.events[0].change["close_request"] is None


@pytest.mark.seed("S1.12")
def test_when_a_case_is_shared_then_the_counterpart_takes_part_and_there_is_no_way_back():
    decision = accepted(told(by_device(), "share"))
    state = state_of(decision.case)
    assert (state.visibility, state.counterpart_tenant_id) == (Visibility.SHARED, "maker")
    assert decision.events[0].change == {"visibility": "shared", "counterpart_tenant_id": "maker"}
    assert state_of(after(decision.case, "start", actor("agent", tenant="maker"))).state == State.IN_PROGRESS
    again = told(decision.case, "share", counterpart_tenant_id="another")
    assert isinstance(again, Refused)
    assert again.code == RefusalCode.INVALID_TRANSITION


def test_when_a_case_would_be_shared_with_its_own_tenant_then_that_is_invalid():
    decision = told(by_device(), "share", counterpart_tenant_id="acme")
    assert isinstance(decision, Refused)
    assert (decision.code, decision.fields) == (RefusalCode.INVALID_COMMAND, ("counterpart_tenant_id",))


def test_when_a_resolved_case_is_archived_then_it_is_closed_on_the_way_in_one_commit():
    case = after(by_device(), "resolve", now=minute(2))
    decision = accepted(told(case, "archive", DISPATCHER, now=minute(5)))
    assert [event.name for event in decision.events] == ["closed", "archived"]
    assert [event.state.state for event in decision.events] == [State.CLOSED, State.ARCHIVED]
    assert [(event.state.version, event.state.seq) for event in decision.events] == [(3, 3), (3, 4)]
    state = state_of(decision.case)
    assert [step.state for step in state.status_history] == ["NEW", "RESOLVED", "CLOSED", "ARCHIVED"]
    assert (state.closed_at, decision.case.ended_at) == (minute(5), minute(5))


def test_when_an_ended_case_is_archived_then_its_end_stays_when_it_was():
    case = after(by_device(), "cancel", now=minute(2))
    decision = accepted(told(case, "archive", DISPATCHER, now=minute(5)))
    assert [event.name for event in decision.events] == ["archived"]
    assert (state_of(decision.case).state, decision.case.ended_at) == (State.ARCHIVED, minute(2))


def test_when_a_case_is_given_back_then_nobody_is_assigned_any_more():
    case = after(by_device(), "start")
    decision = accepted(told(case, "requeue", DISPATCHER, reason="Not ours"))
    state = state_of(decision.case)
    assert (state.state, state.assignees) == (State.NEW, ())
    assert decision.events[0].change == {"state": "NEW", "assignees": [], "reason": "Not ours"}


@pytest.mark.parametrize("who", [OPERATOR, AGENT])
def test_when_a_solution_did_not_help_then_the_case_goes_on_and_the_solution_stays_to_be_read(who):
    case = after(by_operator(), "resolve", now=minute(2))
    decision = accepted(told(case, "reject_resolution", who))
    state = state_of(decision.case)
    assert (state.state, state.resolved_at) == (State.IN_PROGRESS, None)
    assert state.resolution == state_of(case).resolution
    assert decision.events[0].change == {"state": "IN_PROGRESS", "resolved_at": None, "reason": "It still smells"}


def test_when_a_case_is_deleted_then_a_stone_stays_and_signals_come_back():
    case = after(after(by_device(), "resolve", now=minute(2)), "delete", DISPATCHER, now=minute(9))
    assert (case.deleted, case.ended_at, state_of(case).deleted_at) == (True, minute(9), minute(9))
    late = accepted(told(case, "occur", DEVICE, last_at=minute(10)))
    assert [event.name for event in late.events] == ["occurrences_returned"]
    early = accepted(told(case, "occur", DEVICE, last_at=minute(8)))
    assert [event.name for event in early.events] == ["occurred"]
    assert state_of(early.case).state == State.RESOLVED
    for name in ("start", "share", "delete", "reopen"):
        refused = told(case, name, DISPATCHER)
        assert isinstance(refused, Refused)
        assert refused.code == RefusalCode.DELETED


def test_when_a_case_is_deleted_then_its_snapshot_is_a_tombstone_from_then_on():
    case = by_device(description=',"deleted_at":"2026-01-02T09:09:00.000Z"}')
    decision = accepted(told(case, "assign"))
    assert snapshot_message(event_message(decision.events[0], "0" * 64, None)[0]).value is not None
    deleted = accepted(told(case, "delete", DISPATCHER))
    told_later = accepted(told(deleted.case, "occur", DEVICE, last_at=minute(60)))
    for event in (*deleted.events, *told_later.events):
        snapshot = snapshot_message(event_message(event, "0" * 64, None)[0])
        assert (snapshot.key, snapshot.value) == (case.id.encode(), None)
    assert re.search(DELETED, CASE_STATE.dump_json(state_of(deleted.case), exclude_none=True))


@pytest.mark.parametrize("details", [{"x": 1, "case": 2}, {"x": {"y": 1, "case": {"id": "z"}}, "case": ',"case":{}}'}])
def test_a_snapshot_is_the_whole_state_whatever_words_outsiders_use(details):
    decision = accepted(told(by_device(details=details), "update", fields={"details": details | {"more": True}}))
    (event,) = decision.events
    snapshot = snapshot_message(event_message(event, "0" * 64, None)[0])
    assert snapshot.value == CASE_STATE.dump_json(event.state, exclude_none=True)
