"""Django-CRM's way with cases: what its clients send and see, carried out by the workflow's own decisions."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.domain.compat import crm
from services.gateway.domain.compat.crm_form import (
    CrmForm,
    FieldErrors,
    FileReference,
    check_closed_on,
    read_comment,
    read_files,
    read_form,
)
from services.gateway.domain.compat.crm_orders import new_case, orders_of
from services.gateway.domain.profiles import DJANGO_CRM, DJANGO_CRM_REAL, NoWay
from services.workflow.domain import Case
from shared.contracts.words import Priority
from tests.unit.gateway.cases import DISPATCHER, body_of, carried_out, new
from tests.unit.workflow.builders import after, minute

USER, OTHER, TEAM, ACCOUNT = (f"{digit}0000000-0000-4000-8000-000000000000" for digit in "1234")
WHOLE = {
    "name": "Login issues",
    "status": "In Progress",
    "priority": "Critical",
    "case_type": "Bug Report",
    "account": ACCOUNT,
    "contacts": [USER],
    "assigned_to": [USER, OTHER],
    "teams": [TEAM],
    "description": "Since Monday",
}


def form(*, new_: bool = False, profile: Any = DJANGO_CRM, **fields: Any) -> CrmForm:
    return read_form(profile, fields, new=new_)


def created(**fields: Any) -> Case:
    return new(**new_case(form(new_=True, **fields), "acme"))


def put(case: Case, **fields: Any) -> Case:
    orders = orders_of(DJANGO_CRM, body_of(case), form(**fields), "Asked for", "acme")
    assert not isinstance(orders, NoWay)
    return carried_out(case, orders)


def shown(case: Case, *names: str) -> dict[str, Any]:
    told = crm.case(DJANGO_CRM, body_of(case))
    return {name: told[name] for name in names}


@pytest.mark.seed("S2.3", "S2.19")
def test_a_case_is_shown_with_these_fields() -> None:
    case = created(**{name: value for name, value in WHOLE.items() if name != "status"})
    assert crm.item(DJANGO_CRM, body_of(case)) == {
        "id": body_of(case)["id"],
        "name": "Login issues",
        "status": "New",
        "priority": "Critical",
        "case_type": "Bug Report",
        "account": ACCOUNT,
        "contacts": [USER],
        "created_on": "2026-01-02T09:00:00Z",
        "closed_on": None,
        "assigned_to": [USER, OTHER],
        "teams": [TEAM],
    }
    assert shown(case, "created_by", "org", "description") == {
        "created_by": "ann",
        "org": "acme",
        "description": "Since Monday",
    }


@pytest.mark.seed("S2.10")
def test_what_was_put_is_shown() -> None:
    case = put(new(), **WHOLE)
    assert shown(case, *WHOLE) == WHOLE


def test_putting_what_is_there_does_nothing() -> None:
    case = put(new(), **WHOLE)
    assert orders_of(DJANGO_CRM, body_of(case), form(**crm.case(DJANGO_CRM, body_of(case))), "Asked for", "acme") == ()


VALUES: dict[str, list[Any]] = {
    "name": ["Login issues", "Others"],
    "status": ["New", "In Progress", "On Hold", "Closed"],
    "priority": ["Low", "Normal", "High", "Critical"],
    "case_type": ["Technical", "Billing", "General", "Bug Report", "Feature Request"],
    "account": [ACCOUNT, USER, None],
    "contacts": [[], [USER], [OTHER, USER]],
    "assigned_to": [[USER], [OTHER, USER], [USER, OTHER, TEAM], [TEAM]],
    "teams": [[], [TEAM]],
    "description": ["Since Monday", None],
}
FORMS = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})


@settings(max_examples=60, deadline=None)
@given(first=FORMS, second=FORMS)
def test_whatever_is_put_after_whatever_is_shown_in_the_end(first: dict[str, Any], second: dict[str, Any]) -> None:
    case = put(new(), **first)
    if first.get("status") == "Closed" and "status" not in second:
        second |= {"status": "In Progress"}  # a closed case takes no changes but to be reopened
    if first.get("status") == second.get("status") == "Closed":
        return
    case = put(case, **second)
    assert shown(case, *second) == second


@pytest.mark.parametrize("word", ["Low", "low"])
def test_a_word_that_shows_two_of_ours_changes_neither(word: str) -> None:
    trivial = new(priority=Priority.TRIVIAL)
    if word == "low":
        with pytest.raises(FieldErrors, match="not a valid choice: Critical, High, Normal, Low"):
            form(priority=word)
    else:
        assert orders_of(DJANGO_CRM, body_of(trivial), form(priority=word), "", "acme") == ()


@pytest.mark.seed("S2.10", "S2.24")
def test_the_clients_time_of_closing_is_shown_until_the_case_is_closed_again() -> None:
    case = put(new(), status="Closed", closed_on="2026-01-02T09:05:00Z")
    assert shown(case, "closed_on") == {"closed_on": "2026-01-02T09:05:00Z"}
    assert body_of(case)["closed_at"] == "2026-01-02T09:10:00.000Z"
    case = after(case, "reopen", DISPATCHER, now=minute(20))
    assert shown(case, "closed_on") == {"closed_on": None}
    case = after(case, "close", DISPATCHER, now=minute(30))
    assert shown(case, "closed_on") == {"closed_on": "2026-01-02T09:30:00Z"}


@pytest.mark.parametrize(
    ("closed_on", "taken"),
    [(-1, False), (0, True), (5, True), (10, True), (11, False)],
)
def test_a_time_of_closing_lies_between_the_beginning_and_now(closed_on: int, taken: bool) -> None:
    given_ = CrmForm({"closed_on": minute(closed_on)})
    if taken:
        check_closed_on(given_, minute(0), minute(10), ends=True)
    else:
        with pytest.raises(FieldErrors):
            check_closed_on(given_, minute(0), minute(10), ends=True)
    with pytest.raises(FieldErrors, match="with the status"):
        check_closed_on(given_, minute(0), minute(10), ends=False)


def test_a_case_may_be_closed_on_the_day_it_began_and_within_its_first_second() -> None:
    begun = datetime(2026, 1, 2, 9, 0, 0, 500_000, UTC)
    now = begun + timedelta(minutes=1)
    check_closed_on(form(closed_on="2026-01-02"), begun, now, ends=True)
    check_closed_on(form(closed_on="2026-01-02T09:00:00Z"), begun, now, ends=True)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": None}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "status": "Nwe"}, "status"),
        ({"name": "x", "priority": "Urgent"}, "priority"),
        ({"name": "x", "case_type": ["Billing"]}, "case_type"),
        ({"name": "x", "closed_on": "yesterday"}, "closed_on"),
        ({"name": "x", "contacts": "[1]"}, "contacts"),
        ({"name": "x", "contacts": [["a"]]}, "contacts"),
        ({"name": "x", "contacts": {"a": 1}}, "contacts"),
        ({"name": "x", "contacts": 5}, "contacts"),
        ({"name": "x", "contacts": "[broken"}, "contacts"),
        ({"name": "x", "contacts": [f"c{n}" for n in range(11)]}, "contacts"),
        ({"name": "x", "assigned_to": [""]}, "assigned_to"),
        ({"name": "x", "description": "x" * 4001}, "description"),
        ({"name": "x", "attachments": [{"id": "f-1"}]}, "attachments"),
        ({"name": "x", "attachments": [{"id": f"f-{n}", "name": "a"} for n in range(6)]}, "attachments"),
    ],
)
def test_a_field_that_is_wrong_is_told_by_name(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(FieldErrors) as told:
        form(new_=True, **fields)
    assert list(told.value.fields) == [wrong]
    assert told.value.fields[wrong][0]


def test_all_fields_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(FieldErrors) as told:
        form(new_=True, status="?", priority="?", name="x" * 300)
    assert set(told.value.fields) == {"status", "priority", "name"}


@pytest.mark.seed("S2.7")
@pytest.mark.parametrize("contacts", [[USER, OTHER], f'["{USER}", "{OTHER}"]'])
def test_lists_come_as_json_or_as_text_of_it(contacts: Any) -> None:
    assert form(contacts=contacts).get("contacts") == (USER, OTHER)


@pytest.mark.parametrize(("said", "read"), [("", ()), (None, ()), (USER, (USER,)), ([USER, USER], (USER,))])
def test_a_list_may_be_empty_or_one(said: Any, read: tuple[str, ...]) -> None:
    assert form(teams=said).get("teams") == read


def test_files_are_taken_by_reference() -> None:
    assert form(attachments=[{"id": "f-1", "name": "a.jpg"}]).files == (FileReference("f-1", "a.jpg"),)
    assert read_files({"attachments": '{"id": "f-1", "name": "a.jpg"}'}) == (FileReference("f-1", "a.jpg"),)
    with pytest.raises(FieldErrors):
        read_files({"attachments": "f-1"})


def test_a_comment_is_text_of_bounded_length() -> None:
    assert read_comment({"comment": "Hello"}) == "Hello"
    assert read_comment({"comment": ""}) is None
    for wrong in (5, "x" * 4001):
        with pytest.raises(FieldErrors):
            read_comment({"comment": wrong})


@pytest.mark.seed("S2.25")
def test_the_real_product_has_shorter_names_and_wants_the_day_of_closing() -> None:
    real = DJANGO_CRM_REAL
    assert form(profile=real, name="x" * 64).get("name") == "x" * 64
    for fields in ({"name": "x" * 65}, {"status": "Closed"}, {"status": "Closed", "closed_on": ""}):
        with pytest.raises(FieldErrors):
            form(profile=real, **fields)
    orders = orders_of(real, body_of(new()), form(profile=real, status="Closed", closed_on="2026-01-02"), "", "acme")
    assert not isinstance(orders, NoWay)
    assert crm.item(real, body_of(carried_out(new(), orders)))["closed_on"] == "2026-01-02"


def test_assigning_keeps_the_order_that_was_asked_for() -> None:
    for wanted in itertools.permutations((USER, OTHER, TEAM)):
        case = put(new(assignees=(TEAM, ACCOUNT)), assigned_to=list(wanted))
        assert shown(case, "assigned_to") == {"assigned_to": list(wanted)}


def test_a_contact_who_is_no_user_stays() -> None:
    person = {"first_name": "Eva", "details": [{"type": "email", "value": "eva@example.org"}]}
    case = put(new(contacts=[person]), contacts=[USER])
    assert [contact.get("first_name", contact.get("user")) for contact in body_of(case)["contacts"]] == [USER, "Eva"]


def test_of_another_tenants_people_and_priority_nothing_is_shown() -> None:
    body = body_of(new()) | {"created_by": {"role": "agent", "tenant_id": "maker"}}
    del body["priority"]
    told = crm.case(DJANGO_CRM, body)
    assert (told["created_by"], told["priority"]) == ("agent", None)
