"""What a device says goes on whole: with its tenant and device, with an id that tells repetitions."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge_adapter.domain.signals import Utterance, utterances
from services.edge_adapter.domain.topics import Address
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.envelope import read
from shared.contracts.ids import derived_id
from shared.contracts.signals import CLEARED, RAISED
from tests.builders import Sent

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
WHO = {"tenant_id": "acme", "device_id": "press-07"}


def said(word: str, body: Any) -> list[Utterance]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(utterances(Address("acme", "press-07", word), payload, NOW))


def only(word: str, body: Any) -> Utterance:
    [spoken] = said(word, body)
    return spoken


def test_tenant_and_device_come_from_the_topic() -> None:
    spoken = only("signal", {"fault": "E417"})
    assert json.loads(spoken.body) == {"fault": "E417", **WHO}
    assert (spoken.type, spoken.seq, spoken.id) == (RAISED, None, None)
    assert only("clear", {"fault": "E417"}).type == CLEARED
    assert json.loads(only("signal", {}).body) == WHO


def test_what_a_body_says_of_its_owner_stays_to_be_judged() -> None:
    foreign = {"tenant_id": "other", "device_id": "press-08", "fault": "E417"}
    assert json.loads(only("signal", foreign).body) == foreign
    half = {"device_id": "press-08", "fault": "E417"}
    assert json.loads(only("signal", half).body) == {**half, "tenant_id": "acme"}
    nothing = {"tenant_id": None, "fault": "E417"}
    assert json.loads(only("signal", nothing).body) == {"fault": "E417", **WHO}


def test_the_device_s_own_bytes_are_kept() -> None:
    payload = b' {"fault": "E417", "big": 123456789012345678901234567890, "price": 1.10}'
    body = only("signal", payload).body
    assert b'"big": 123456789012345678901234567890, "price": 1.10}' in body
    assert json.loads(body)["tenant_id"] == "acme"


def test_a_name_that_is_spelled_with_escapes_is_seen() -> None:
    body = only("signal", rb'{"tenant\u005fid": "other", "fault": "E417"}').body
    assert json.loads(body)["tenant_id"] == "other"


def test_an_entry_has_one_id_however_often_it_comes() -> None:
    first, again = only("signal", {"fault": "E", "seq": 17}), only("signal", {"seq": 17, "fault": "E"})
    assert first.id == again.id == derived_id("mqtt", "acme", "press-07", "", 17, RAISED)
    [kept] = said("journal", {"entries": [{"kind": "signal", "fault": "E", "seq": 17}]})
    assert kept.id == first.id
    others = [
        only("signal", {"fault": "E", "seq": 18}),
        only("clear", {"fault": "E", "seq": 17}),
        only("signal", {"fault": "E", "seq": 17, "epoch": 2}),
        only("signal", {"fault": "E", "seq": 17, "epoch": "b"}),
    ]
    assert len({first.id, *(spoken.id for spoken in others)}) == 5


@pytest.mark.parametrize("seq", [None, -1, 1.5, "17", True, 2**63, [17]])
def test_what_is_no_counter_names_nothing(seq: Any) -> None:
    assert only("signal", {"fault": "E", "seq": seq}).id is None


@pytest.mark.parametrize("payload", [b"", b"E417", b"\xff\xfe", b"[1]", b"17", b'"text"', b"null", b'{"a": NaN}', b"{"])
def test_what_cannot_be_read_goes_on_as_it_came(payload: bytes) -> None:
    assert said("signal", payload) == [Utterance(RAISED, payload)]
    assert said("clear", payload) == [Utterance(CLEARED, payload)]
    assert said("journal", payload) == [Utterance(RAISED, payload)]


def test_a_journal_is_taken_apart_and_late_entries_are_marked() -> None:
    entries = [
        {"kind": "signal", "seq": 1, "fault": "A", "occurred_at": "2026-03-02T10:10:00.000Z"},
        {"kind": "clear", "seq": 2, "fault": "A", "occurred_at": "2026-03-02T10:14:30.000Z"},
        {"seq": 3, "fault": "B"},
    ]
    first, second, third = said("journal", {"entries": entries})
    assert json.loads(first.body) == {k: v for k, v in entries[0].items() if k != "kind"} | WHO | {"late_by_s": 300.0}
    assert (second.type, "late_by_s" in json.loads(second.body)) == (CLEARED, False)
    assert (third.type, third.seq) == (RAISED, 3)


def test_a_bad_entry_costs_its_neighbours_nothing() -> None:
    bad = [17, {"kind": "bell", "seq": 2}, None]
    *broken, good = said("journal", {"entries": [*bad, {"seq": 4, "fault": "B"}]})
    assert [json.loads(spoken.body) for spoken in broken] == bad
    assert [spoken.seq for spoken in broken] == [None, 2, None]
    assert json.loads(good.body)["fault"] == "B"


@given(st.binary(max_size=200), st.sampled_from(["signal", "clear", "journal"]))
def test_no_payload_is_lost_or_breaks_anything(payload: bytes, word: str) -> None:
    for spoken in said(word, payload):
        assert isinstance(spoken.body, bytes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["fault", "seq", "epoch", "occurred_at", "kind", "tenant_id", "x"]), JSON))
def test_any_object_keeps_what_it_says(body: dict[str, Any]) -> None:
    spoken = only("signal", body)
    told = json.loads(spoken.body)
    assert {name: told[name] for name in body if body[name] is not None or name in told} == body | {
        name: value for name, value in told.items() if name in body and body[name] is None
    }
    list(utterances(Address("acme", "press-07", "journal"), json.dumps({"entries": [body]}).encode(), NOW))


@given(st.lists(st.tuples(st.sampled_from(["fault", "seq", "epoch", "x", "title", "device_id"]), JSON), max_size=5))
def test_what_is_read_in_one_go_is_what_a_journal_would_say_and_intake_takes_it(pairs: list[tuple[str, Any]]) -> None:
    """Pairs, not an object: a name that comes twice is read alike by all."""
    payload = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs) + "}"
    spoken = only("signal", payload.encode())
    [kept] = said("journal", b'{"entries": [' + payload.encode() + b"]}")
    assert (spoken.type, spoken.seq, spoken.id) == (kept.type, kept.seq, kept.id)
    record = Sent(topic=DEVICE_SIGNALS.name, value=spoken.body, key=b"acme/press-07")
    if spoken.sound:
        assert read(DEVICE_SIGNALS, record) is not None


def test_a_signal_without_faults_is_read_once() -> None:
    assert only("signal", {"fault": "E417", "seq": 17, "epoch": 2**70, "machine": {"serial": "S"}}).sound
    assert not only("signal", {"fault": "E417", "device_id": "press-08"}).sound
    assert not only("signal", {"fault": ""}).sound
