"""What an event says, as the document that lists are made of."""

import json
from datetime import UTC, datetime

import orjson
import pytest

from services.gateway.domain.view import entry_document, read_entry, read_view, sides_of, state_bytes, view_document
from services.gateway.handlers import documents_of
from shared.contracts.words import State
from tests.builders import AT, LEFT_OUT
from tests.unit.gateway.events import ANN, case_id, event, heard, record, state

AT_TIME = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


def view(viewer="acme", **fields):
    body = event(state(**fields))
    return view_document(viewer, body, record(body).value)


def test_a_view_has_what_lists_are_narrowed_and_sorted_by():
    machine = {"serial": "SN-1", "model": "X2", "brand": "Böhm", "technology": "CNC"}
    shown = view(state="ON_HOLD", device_id="Press-07", machine=machine, assignees=["bob", "Eve"], tags=["Night"])
    assert (shown["_id"], shown["listed"], shown["n"]) == (f"acme/{case_id('press')}", "acme", 10_000_001)
    assert (shown["state"], shown["open"], shown["priority"], shown["severity"]) == (3, True, 3, 2)
    assert (shown["device"], shown["brand"], shown["tags"]) == ("Press-07", "böhm", ["night"])
    assert (shown["assignee"], shown["assignees"]) == ("bob", ["bob", "Eve"])
    assert (shown["created_at"], shown["closed_at"]) == (AT_TIME, None)


@pytest.mark.parametrize(
    ("word", "is_open"), [(s, s in {"NEW", "IN_PROGRESS", "ON_HOLD", "ACTION_REQUIRED", "RESOLVED"}) for s in State]
)
def test_a_case_is_open_until_it_is_closed_or_cancelled(word, is_open):
    assert view(state=word)["open"] is is_open


def test_a_deleted_case_is_in_no_list_and_still_there():
    gone = view(deleted_at=AT)
    assert gone["listed"] is None
    assert (gone["tenant"], read_view(gone, AT_TIME).deleted) == ("acme", True)


def test_a_view_reads_back_as_the_state_that_was_told():
    told = state(description="Hot since Monday", details={"a": {"b": [1, 2.5, None]}})
    body = event(told)
    assert read_view(view_document("acme", body, record(body).value), AT_TIME).state == told


@pytest.mark.parametrize(
    "details",
    [{}, {"x": 1, "case": {"id": "y"}}, {"x": ',"case":{}}', "case": 2}, {"x": 1, "case": {"x": 1, "case": None}}],
)
def test_the_state_after_is_found_byte_for_byte_whatever_outsiders_wrote(details):
    body = event(state(details=details), change={"a": 1, "case": {"b": 1}})
    value = record(body).value
    found = state_bytes(value, body)
    assert json.loads(found) == body["case"]
    assert value.endswith(b',"case":' + found + b"}")


def test_the_state_of_an_event_that_is_written_otherwise_is_written_anew():
    body = event(state())
    value = json.dumps(body, indent=1).encode()
    assert orjson.loads(state_bytes(value, body)) == body["case"]


@pytest.mark.parametrize(
    ("fields", "sides"),
    [
        ({}, (None, "acme")),
        ({"classification": {"account": "Bolt Ltd"}}, ("Bolt Ltd", "acme")),
        ({"counterpart_tenant_id": "maker", "created_by": ANN | {"role": "operator"}}, ("acme", "maker")),
        ({"counterpart_tenant_id": "maker", "created_by": ANN | {"role": "system"}}, ("acme", "maker")),
        ({"counterpart_tenant_id": "plant", "created_by": ANN | {"role": "technician"}}, ("plant", "acme")),
        (
            {"counterpart_tenant_id": "plant", "created_by": ANN, "classification": {"customer": "Plant 2"}},
            ("Plant 2", "acme"),
        ),
    ],
)
def test_whose_machine_it_is_and_who_services_it(fields, sides):
    assert sides_of(state(**fields)) == sides


def test_what_a_counterpart_is_not_told_is_absent_from_its_view():
    shown = view(
        "maker", priority=LEFT_OUT, counterpart_tenant_id="maker", created_by={"role": "agent", "tenant_id": "acme"}
    )
    assert (shown["_id"], shown["listed"]) == (f"maker/{case_id('press')}", "maker")
    assert (shown["priority"], shown["parties"], shown["created_by"]) == (None, [], "agent")


def test_a_party_is_who_created_the_case_or_takes_part_of_the_viewers_own_tenant():
    contacts = [{"type": "technical", "user": "erin"}, {"type": "technical", "user": "max", "tenant_id": "maker"}]
    fields = {"contacts": contacts, "assignees": ["bob"], "watchers": ["eve", "ann"]}
    assert view(**fields)["parties"] == ["ann", "erin", "bob", "eve"]


def test_an_entry_of_the_history_keeps_the_event_as_it_was_published():
    body = event(state(seq=7), cause="order-1")
    sent = record(body)
    entry = read_entry(entry_document("acme", body, sent.value, {"ce_type": "t", "ce_id": "e-7", "ce_hash": "ab"}))
    assert (entry.seq, entry.at, entry.type, entry.id) == (7, AT_TIME, "t", "e-7")
    assert (entry.value, entry.cause_id, entry.hash) == (sent.value, "order-1", "ab")


@pytest.mark.parametrize(
    ("change", "internal"),
    [
        ({"note": {"id": "n", "visibility": "internal"}}, True),
        ({"note": {"id": "n", "visibility": "external"}}, False),
        ({"attachment": {"id": "f", "visibility": "internal"}}, True),
        ({"state": "NEW"}, False),
    ],
)
def test_an_entry_knows_whether_it_is_of_an_internal_paper(change, internal):
    body = event(state(), change=change)
    assert entry_document("acme", body, record(body).value, {})["internal"] is internal


def test_of_a_batch_the_last_event_of_each_case_makes_its_view_in_whatever_order_they_come():
    bodies = [event(state("a", seq=seq, version=seq, title=f"Title {seq}")) for seq in (3, 1, 2)]
    bodies.append(event(state("b", seq=1)))
    views, entries = documents_of([heard(body) for body in bodies])
    assert [(each["case_id"], each["seq"], each["title"]) for each in views] == [
        (case_id("a"), 3, "title 3"),
        (case_id("b"), 1, "spindle over temperature"),
    ]
    assert sorted(each["seq"] for each in entries) == [1, 1, 2, 3]
