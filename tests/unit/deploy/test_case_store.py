"""Documents of cases as the command line reads them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from deploy.case_store import REPEATED, read_papers, read_stored
from deploy.cli.cases import age
from services.workflow import store
from services.workflow.domain import Case
from shared.contracts.case import CASE_STATE, Actor, CaseState, SignalState, StatusChange
from shared.contracts.words import Channel, Origin, Role, State

AT = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
ACTOR = Actor(id="press-07", role=Role.DEVICE, tenant_id="acme")
STATE = CaseState(
    id="8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11",
    number="10000001",
    tenant_id="acme",
    state=State.NEW,
    title="Spindle over temperature",
    device_id="press-07",
    origin=Origin.DEVICE,
    channel=Channel.DEVICE,
    tags=("hot",),
    signal=SignalState(dedup_key="press-07:E417", count=3, first_at=AT, last_at=AT),
    status_history=(StatusChange(state=State.NEW, at=AT),),
    created_at=AT,
    created_by=ACTOR,
    updated_at=AT,
    updated_by=ACTOR,
    version=1,
    seq=1,
)


def document(state: CaseState = STATE) -> dict[str, Any]:
    return store.to_document(Case(id=state.id, state=state, hash="a" * 64))


def test_a_stored_state_is_what_its_event_tells() -> None:
    told = CASE_STATE.dump_python(STATE, mode="json", exclude_none=True)
    stored = read_stored(document())
    assert (stored.state, stored.hash, stored.torn) == (told, "a" * 64, ())


def test_a_case_without_device_and_signal_is_whole() -> None:
    assert read_stored(document(replace(STATE, device_id=None, signal=None))).torn == ()


@pytest.mark.parametrize("name", REPEATED)
def test_a_repeated_field_that_was_edited_is_told(name: str) -> None:
    assert read_stored(document() | {name: "forged"}).torn == (name,)


def test_a_stub_has_no_state() -> None:
    assert read_stored(store.to_document(Case(id="x"))).state is None


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(seconds=-3), "0s"),
        (timedelta(seconds=42), "42s"),
        (timedelta(minutes=3, seconds=7), "3m 7s"),
        (timedelta(hours=5, minutes=59, seconds=59), "5h 59m"),
        (timedelta(days=12, hours=1), "12d 1h"),
    ],
)
def test_an_age_is_told_in_its_two_largest_units(span: timedelta, told: str) -> None:
    assert age(AT, AT + span) == told


def test_notes_and_files_are_read_without_what_is_not_there() -> None:
    document = {
        "notes": orjson.dumps(
            [("n-1", "ann", "acme", "internal", None, 2, False), ("n-2", "bob", "acme", "external", "n-1", 0, True)]
        ),
        "files": orjson.dumps([("f-1", "ann", "acme", "n-1"), ("f-2", "ann", "acme", None)]),
    }
    assert read_papers(document) == {
        "notes": [
            {"id": "n-1", "author": "ann", "tenant": "acme", "visibility": "internal", "revision": 2},
            {
                "id": "n-2",
                "author": "bob",
                "tenant": "acme",
                "visibility": "external",
                "parent_note_id": "n-1",
                "deleted": True,
            },
        ],
        "files": [
            {"id": "f-1", "by": "ann", "tenant": "acme", "note_id": "n-1"},
            {"id": "f-2", "by": "ann", "tenant": "acme"},
        ],
    }
    assert read_papers({}) == read_papers({"notes": b"[]", "files": b"[]"}) == {}
