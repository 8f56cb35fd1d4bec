"""A dead letter holds all of its record that can be sent on, and can always be sent."""

import hashlib
from typing import Any

import orjson
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import GARBLED, Message
from shared.contracts.words import DeadCode
from tests.builders import Sent, headers, signal, signal_record
from tests.contract.reading import unreadable

TAKEN_BY_TOPIC = 2 * 1048588
LARGEST_RECORD = 1048588 - 61 - 21
PACKED = orjson.dumps([{"place": 1, "name": "//4=", "value": "AA=="}])


def letter_of(record: Sent) -> Message:
    return dead_letter(record, DeadCode.TOO_LARGE, "why", service="intake")


def sent_size(letter: Message) -> int:
    size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(letter.key, letter.value, list(letter.headers))
    return size


def test_a_record_with_a_header_name_that_is_not_utf8_is_dead() -> None:
    record = signal_record(headers=(*headers("callout.signal.raised.v1"), (GARBLED, PACKED)))
    assert unreadable(record).code is DeadCode.NOT_UTF8


def test_a_dead_letter_keeps_header_names_that_are_not_utf8_in_a_header_of_its_own() -> None:
    record = signal_record(signal(), headers=(("a", b"1"), ("b", None), (GARBLED, PACKED)))
    letter = letter_of(record)
    assert letter.headers[:3] == (("a", b"1"), ("b", None), ("callout-dead-headers", PACKED))
    assert sent_size(letter) < 2000


@pytest.mark.parametrize(
    ("value", "key", "more"),
    [
        (b"v" * LARGEST_RECORD, None, ()),
        (None, b"k" * LARGEST_RECORD, ()),
        (b"", None, (("n" * LARGEST_RECORD, b""),)),
        (b"", None, (("n", b"v" * LARGEST_RECORD),)),
        (b"", None, (("n", None),) * (LARGEST_RECORD // 3)),
    ],
    ids=["value", "key", "name", "header", "headers"],
)
def test_what_came_in_as_it_lies_on_the_topic_goes_out_whole(value: Any, key: Any, more: Any) -> None:
    letter = letter_of(Sent("device.signals.v1", value, key, more))
    assert (letter.key, letter.value, letter.headers[: len(more)]) == (key, value, more)
    assert "callout-dead-cut" not in dict(letter.headers)
    assert sent_size(letter) < TAKEN_BY_TOPIC


def test_what_was_larger_than_any_topic_takes_is_cut_and_says_so() -> None:
    value = b"v" * 5_000_000
    more = (("small", b"1"), ("large", b"x" * 2_000), *((f"h{n}", b"") for n in range(1_000)))
    letter = letter_of(Sent("device.signals.v1", value, b"k" * 2_000, more))
    why = dict(letter.headers)
    assert (letter.key, letter.value) == (b"k" * 1024, b"v" * 64 * 1024)
    assert [name for name, _ in letter.headers][:3] == ["small", "h0", "h1"]
    assert len(letter.headers) == 100 + 9
    assert why["callout-dead-cut"].startswith(b"the key had 2000 bytes, the value 5000000, the headers ")
    assert why["callout-dead-digest"] == hashlib.sha256(value).hexdigest().encode()


@settings(max_examples=100, deadline=None)
@given(
    st.none() | st.integers(0, 3_000_000),
    st.none() | st.integers(0, 3_000_000),
    st.lists(st.tuples(st.sampled_from(["n", "ü" * 50_000, GARBLED]), st.integers(0, 1_500_000)), max_size=4),
)
def test_every_dead_letter_can_be_sent(key: int | None, value: int | None, more: list[tuple[str, int]]) -> None:
    given_headers = [(name, b"x" * length) for name, length in more]
    record = Sent(
        "device.signals.v1",
        None if value is None else b"v" * value,
        None if key is None else b"k" * key,
        given_headers,
    )
    assert sent_size(letter_of(record)) < TAKEN_BY_TOPIC
