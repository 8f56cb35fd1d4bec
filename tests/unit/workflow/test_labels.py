"""Fields, tags and watchers."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from services.workflow.domain import Accepted, Case, Refused
from shared.contracts import limits
from shared.contracts.case import Contact, Machine
from shared.contracts.words import CaseType, ContactType, Priority, RefusalCode, Severity
from tests.unit.workflow.builders import (
    AGENT,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    command,
    state_of,
    told,
)

OPERATOR, TECHNICIAN = actor("operator"), actor("technician")
MAKER = actor("agent", "mia", tenant="maker")


def refusal(decision: object) -> tuple[RefusalCode, tuple[str, ...]]:
    assert isinstance(decision, Refused), decision
    return decision.code, decision.fields


def shared(**fields: object) -> Case:
    return by_operator(counterpart_tenant_id="maker", **fields)


def test_when_fields_are_updated_then_their_new_values_hold_and_are_told():
    fields = {
        "title": "Spindle hot",
        "priority": Priority.HIGH,
        "machine": Machine(serial="SN-1"),
        "contacts": (Contact(user="operator-9", type=ContactType.NOTIFICATION),),
        "cc": ("a@example.org", "b@example.org", "a@example.org"),
        "teams": ("night", "night"),
        "details": {"documents": {"formats": ["PDF"]}},
        "classification": {"Application": "MES"},
    }
    decision = accepted(told(by_device(), "update", fields=fields))
    state = state_of(decision.case)
    assert (state.title, state.priority, state.machine) == ("Spindle hot", Priority.HIGH, Machine(serial="SN-1"))
    assert (state.cc, state.teams) == (("a@example.org", "b@example.org"), ("night",))
    assert decision.events[0].name == "updated"
    assert decision.events[0].change == {
        "title": "Spindle hot",
        "priority": "high",
        "machine": {"serial": "SN-1"},
        "contacts": [{"type": "notification", "user": "operator-9", "details": []}],
        "cc": ["a@example.org", "b@example.org"],
        "teams": ["night"],
        "details": {"documents": {"formats": ["PDF"]}},
        "classification": {"Application": "MES"},
    }


def test_when_a_field_is_null_then_its_value_is_taken_away_where_a_case_can_be_without_it():
    case = by_device(description="Hot", cc=("a@example.org",), part_model="P")
    decision = accepted(told(case, "update", fields={"description": None, "cc": None, "part_model": None}))
    state = state_of(decision.case)
    assert (state.description, state.cc, state.part_model) == (None, (), None)
    assert decision.events[0].change == {"description": None, "cc": [], "part_model": None}


@pytest.mark.parametrize("name", ["title", "case_type", "priority", "severity"])
def test_when_a_case_would_be_without_what_it_always_has_then_that_is_invalid(name):
    decision = told(by_device(), "update", fields={name: None})
    assert refusal(decision) == (RefusalCode.INVALID_COMMAND, (f"fields.{name}",))


def test_when_no_field_is_given_then_that_is_invalid():
    assert refusal(told(by_device(), "update", fields={})) == (RefusalCode.INVALID_COMMAND, ("fields",))


@pytest.mark.parametrize("name", ["state", "titel", "assignees", "closed_at", "tags"])
def test_when_a_field_cannot_be_updated_then_the_command_is_not_even_read(name):
    with pytest.raises(ValidationError, match=rf"fields\.{name}"):
        command("update", fields={name: "x"})


@pytest.mark.parametrize("contact", [{}, {"user": "u", "last_name": "x"}, {"last_name": "x"}])
def test_when_a_contact_is_neither_registered_nor_reachable_then_the_command_is_not_even_read(contact):
    with pytest.raises(ValidationError, match="contact"):
        command("update", fields={"contacts": (Contact(**contact),)})


def test_when_a_customer_updates_their_own_case_then_only_what_they_know_best():
    case = by_operator()
    assert state_of(after(case, "update", OPERATOR, fields={"severity": Severity.CRITICAL})).severity == "critical"
    desk = {"priority": Priority.HIGH, "case_type": CaseType.DAMAGE, "title": "x"}
    decision = told(case, "update", OPERATOR, fields=desk)
    assert refusal(decision) == (RefusalCode.FORBIDDEN, ("fields.case_type", "fields.priority"))
    assert refusal(told(by_device(), "update", OPERATOR))[0] == RefusalCode.FORBIDDEN


def test_when_a_registered_contact_updates_or_cancels_then_the_case_is_their_own():
    case = by_device(contacts=(Contact(user="carl"),))
    carl = actor("contact", "carl")
    assert isinstance(told(case, "update", carl), Accepted)
    assert isinstance(told(case, "cancel", carl), Accepted)
    assert refusal(told(case, "cancel", actor("contact", "else")))[0] == RefusalCode.FORBIDDEN
    elsewhere = by_device(contacts=(Contact(user="carl", tenant_id="maker"),))
    assert refusal(told(elsewhere, "cancel", carl))[0] == RefusalCode.FORBIDDEN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", Priority.LOW),
        ("classification", {"account": "theirs"}),
        ("teams", ("theirs",)),
        ("solution_suggestion", "theirs"),
    ],
)
def test_when_the_counterpart_sets_what_it_is_not_told_then_that_is_forbidden(name, value):
    case = shared(classification={"account": "ours", "line": "3"}, teams=("night",))
    assert refusal(told(case, "update", MAKER, fields={name: value})) == (RefusalCode.FORBIDDEN, (f"fields.{name}",))
    assert isinstance(told(shared(), "update", MAKER, fields={"case_type": CaseType.DAMAGE}), Accepted)


def test_when_the_counterpart_gives_lists_then_what_it_does_not_see_of_them_stays():
    ours, theirs = Contact(user="carl", tenant_id="acme"), Contact(user="mo", tenant_id="maker")
    case = shared(contacts=(ours, theirs), cc=("a@example.org",))
    new = Contact(user="mia", tenant_id="maker")
    fields = {"contacts": (new,), "cc": ("m@example.org",)}
    state = state_of(accepted(told(case, "update", MAKER, fields=fields)).case)
    assert state.contacts == (ours, new)
    assert state.cc == ("a@example.org", "m@example.org")
    many = tuple(Contact(user=f"m{number}", tenant_id="maker") for number in range(limits.CONTACTS_MAX))
    decision = told(case, "update", MAKER, fields={"contacts": many})
    assert refusal(decision)[0] == RefusalCode.LIMIT_EXCEEDED


def test_when_signals_opened_the_case_then_its_device_stays():
    case = by_device(device_id="press-07")
    assert refusal(told(case, "update", fields={"device_id": "press-08"})) == (
        RefusalCode.INVALID_COMMAND,
        ("fields.device_id",),
    )
    assert isinstance(told(case, "update", fields={"device_id": "press-07"}), Accepted)
    assert state_of(after(by_operator(), "update", fields={"device_id": "press-08"})).device_id == "press-08"


@pytest.mark.parametrize("name", ["update", "tag", "watch"])
def test_when_a_case_would_grow_beyond_a_message_then_it_is_refused(name):
    def heavy(kib: int) -> Case:
        case = by_operator()
        return replace(case, state=replace(state_of(case), assignees=tuple("\x01" * 170 for _ in range(kib))))

    assert isinstance(told(heavy(380), name), Accepted)
    assert refusal(told(heavy(385), name)) == (RefusalCode.LIMIT_EXCEEDED, ())
    assert isinstance(told(heavy(385), "start"), Accepted)


@pytest.mark.seed("S0.18")
def test_when_tags_are_added_then_each_is_there_once_and_the_order_stays():
    decision = accepted(told(by_device(tags=("hot", "loud")), "tag", tags=("new", "hot", "new")))
    assert state_of(decision.case).tags == ("hot", "loud", "new")
    assert decision.events[0].change == {"tags": ["hot", "loud", "new"]}
    untagged = accepted(told(decision.case, "untag", tags=("hot", "new")))
    assert untagged.events[0].name == "untagged"
    assert untagged.events[0].change == {"tags": ["loud"]}
    assert refusal(told(untagged.case, "untag", tags=("loud", "hot"))) == (RefusalCode.INVALID_COMMAND, ("tags",))


def test_when_a_case_has_all_the_tags_it_can_have_then_no_more_are_taken():
    case = by_device(tags=tuple(f"t{number}" for number in range(limits.TAGS_MAX)))
    assert refusal(told(case, "tag", tags=("more",))) == (RefusalCode.LIMIT_EXCEEDED, ("tags",))
    assert isinstance(told(case, "tag", tags=("t7",)), Accepted)


@pytest.mark.seed("S1.23", "S2.27")
def test_when_somebody_watches_then_they_hear_of_the_case_until_they_do_not():
    decision = accepted(told(by_device(watchers=("erin",)), "watch", TECHNICIAN))
    assert state_of(decision.case).watchers == ("erin", "technician-1")
    assert decision.events[0].change == {"watchers": ["erin", "technician-1"], "user": "technician-1"}
    assert state_of(after(decision.case, "watch", TECHNICIAN)).watchers == ("erin", "technician-1")
    unwatched = accepted(told(decision.case, "unwatch", TECHNICIAN))
    assert unwatched.events[0].name == "unwatched"
    assert unwatched.events[0].change == {"watchers": ["erin"], "user": "technician-1"}
    assert refusal(told(unwatched.case, "unwatch", TECHNICIAN)) == (RefusalCode.INVALID_COMMAND, ("user",))


@pytest.mark.parametrize("name", ["watch", "unwatch"])
@pytest.mark.parametrize(("by", "may"), [(AGENT, True), (actor("dispatcher"), True), (TECHNICIAN, False)])
def test_when_somebody_decides_for_others_what_to_watch_then_only_who_distributes_the_work(name, by, may):
    decision = told(by_device(watchers=("erin",)), name, by, user="erin")
    assert isinstance(decision, Accepted) is may
    if not may:
        assert refusal(decision) == (RefusalCode.FORBIDDEN, ("user",))


def test_when_a_case_has_all_the_watchers_it_can_have_then_no_more_are_taken():
    case = by_device(watchers=tuple(f"w{number}" for number in range(limits.WATCHERS_MAX)))
    assert refusal(told(case, "watch")) == (RefusalCode.LIMIT_EXCEEDED, ("user",))
