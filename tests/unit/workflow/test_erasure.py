"""What is left of what was told when a person is erased."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from services.workflow.domain.erasure import Deeds, Person, forget, forget_state, is_about, note_deeds
from shared.contracts.case import CASE_STATE
from shared.contracts.events import CaseEvent
from shared.contracts.words import NOBODY, NOTHING
from tests.contract.golden_cases import CASE, event
from tests.unit.workflow.test_redaction import ANN, SECRET, Run, room, runs

ANN_IS = Person(tenant_id="acme", id="ann", words=frozenset({"Ann Meyer", "ann@acme.example"}))
BOB = {**ANN, "id": "bob"}


def events(run: Run) -> list[dict[str, Any]]:
    return [json.loads(told.value or b"") for told in run.told if told.topic == "case.events.v1"]


def erased(run: Run, person: Person = ANN_IS) -> list[dict[str, Any]]:
    deeds = Deeds()
    for body in events(run):
        note_deeds(body, person, deeds)
    return [forget(body, person, deeds) for body in events(run)]


def worked(*commands: tuple[str, dict[str, str], dict[str, Any]]) -> Run:
    run = Run(room())
    run.give("create", BOB, {"case": {"title": "Noise", "assignees": ["bob"]}})
    for name, actor, arguments in commands:
        run.give(name, actor, arguments)
    return run


def test_who_acts_is_nobody_and_others_stay() -> None:
    [created, assigned] = erased(worked(("assign", ANN, {"assignee": "me"})))
    assert (created["actor"]["id"], assigned["actor"]["id"]) == ("bob", NOBODY)
    assert assigned["actor"]["role"] == "agent"
    assert assigned["case"]["assignees"] == [NOBODY, "bob"]
    assert (assigned["case"]["created_by"]["id"], assigned["case"]["updated_by"]["id"]) == ("bob", NOBODY)


def test_what_they_wrote_is_nothing_and_what_others_wrote_stays() -> None:
    run = worked(
        ("add_note", ANN, {"text": "mine", "visibility": "internal"}),
        ("add_note", BOB, {"text": "yours", "visibility": "internal", "mentions": ["ann", "eve"]}),
        ("escalate", ANN, {"comment": "mine too"}),
    )
    [_, mine, yours, escalated] = erased(run)
    assert mine["change"]["note"]["text"] == NOTHING
    assert (yours["change"]["note"]["text"], yours["change"]["note"]["mentions"]) == ("yours", [NOBODY, "eve"])
    assert escalated["change"]["escalation"]["comment"] == NOTHING
    assert escalated["case"]["escalation"]["comment"] == NOTHING


def test_their_note_is_nothing_also_where_somebody_else_edited_it() -> None:
    run = worked(("add_note", ANN, {"text": "mine", "visibility": "internal"}))
    note = events(run)[-1]["change"]["note"]["id"]
    run.give("edit_note", {**BOB, "role": "dispatcher"}, {"note_id": note, "text": "mine, but shorter"})
    assert erased(run)[-1]["change"]["note"]["text"] == NOTHING


def test_what_a_case_on_hold_waits_for_stays() -> None:
    held = erased(worked(("start", ANN, {}), ("hold", ANN, {"reason": "parts", "text": "by Monday"})))[-1]
    assert (held["change"]["reason"], held["change"]["text"]) == ("parts", NOTHING)


def test_words_go_from_texts_and_from_nothing_else() -> None:
    run = worked(("update", BOB, {"fields": {"description": "Ask ANN MEYER", "cc": ["ann@acme.example"]}}))
    updated = erased(run)[-1]
    assert updated["case"]["description"] == f"Ask {NOTHING}"
    assert updated["case"]["cc"] == []
    assert forget({"case": {"number": "10000001"}}, Person(tenant_id="acme", id="x", words=frozenset({"1"}))) == {
        "case": {"number": "10000001"}
    }


def test_a_contact_goes_with_its_numbers_wherever_they_stand_in_the_case() -> None:
    contact = {"type": "technical", "user": "ann", "details": [{"type": "phone", "value": "+49 151 777"}]}
    run = worked(("update", BOB, {"fields": {"contacts": [contact], "description": "Call +49 151 777"}}))
    updated = erased(run)[-1]
    assert (updated["case"]["contacts"], updated["case"]["description"]) == ([], f"Call {NOTHING}")


def test_who_has_the_same_id_at_another_tenant_stays() -> None:
    run = worked(("assign", ANN, {"assignee": "me"}))
    other = Person(tenant_id="maker", id="ann")
    assert erased(run, other)[-1]["actor"]["id"] == "ann"
    assert not is_about(events(run)[-1], other)


def test_an_event_without_the_person_is_left_as_it_is() -> None:
    body = event("assigned")
    assert forget(body, Person(tenant_id="acme", id="nobody-here")) is body
    assert forget_state(CASE, Person(tenant_id="acme", id="nobody-here")) is CASE


@pytest.mark.parametrize("words", [frozenset[str](), frozenset({"for everybody"})])
def test_twice_is_once(words: frozenset[str]) -> None:
    person = Person(tenant_id="acme", id="ann", words=words)
    run = worked(("add_note", ANN, {"text": "for everybody", "visibility": "external"}))
    for body in erased(run, person):
        assert forget(body, person) is body


@settings(max_examples=60, deadline=None)
@given(runs())
def test_whatever_course_a_case_took_what_is_left_is_valid_and_names_them_no_more(run: Run) -> None:
    first = events(run)[0]
    person = Person(tenant_id="acme", id=first["actor"]["id"], words=frozenset({SECRET}))
    for body in erased(run, person):
        CaseEvent.model_validate_json(json.dumps(body))
        CASE_STATE.validate_python(body["case"])
        assert f'"{person.id}"' not in json.dumps(body)
