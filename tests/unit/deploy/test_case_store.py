"""Documents of cases as the command line reads them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.case_store import REPEATED, read_stored
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
