"""A letter that is retried is the record that died; what is settled stays settled, and nothing else is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.dead_letters.letter import Letter, Place
from deploy.dead_letters.resending import CUT, GARBLED_HEADERS, Mending, sent_again, why_not
from deploy.dead_letters.selection import Selection
from deploy.dead_letters.settled import Settled, ranges, settled_body
from deploy.topics import Catalogue
from shared.contracts import signals
from shared.contracts.catalogue import DEVICE_SIGNALS, OPS_DEAD_LETTERS
from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import GARBLED, Message, read
from shared.contracts.settled_letters import DROPPED, RETRIED
from shared.contracts.words import DeadCode
from tests.builders import APPENDED_MS, LEFT_OUT, STRUCTURED, Sent, encoded, headers, signal, wrapped

DEAD = "device.signals.v1.dead"
CATALOGUE = Catalogue.load()


def record(value: bytes | None = b"{}", **parts: Any) -> Sent:
    return Sent("device.signals.v1", value, **{"key": b"acme/press-07", "offset": 41, **parts})


def died(origin: Sent, code: DeadCode = DeadCode.BUG, **place: Any) -> Letter:
    return Letter(lying(dead_letter(origin, code, "why", service="intake"), **place))


def lying(message: Message, *, partition: int = 0, offset: int = 17, timestamp: int = APPENDED_MS) -> Sent:
    """Return a message as a record on its topic."""
    return Sent(message.topic, message.value, message.key, message.headers, partition, offset, timestamp)


def letter_at(offset: int, *, seconds: int = 0, **parts: Any) -> Letter:
    return died(record(**parts), offset=offset, timestamp=APPENDED_MS + seconds * 1000)


def told(body: dict[str, Any], type_: str = RETRIED) -> Sent:
    return Sent(OPS_DEAD_LETTERS.name, encoded(body), DEAD.encode(), headers(type_))


def settled_with(*open_: tuple[Letter, bool]) -> Settled:
    settled = Settled()
    noted = read(OPS_DEAD_LETTERS, told(settled_body(list(open_), by="ann@desk")))
    assert noted is not None
    settled.add(noted)
    return settled


FORMS = {
    "binary": record(encoded(signal()), headers=headers(signals.CLEARED, ce_id="mine")),
    "bare": record(encoded(signal())),
    "bare with headers of its own": record(encoded(signal()), headers=(("x", None), ("x", b"\xff"), ("ce_id", b""))),
    "structured": record(wrapped(signal()), headers=STRUCTURED),
    "structured without an id": record(wrapped(signal(), id=LEFT_OUT), headers=STRUCTURED),
    "without a key": record(encoded(signal()), key=None),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_retried_record_is_read_as_the_one_that_died_with_its_own_id(form: str) -> None:
    origin = FORMS[form]
    again = sent_again(died(origin))
    before, after = read(DEVICE_SIGNALS, origin), read(DEVICE_SIGNALS, lying(again, partition=5, offset=99))
    assert before is not None
    assert after is not None
    assert (again.topic, again.key, again.value) == ("device.signals.v1", origin.key, origin.value)
    assert (after.id, after.type, after.source, after.data) == (before.id, before.type, before.source, before.data)
    assert after.named


@pytest.mark.parametrize("form", FORMS)
def test_a_record_that_dies_again_keeps_the_id_it_had_at_first(form: str) -> None:
    first = sent_again(died(FORMS[form]))
    second = sent_again(died(lying(first, partition=5, offset=99), offset=18))
    ids = [read(DEVICE_SIGNALS, lying(again, offset=100)).id for again in (first, second)]
    assert ids[0] == ids[1]
    assert [value for name, value in second.headers if name == "callout-retry-of"] == [f"{DEAD}:0:18".encode()]


def test_headers_stay_as_they_were_but_for_those_of_death() -> None:
    own = (*headers(signals.RAISED), ("x", None), ("x", b"\xff"), ("traceparent", b"00-" + b"1" * 32))
    again = sent_again(died(record(headers=own)))
    assert again.headers == (*own, ("callout-retry-of", f"{DEAD}:0:17".encode()))


def test_a_header_that_nobody_can_name_is_left_behind() -> None:
    again = sent_again(died(record(headers=((GARBLED, b"[]"), ("x", b"1")))))
    assert {name for name, _ in again.headers} == {"x", "ce_id", "callout-retry-of"}


def test_a_mended_letter_has_what_was_given_and_keeps_the_rest() -> None:
    letter = died(record(b"{", headers=headers("callout.signal.muted.v1", ce_id="mine")))
    again = sent_again(letter, Mending(body=b"{}", key="acme/x", headers={"ce_type": signals.RAISED, "ce_time": ""}))
    named = dict(again.headers)
    assert (again.value, again.key) == (b"{}", b"acme/x")
    assert (named["ce_type"], named["ce_id"]) == (signals.RAISED.encode(), b"mine")
    assert "ce_time" not in named
    assert sent_again(letter, Mending(key="")).key is None


def test_an_id_that_is_taken_away_gives_way_to_the_place() -> None:
    letter = died(record(headers=headers(signals.RAISED, ce_id="i" * 201)))
    assert dict(sent_again(letter, Mending(headers={"ce_id": ""})).headers)["ce_id"] == b"device.signals.v1-3-41"
    assert dict(sent_again(letter, Mending(headers={"ce_id": "new"})).headers)["ce_id"] == b"new"


def test_a_mended_body_without_the_id_of_its_event_keeps_that_id() -> None:
    letter = died(record(wrapped(signal(), id="e-1"), headers=STRUCTURED))
    again = sent_again(letter, Mending(body=wrapped(signal(), id=LEFT_OUT)))
    assert read(DEVICE_SIGNALS, lying(again)).id == "e-1"


def test_the_origin_is_the_topic_where_the_letter_lies_whatever_a_header_says() -> None:
    forged = Letter(Sent(DEAD, b"{}", None, (("callout-dead-topic", b"case.commands.v1"),), 0, 17))
    again = sent_again(forged)
    assert (again.topic, dict(again.headers)["ce_id"]) == ("device.signals.v1", f"{DEAD}-0-17".encode())
    assert forged.code == "unknown"


def test_only_what_asks_for_something_is_retried() -> None:
    event = Letter(Sent("case.events.v1.dead", b"{}"))
    assert "told twice" in (why_not(event, CATALOGUE) or "")
    assert "nobody declared" in (why_not(Letter(Sent("x.dead", b"{}")), CATALOGUE) or "")
    assert why_not(letter_at(1), CATALOGUE) is None


MANY = tuple((f"x-{number}", b"1") for number in range(200))


@pytest.mark.parametrize(
    ("origin", "lacks", "mending"),
    [
        (record(b"x" * 2**21), "its body was cut", Mending(body=b"{}")),
        (record(b"x" * 2**21, key=b"k" * 1024), "its body was cut", Mending(body=b"{}")),
        (record(b"{}", key=b"k" * 2**21), "its key was cut", Mending(key="acme/press-07")),
        (record(b"x" * 2**21, headers=MANY), "its headers were cut", Mending(body=b"{}", headers={CUT: ""})),
        (record(headers=((GARBLED, b"[]"),)), "names are not UTF-8", Mending(headers={GARBLED_HEADERS: ""})),
    ],
    ids=["body", "whole key", "key", "headers", "names"],
)
def test_a_letter_that_lacks_something_is_retried_once_that_is_given_or_given_up(
    origin: Sent, lacks: str, mending: Mending
) -> None:
    letter = died(origin)
    assert lacks in (why_not(letter, CATALOGUE) or "")
    assert lacks in (why_not(letter, CATALOGUE, Mending(headers={"x": "1"})) or "")
    assert why_not(letter, CATALOGUE, mending) is None
    assert not any(name.startswith("callout-dead-") for name, _ in sent_again(letter, mending).headers)


def test_a_letter_whose_body_is_not_what_died_is_retried_with_a_body_only() -> None:
    whole = died(record(b'{"n": 1}'))
    changed = Letter(
        replace(lying(dead_letter(record(b'{"n": 1}'), DeadCode.BUG, "why", service="x")), value=b'{"n": 2}')
    )
    assert why_not(whole, CATALOGUE) is None
    assert "another than the digest" in (why_not(changed, CATALOGUE) or "")
    assert why_not(changed, CATALOGUE, Mending(body=b"{}")) is None


@pytest.mark.parametrize(
    ("origin", "tenants"),
    [
        (record(encoded(signal()), headers=headers(signals.RAISED, ce_tenant="bolt")), ("bolt", "acme")),
        (record(b"{", key=b"zinc/press-07"), ("zinc",)),
        (record(b"[1]", key=None), ()),
        (record(b"\xff", key=b"\xff"), ()),
        (record(encoded({"tenant_id": 7}), key=None), ()),
        (record(wrapped(signal(tenant_id="bolt")), headers=STRUCTURED, key=None), ("bolt",)),
    ],
)
def test_tenants_are_read_wherever_they_are_said(origin: Sent, tenants: tuple[str, ...]) -> None:
    assert died(origin).tenants == tenants


NOW = datetime.fromtimestamp(APPENDED_MS / 1000, tz=UTC)


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), True),
        (Selection(codes=frozenset({"bug"})), True),
        (Selection(codes=frozenset({"not_json"})), False),
        (Selection(tenant="acme"), True),
        (Selection(tenant="bolt"), False),
        (Selection(died_after=NOW), True),
        (Selection(died_after=NOW + timedelta(milliseconds=1)), False),
        (Selection(died_before=NOW), False),
        (Selection(died_before=NOW + timedelta(milliseconds=1)), True),
        (Selection(places=frozenset({Place(DEAD, 0, 17)})), True),
        (Selection(places=frozenset({Place(DEAD, 0, 18)})), False),
        (Selection(codes=frozenset({"bug"}), tenant="bolt"), False),
    ],
)
def test_a_selection_takes_what_fits_all_of_it(selection: Selection, taken: bool) -> None:
    assert selection.takes(letter_at(17, value=encoded(signal()))) is taken


def test_topics_are_named_by_their_origin_or_a_pattern() -> None:
    assert Selection(topics=("device.*",)).takes_topic(DEAD)
    assert Selection(topics=(DEAD,)).takes_topic(DEAD)
    assert not Selection(topics=("case.commands.v1",)).takes_topic(DEAD)
    assert not Selection(places=frozenset({Place("x.dead", 0, 1)})).takes_topic(DEAD)


@pytest.mark.parametrize("text", ["", "x", "x:1", "x:1:b", ":1:2", "x:-1:2", "x:1:²"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="topic:partition:offset"):
        Place.parse(text)


def test_a_place_is_written_as_it_is_read() -> None:
    assert str(Place.parse(f"{DEAD}:3:17")) == f"{DEAD}:3:17"


def test_a_range_ends_only_where_an_open_letter_is_left_out() -> None:
    open_ = [(letter_at(offset), offset not in {5, 9}) for offset in (1, 2, 4, 5, 6, 9, 11)]
    assert [(each.first, each.last) for each in ranges(open_)] == [(1, 4), (6, 6), (11, 11)]


def test_a_range_begins_where_the_open_letter_before_ends() -> None:
    open_ = [(letter_at(offset), offset != 8) for offset in (5, 8, 9)]
    assert [(each.first, each.last) for each in ranges(open_, after=1)] == [(2, 5), (9, 9)]
    assert [(each.first, each.last) for each in ranges(open_, after=7)] == [(5, 5), (9, 9)]
    assert [(each.first, each.last) for each in ranges(open_[1:], after=1)] == [(9, 9)]


def test_what_was_meant_is_settled_and_what_lies_between_is_not() -> None:
    open_ = [(letter_at(offset), offset != 5) for offset in (1, 4, 5, 6)]
    settled = settled_with(*open_)
    assert [settled.find(letter) is not None for letter, _ in open_] == [meant for _, meant in open_]
    assert settled.find(letter_at(7)) is None


def test_a_settled_letter_tells_how_and_by_whom() -> None:
    noted = read(OPS_DEAD_LETTERS, told(settled_body([(letter_at(1), True)], by="ann@desk", mended=True), DROPPED))
    settled = Settled()
    settled.add(noted)
    assert (settled.find(letter_at(1)).how, settled.find(letter_at(1)).by) == ("dropped", "ann@desk")


def test_another_partition_and_another_topic_are_not_settled() -> None:
    settled = settled_with((letter_at(1), True))
    assert settled.find(died(record(), partition=1, offset=1)) is None
    assert settled.find(Letter(Sent("case.commands.v1.dead", b"", partition=0, offset=1))) is None


def test_a_topic_that_was_made_anew_has_its_offsets_again_but_not_its_letters() -> None:
    settled = settled_with(*((letter_at(offset), True) for offset in range(10)))
    later = [letter_at(offset, seconds=3600) for offset in range(10)]
    assert [settled.find(letter) for letter in later] == [None] * 10
    settled.add(read(OPS_DEAD_LETTERS, told(settled_body([(later[4], True)], by="ann"))))
    assert settled.find(later[4])
    assert settled.find(later[5]) is None
    assert settled.find(letter_at(4))


def test_settled_letters_are_found_in_whatever_order_they_were_settled() -> None:
    settled = Settled()
    for offset in (8, 2, 6, 4, 0):
        settled.add(read(OPS_DEAD_LETTERS, told(settled_body([(letter_at(offset), True)], by="ann"))))
    assert [bool(settled.find(letter_at(offset))) for offset in range(10)] == [True, False] * 5
