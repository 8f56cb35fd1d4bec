"""The order of refusals, repetition, and commands that come before their case."""

from dataclasses import replace

import pytest

from services.workflow.domain import Accepted, Case, Refused, Repeated, decide
from services.workflow.domain.decide import PARKED_BYTES_MAX, PARKED_MAX
from services.workflow.domain.recent import RECENT_MAX
from shared.contracts.words import Condition, RefusalCode, State, Visibility
from tests.unit.workflow.builders import (
    AGENT,
    DEVICE,
    START,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    cause,
    command,
    minute,
    signal,
    state_of,
    told,
)


def code_of(decision: object) -> RefusalCode:
    assert isinstance(decision, Refused), decision
    assert decision.message
    return decision.code


def test_when_a_command_is_accepted_then_version_and_seq_rise_by_one_and_its_outcome_says_so():
    first = accepted(told(None, "create", DEVICE, case={"title": "Hot", "signal": signal()}, id_="a"))
    second = accepted(told(first.case, "start", id_="b"))
    assert [(o.command_id, o.seq, o.version, o.actor, o.refused) for o in (*first.outcomes, *second.outcomes)] == [
        ("a", 1, 1, DEVICE, None),
        ("b", 2, 2, AGENT, None),
    ]
    assert [(e.name, e.state.seq, e.state.version) for e in (*first.events, *second.events)] == [
        ("created", 1, 1),
        ("started", 2, 2),
    ]
    assert state_of(second.case) == second.events[-1].state
    assert second.case.recent.entries == [("a", 1, 1), ("b", 2, 2)]
    assert second.events[0].cause.id == "b"
    assert second.events[0].actor == AGENT


def test_when_a_command_id_was_accepted_before_then_its_first_outcome_is_repeated_whatever_it_says():
    case = after(by_device(), "start", id_="twice")
    assert told(case, "cancel", actor("subscriber"), id_="twice") == Repeated(2, 2)


def test_when_a_stranger_repeats_an_accepted_command_id_then_there_is_no_such_case():
    case = after(by_device(), "start", id_="known")
    for by in (actor("agent", tenant="globex"), actor("operator", tenant="maker")):
        assert code_of(told(case, "start", by, id_="known")) == RefusalCode.NOT_FOUND
    assert code_of(told(case, "start", id_="known", tenant_id="globex")) == RefusalCode.NOT_FOUND
    assert isinstance(told(case, "start", id_="known"), Repeated)


def test_when_a_command_was_refused_then_it_is_decided_anew():
    case = by_device()
    assert code_of(told(case, "reopen", id_="early")) == RefusalCode.INVALID_TRANSITION
    case = after(case, "close")
    assert isinstance(told(case, "reopen", id_="early"), Accepted)


def test_when_many_commands_were_accepted_then_the_latest_ids_are_remembered():
    case = by_device()
    for number in range(RECENT_MAX + 5):
        case = after(case, "assign", id_=f"id-{number}")
    assert len(case.recent.entries) == RECENT_MAX
    assert case.recent.entries[0][0] == "id-5"
    assert isinstance(told(case, "assign", id_="id-4"), Accepted)
    assert isinstance(told(case, "assign", id_="id-5"), Repeated)


@pytest.mark.parametrize("name", ["assign", "unassign", "start", "resolve", "close", "cancel", "reopen"])
def test_when_the_case_is_unknown_then_people_do_not_find_it(name):
    assert code_of(told(None, name)) == RefusalCode.NOT_FOUND


def test_when_the_case_is_unknown_then_a_person_cannot_count_signals_for_it():
    assert code_of(told(None, "occur", AGENT)) == RefusalCode.NOT_FOUND


@pytest.mark.seed("S1.13")
def test_when_another_tenant_asks_then_the_answer_is_that_of_an_unknown_case():
    case, rival = by_device(), actor("agent", tenant="rival")
    unknown = told(None, "start", rival, tenant_id="rival")
    assert told(case, "start", rival, tenant_id="rival") == unknown
    assert told(case, "start", rival, tenant_id="acme") == unknown
    assert told(case, "create", rival, tenant_id="rival", case={"title": "Mine"}) == unknown


def test_when_the_case_is_shared_then_the_counterpart_takes_part():
    fields = {"counterpart_tenant_id": "maker"}
    shared = by_operator(**fields)
    internal = by_operator(**fields, visibility=Visibility.INTERNAL)
    maker = actor("agent", tenant="maker")
    assert isinstance(told(shared, "start", maker), Accepted)
    assert code_of(told(internal, "start", maker)) == RefusalCode.NOT_FOUND


def test_when_another_version_was_expected_then_it_is_a_conflict_before_anything_else_is_looked_at():
    case = by_device()
    assert code_of(told(case, "reopen", actor("auditor"), expected_version=2)) == RefusalCode.VERSION_CONFLICT
    assert isinstance(told(case, "start", expected_version=1), Accepted)


def test_when_a_version_is_expected_of_a_new_case_then_it_is_a_conflict():
    assert code_of(told(None, "create", expected_version=1)) == RefusalCode.VERSION_CONFLICT


def test_when_a_command_is_not_possible_now_then_the_message_names_the_state():
    decision = told(after(by_device(), "close"), "start")
    assert isinstance(decision, Refused)
    assert decision.code == RefusalCode.INVALID_TRANSITION
    assert "CLOSED" in decision.message


def test_when_the_case_is_deleted_then_only_signals_are_answered_and_handed_back():
    case = replace(by_device(), deleted=True, ended_at=minute(5))
    assert code_of(told(case, "start")) == RefusalCode.DELETED
    assert code_of(told(case, "clear", DEVICE)) == RefusalCode.DELETED
    decision = accepted(told(case, "occur", DEVICE, last_at=minute(6)))
    assert [event.name for event in decision.events] == ["occurrences_returned"]


def test_when_the_clock_jumps_back_then_time_in_the_case_does_not():
    case = after(by_device(), "start", now=minute(10))
    state = state_of(after(case, "close", now=minute(3)))
    assert (state.updated_at, state.closed_at, state.status_history[-1].at) == (minute(10),) * 3


def test_when_a_case_is_created_without_a_number_then_that_is_a_bug():
    with pytest.raises(ValueError, match="number"):
        decide(None, "create", command("create"), cause=cause(), now=START, number=None)


def waiting(*commands: tuple[str, dict[str, object]], **more: object) -> Case:
    case = None
    for number, (name, arguments) in enumerate(commands):
        case = after(case, name, DEVICE, id_=f"early-{number}", now=minute(number), **arguments, **more)
    assert case is not None
    return case


def create_on(stub: Case, **arguments: object) -> Accepted:
    return accepted(told(stub, "create", DEVICE, case={"title": "Hot", "signal": signal()}, id_="create", **arguments))


def test_when_signals_overtake_their_case_then_they_are_kept_without_an_answer():
    decision = accepted(told(None, "occur", DEVICE))
    assert (decision.events, decision.outcomes, decision.case.state) == ((), (), None)
    assert len(decision.case.parked) == 1


def test_when_the_case_is_created_then_what_waited_is_folded_in_with_causes_and_outcomes_of_its_own():
    stub = waiting(
        ("occur", {"count": 3, "last_at": minute(7)}),
        ("flag_flapping", {"flapping": True, "summary": "Comes and goes"}),
        ("clear", {"at": minute(8)}),
    )
    decision = create_on(stub, now=minute(1))
    names = ["created", "occurred", "flapping_changed", "condition_cleared", "resolved"]
    assert [event.name for event in decision.events] == names
    assert [event.state.seq for event in decision.events] == [1, 2, 3, 4, 5]
    assert [event.cause.id for event in decision.events] == ["create", "early-0", "early-1", "early-2", "early-2"]
    assert [(o.command_id, o.seq, o.version) for o in decision.outcomes] == [
        ("create", 1, 1),
        ("early-0", 2, 2),
        ("early-1", 3, 3),
        ("early-2", 5, 4),
    ]
    state = state_of(decision.case)
    assert (state.signal.count, state.signal.condition, state.state) == (4, Condition.CLEARED, State.RESOLVED)
    assert decision.events[2].change["at"] == "2026-01-02T09:01:00.000Z"
    assert [event.state.updated_at for event in decision.events] == [minute(1), minute(1), minute(1), *[minute(2)] * 2]
    assert decision.case.parked == ()


def test_when_a_waiting_command_is_refused_then_its_outcome_says_so_and_the_others_hold():
    stub = waiting(("occur", {"expected_version": 9}), ("occur", {}), ("occur", {"tenant_id": "rival"}))
    decision = create_on(stub)
    assert [o.refused and o.refused.code for o in decision.outcomes] == [
        None,
        RefusalCode.VERSION_CONFLICT,
        None,
        RefusalCode.NOT_FOUND,
    ]
    assert [o.seq for o in decision.outcomes] == [1, None, 2, None]
    assert state_of(decision.case).signal.count == 2


def test_when_a_waiting_command_comes_twice_then_it_counts_once():
    stub = waiting(("occur", {}))
    again = accepted(told(stub, "occur", DEVICE, id_="early-0"))
    assert again == Accepted(stub)


def test_when_a_waiting_command_has_the_id_of_the_creation_then_it_is_the_repetition():
    stub = after(None, "occur", DEVICE, id_="create")
    decision = create_on(stub)
    assert len(decision.events) == len(decision.outcomes) == 1


def test_when_too_many_commands_wait_then_further_ones_are_refused():
    stub = after(None, "occur", DEVICE)
    full = replace(stub, parked=stub.parked * PARKED_MAX)
    assert code_of(told(full, "occur", DEVICE)) == RefusalCode.LIMIT_EXCEEDED


def test_when_waiting_commands_have_long_texts_then_fewer_are_kept():
    stub = after(None, "flag_flapping", DEVICE, summary="\u2620" * 4000)
    many = PARKED_BYTES_MAX // len(stub.parked[0].data)
    full = replace(stub, parked=stub.parked * many)
    assert code_of(told(full, "flag_flapping", DEVICE, summary="\u2620" * 4000)) == RefusalCode.LIMIT_EXCEEDED


def test_when_much_waits_for_a_case_of_long_texts_then_it_cannot_be_created():
    stub = after(None, "occur", DEVICE)
    full = replace(stub, parked=stub.parked * PARKED_MAX)
    long = told(full, "create", DEVICE, case={"title": "Hot", "signal": signal(), "description": "x" * 4000})
    assert isinstance(long, Accepted)
    longer = {"title": "Hot", "signal": signal(), "description": "\u2620" * 4000}
    assert code_of(told(full, "create", DEVICE, case=longer)) == RefusalCode.LIMIT_EXCEEDED
