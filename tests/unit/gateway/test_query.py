"""A query is checked as a whole before anything is asked, and says exactly what a view must meet."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.access import Identity, Sight, visible
from services.gateway.domain.pages import Place, behind, order_of, place_of, read, written
from services.gateway.domain.query import SORTS, CaseQuery, InvalidQuery
from shared.contracts.words import Role

AGENT = Identity("acme", "ann", Role.AGENT)
SEES_ALL = Sight("acme", None, internal=True)
AT = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


def asked(**parameters):
    return CaseQuery.parse(parameters).conditions(SEES_ALL, "ann")


@pytest.mark.parametrize(
    ("parameters", "conditions"),
    [
        ({}, {}),
        ({"state": "NEW"}, {"state": 1}),
        ({"state": "NEW,ON_HOLD"}, {"state": {"$in": [1, 3]}}),
        ({"state": ["NEW", "ON_HOLD"]}, {"state": {"$in": [1, 3]}}),
        ({"state_group": "open"}, {"open": True}),
        ({"state_group": "closed"}, {"open": False}),
        ({"priority": "blocker"}, {"priority": 1}),
        ({"severity": "critical"}, {"severity": 1}),
        ({"case_type": "damage"}, {"case_type": "damage"}),
        ({"case_code": "0002-0001"}, {"case_code": "0002-0001"}),
        ({"assignee": "bob"}, {"assignees": "bob"}),
        ({"assignee": "me"}, {"assignees": "ann"}),
        ({"assignee": "none"}, {"$and": [{"assignee": None}]}),
        ({"assignee": ["none", "me"]}, {"$and": [{"$or": [{"assignee": None}, {"assignees": "ann"}]}]}),
        ({"team": "t1"}, {"teams": "t1"}),
        ({"customer": "Bolt"}, {"customer": "bolt"}),
        ({"account": "Bolt"}, {"customer": "bolt"}),
        ({"device": "Press-07"}, {"device": "Press-07"}),
        ({"serial": "SN-1"}, {"serial": "sn-1"}),
        ({"tag": ["Night", "hot"]}, {"tags": {"$all": ["night", "hot"]}}),
        ({"origin": "device"}, {"origin": "device"}),
        ({"visibility": "shared"}, {"visibility": "shared"}),
        ({"escalated": "true"}, {"escalated": True}),
        ({"created_after": "2026-03-02T10:15:00Z"}, {"created_at": {"$gte": AT}}),
        ({"closed_before": "2026-03-02T11:15:00+01:00"}, {"closed_at": {"$lt": AT}}),
        ({"application": "ERP"}, {"application": "erp"}),
        ({"brand": "Böhm"}, {"brand": "böhm"}),
        ({"contains.brand": "Ö."}, {"$and": [{"brand": {"$regex": "ö\\."}}]}),
    ],
)
def test_a_filter_says_what_a_view_must_meet(parameters, conditions):
    assert asked(**parameters) == {"listed": "acme", **conditions}


def test_every_query_is_of_one_tenant_whatever_it_says():
    assert asked()["listed"] == "acme"
    with pytest.raises(InvalidQuery):
        CaseQuery.parse({"listed": "maker"})


def test_a_contact_sees_the_own_cases_alone():
    contact = Identity("acme", "erin", Role.CONTACT)
    assert CaseQuery.parse({}).conditions(visible(contact), "erin") == {"listed": "acme", "parties": "erin"}
    assert "parties" not in CaseQuery.parse({}).conditions(visible(AGENT), "ann")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"state": "new"}, "state"),
        ({"colour": "red"}, "colour"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"sort": "colour"}, "sort"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"cursor": ""}, "cursor"),
        ({"q": ""}, "q"),
        ({"contains.tags": "x"}, "contains.tags"),
        ({"escalated": "perhaps"}, "escalated"),
        ({"case_code": "1-1"}, "case_code"),
        ({"q": ["a", "b"]}, "q"),
        ({"device": [str(number) for number in range(21)]}, "device"),
    ],
)
def test_what_breaks_the_grammar_is_refused_by_the_fields_name(parameters, field):
    with pytest.raises(InvalidQuery) as refused:
        CaseQuery.parse(parameters)
    assert [fault.field for fault in refused.value.faults] == [field]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InvalidQuery) as refused:
        CaseQuery.parse({"state": "new", "limit": "x", "what": "?"})
    assert {fault.field for fault in refused.value.faults} == {"state", "limit", "what"}


VALUES = st.one_of(
    st.none(),
    st.integers(0, 9),
    st.text(max_size=5),
    st.integers(0, 10**12).map(lambda milliseconds: AT + timedelta(milliseconds=milliseconds)),
)
SORTED = st.sampled_from([minus + sort for sort in sorted(SORTS) for minus in ("", "-")])


@given(
    value=VALUES, number=st.integers(1, 10**8), sort=st.sampled_from(sorted(SORTS)), minus=st.sampled_from(["", "-"])
)
def test_a_cursor_brings_back_its_place(value, number, sort, minus):
    query = CaseQuery.parse({"sort": minus + sort})
    place = Place(value, AT, number)
    assert read(query.model_copy(update={"cursor": written(place, query)})) == place


@pytest.mark.parametrize("cursor", ["x", "e30", "WzEsMiwzXQ", "ü"])
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(InvalidQuery, match="not one of ours"):
        read(CaseQuery.parse({"cursor": cursor}))


@pytest.mark.parametrize("other", [{"state": "NEW"}, {"sort": "number"}, {"q": "spindle"}])
def test_a_cursor_goes_on_in_its_own_list_alone(other):
    cursor = written(Place(AT, AT, 1), CaseQuery.parse({}))
    with pytest.raises(InvalidQuery, match="another list"):
        read(CaseQuery.parse({**other, "cursor": cursor}))
    assert read(CaseQuery.parse({"limit": "7", "cursor": cursor})) is not None


def test_a_list_has_one_order_up_to_the_number():
    assert order_of(CaseQuery.parse({"sort": "priority"})) == (("priority", 1), ("created_at", 1), ("n", 1))
    assert order_of(CaseQuery.parse({})) == (("created_at", -1), ("n", -1))
    assert order_of(CaseQuery.parse({"sort": "number"})) == (("n", 1),)


def test_what_is_absent_comes_first_and_is_passed_over_only_once():
    up, down = CaseQuery.parse({"sort": "brand"}), CaseQuery.parse({"sort": "-brand"})
    nowhere, somewhere = Place(None, AT, 5), Place("b", AT, 5)
    assert behind(nowhere, up)[0] == {"brand": {"$ne": None}}
    assert {"brand": None} in behind(somewhere, down)
    assert {"brand": None, "created_at": AT, "n": {"$lt": 5}} in behind(nowhere, down)
    assert place_of({"brand": "b", "created_at": AT, "n": 5}, up) == somewhere
