"""Columns as people choose them, and lists as CSV that no spreadsheet takes for formulas."""

import csv
import io
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.access import Identity
from services.gateway.domain.columns import COLUMNS, FACTORY, Columns, csv_head, csv_lines, read_columns
from services.gateway.domain.query import SORTS, InvalidQuery
from services.gateway.domain.view import read_view, view_document
from services.gateway.preferences import Preferences
from shared.contracts.words import Role
from shared.testing import MemoryDocuments
from tests.builders import AT
from tests.unit.gateway.events import event, record, state

ANN, BOB = (Identity("acme", name, Role.AGENT) for name in ("ann", "bob"))


class Memory:
    """A database of documents in memory."""

    def __init__(self):
        self.kept = MemoryDocuments()

    def documents(self, _):
        return self.kept


def view(**fields):
    body = event(state(**fields))
    return read_view(view_document("acme", body, record(body).value), datetime.fromisoformat(AT))


def rows(text):
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.seed("S1.2", "S3.16")
def test_the_factory_setting_has_the_seventeen_columns_in_their_order():
    assert len(FACTORY) == 17
    assert (FACTORY[0], FACTORY[3], FACTORY[-1]) == ("number", "title", "service_organisation")


@pytest.mark.seed("S1.10")
def test_a_list_can_be_sorted_by_every_column_of_the_factory_setting():
    assert set(FACTORY) <= set(SORTS)


@pytest.mark.seed("S1.40")
def test_every_column_shows_something_of_a_case_and_nothing_of_an_empty_one():
    machine = {"serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"}
    full = view(machine=machine, assignees=["bob", "eve"], tags=["a", "b"], device_id="press-07")
    shown = dict(zip(COLUMNS, rows(csv_lines([full], tuple(COLUMNS)))[0], strict=True))
    assert shown | {"serial_number": "SN-1", "assignee": "bob", "tags": "a, b", "escalated": "false"} == shown
    assert (shown["device_status"], shown["remote_access"], shown["created_by"]) == ("unknown", "unavailable", "ann")
    assert dict(zip(COLUMNS, rows(csv_lines([view()], tuple(COLUMNS)))[0], strict=True))["brand"] == ""


@given(title=st.text(min_size=1, max_size=40))
def test_no_cell_begins_like_a_formula_and_all_else_reads_back(title):
    ((cell, number),) = rows(csv_lines([view(title=title)], ("title", "number")))
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert cell.removeprefix("'") in {title, title.removeprefix("'")}
    assert number == "10000001"


def test_the_head_names_the_columns():
    assert csv_head(("number", "title")) == "number,title\r\n"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"columns": []}, "columns"),
        ({"columns": "title"}, "columns"),
        ({"columns": ["title", "title"]}, "columns"),
        ({"columns": ["colour"]}, "columns"),
        ({"columns": [1]}, "columns"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"filters": {"cursor": "x"}}, "filters.cursor"),
        ({"filters": {"state": 1}}, "filters"),
        ({"more": 1}, "more"),
    ],
)
def test_a_choice_that_breaks_the_grammar_is_refused(body, field):
    with pytest.raises(InvalidQuery) as refused:
        Columns.parse(body)
    assert [fault.field for fault in refused.value.faults] == [field]


def test_columns_of_a_request_are_named_with_commas():
    assert read_columns("title,number") == ("title", "number")
    assert read_columns(None) is None
    with pytest.raises(InvalidQuery):
        read_columns("title,what")


@pytest.mark.seed("S1.11")
async def test_a_choice_is_kept_for_its_person_until_it_is_reset():
    preferences = Preferences(Memory())
    body = {"columns": ["title", "number"], "filters": {"state": ["NEW", "CLOSED"], "sort": "-priority"}}
    await preferences.save_columns(ANN, body)
    await preferences.save_columns(ANN, body)
    assert (await preferences.columns(ANN)).body() == body
    assert await preferences.columns(BOB) == Columns()
    assert await preferences.columns(Identity("other", "ann", Role.AGENT)) == Columns()
    await preferences.reset_columns(ANN)
    assert await preferences.columns(ANN) == Columns()


async def test_a_choice_that_is_refused_changes_nothing():
    preferences = Preferences(Memory())
    await preferences.save_columns(ANN, {"columns": ["title"]})
    with pytest.raises(InvalidQuery):
        await preferences.save_columns(ANN, {"columns": ["colour"]})
    assert (await preferences.columns(ANN)).columns == ("title",)


async def test_a_column_that_is_no_more_leaves_the_factory_setting():
    memory = Memory()
    preferences = Preferences(memory)
    await preferences.save_columns(ANN, {"columns": ["title"]})
    memory.kept.stored["acme/ann"]["columns"] = b'{"columns": ["gone"]}'
    assert await preferences.columns(ANN) == Columns()
