"""Pauses of the work, and what the customer says."""

from dataclasses import replace

import pytest

from services.workflow.domain import Case, Refused
from services.workflow.domain.case import NoteRef
from services.workflow.domain.notes import note_id
from shared.contracts import limits
from shared.contracts.case import StatusChange
from shared.contracts.words import HoldReason, NoteVisibility, RefusalCode, State
from tests.unit.workflow.builders import (
    AGENT,
    CASE_ID,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    minute,
    state_of,
    told,
)

OPERATOR = actor("operator")
FILE = {"id": "f-1", "name": "spindle.jpg"}


def shared() -> Case:
    return by_operator(counterpart_tenant_id="maker")


def code_of(decision: object) -> RefusalCode:
    assert isinstance(decision, Refused), decision
    return decision.code


def test_when_a_case_is_put_on_hold_then_its_history_says_what_it_waits_for():
    decision = accepted(told(by_device(), "hold", now=minute(3), reason=HoldReason.VENDOR, text="They call back"))
    state = state_of(decision.case)
    assert state.state == State.ON_HOLD
    assert state.status_history[-1] == StatusChange(state=State.ON_HOLD, at=minute(3), reason=HoldReason.VENDOR)
    assert decision.events[0].name == "held"
    assert decision.events[0].change == {"state": "ON_HOLD", "reason": "vendor", "text": "They call back"}
    resumed = accepted(told(decision.case, "resume", now=minute(4)))
    assert [event.name for event in resumed.events] == ["resumed"]
    assert state_of(resumed.case).status_history[-1] == StatusChange(state=State.IN_PROGRESS, at=minute(4))


def test_when_the_customer_is_asked_then_the_question_is_an_external_note_and_the_first_response():
    decision = accepted(told(shared(), "request_action", now=minute(3), id_="ask"))
    state = state_of(decision.case)
    note = note_id(CASE_ID, "ask")
    assert (state.state, state.first_response_at) == (State.ACTION_REQUIRED, minute(3))
    assert [event.name for event in decision.events] == ["action_requested"]
    assert decision.events[0].change == {
        "state": "ACTION_REQUIRED",
        "first_response_at": "2026-01-02T09:03:00.000Z",
        "note": {"id": note, "visibility": "external", "text": "Please send a photo"},
    }
    assert decision.case.papers.notes == (
        NoteRef(id=note, author_id=AGENT.id, author_tenant_id="acme", visibility=NoteVisibility.EXTERNAL),
    )


def test_when_the_customer_replies_to_a_request_then_note_and_resumption_are_one_commit():
    case = after(shared(), "request_action", now=minute(3))
    decision = accepted(told(case, "reply", OPERATOR, now=minute(5), attachments=(FILE,)))
    assert [event.name for event in decision.events] == ["note_added", "resumed"]
    assert [event.state.seq for event in decision.events] == [3, 4]
    assert {event.state.version for event in decision.events} == {3}
    assert decision.events[0].state.state == State.ACTION_REQUIRED
    assert decision.events[0].change["note"]["attachments"] == [FILE]
    assert decision.events[1].change == {"state": "IN_PROGRESS", "reason": "reply"}
    assert [(o.seq, o.version) for o in decision.outcomes] == [(4, 3)]
    assert state_of(decision.case).first_response_at == minute(3)


def test_when_nothing_was_asked_then_a_reply_is_a_note_and_no_response_of_staff():
    decision = accepted(told(shared(), "reply", OPERATOR))
    assert [event.name for event in decision.events] == ["note_added"]
    state = state_of(decision.case)
    assert (state.state, state.first_response_at) == (State.NEW, None)


def test_when_a_reply_says_nothing_then_it_is_invalid_and_a_file_alone_is_enough():
    empty = told(shared(), "reply", OPERATOR, text=None)
    assert isinstance(empty, Refused)
    assert (empty.code, empty.fields) == (RefusalCode.INVALID_COMMAND, ("text", "attachments"))
    note = accepted(told(shared(), "reply", OPERATOR, text=None, attachments=(FILE,))).events[0].change["note"]
    assert isinstance(note, dict)
    assert set(note) == {"id", "visibility", "attachments"}


@pytest.mark.parametrize("name", ["request_action", "reply"])
def test_when_a_case_has_all_the_notes_it_can_have_then_no_more_are_taken(name):
    case = after(shared(), "request_action")
    full = case.papers.notes * limits.NOTES_MAX
    case = replace(after(case, "resume"), papers=replace(case.papers, notes=full))
    case = replace(case, state=replace(state_of(case), state=State.IN_PROGRESS))
    who = OPERATOR if name == "reply" else AGENT
    assert code_of(told(case, name, who)) == RefusalCode.LIMIT_EXCEEDED


def test_when_a_case_closed_long_ago_then_a_reply_comes_too_late():
    case = after(shared(), "close", now=minute(1))
    assert state_of(after(case, "reply", OPERATOR, now=minute(2))).state == State.CLOSED
    late = told(case, "reply", OPERATOR, now=minute(60 * 24 * 40))
    assert code_of(late) == RefusalCode.REOPEN_WINDOW_EXPIRED
