"""The envelope: three forms are read, one is written, a dead letter keeps all."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts import signals
from shared.contracts.catalogue import CASE_EVENTS, DEVICE_SIGNALS, TENANT_CONFIG
from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import message, read
from shared.contracts.words import DeadCode
from tests.builders import (
    APPENDED_MS,
    AT,
    CASE_ID,
    COMMAND_ID,
    LEFT_OUT,
    STRUCTURED,
    Sent,
    headers,
    signal,
    signal_record,
    wrapped,
)
from tests.contract.reading import readable

DEAD_HEADERS = ("code", "reason", "service", "attempts", "digest", "topic", "partition", "offset")


def test_binary_mode_is_read_with_all_its_attributes() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    record = signal_record(headers=headers(signals.CLEARED, ce_tenant="acme", traceparent=trace), key=b"acme/press-07")
    incoming = readable(record)
    assert (incoming.id, incoming.named, incoming.type) == (COMMAND_ID, True, signals.CLEARED)
    assert (incoming.source, incoming.time, incoming.tenant) == ("/tests", AT, "acme")
    assert incoming.traceparent == trace
    assert incoming.now == datetime.fromtimestamp(APPENDED_MS / 1000, UTC)
    assert incoming.data.key == "press-07:E417"


def test_structured_mode_is_read_with_all_its_attributes() -> None:
    record = signal_record(wrapped(signal(seq=4), tenant="acme", time=AT), headers=STRUCTURED)
    incoming = readable(record)
    assert (incoming.id, incoming.named, incoming.type, incoming.source) == ("e-1", True, signals.RAISED, "/press")
    assert (incoming.tenant, incoming.time, incoming.data.seq) == ("acme", AT, 4)


@pytest.mark.parametrize(
    "media_type", [b"application/cloudevents+json", b"Application/CloudEvents+JSON; charset=UTF-8"]
)
def test_structured_mode_is_told_by_its_media_type_in_any_case(media_type: bytes) -> None:
    assert readable(signal_record(wrapped(signal()), headers=(("content-type", media_type),))).id == "e-1"


def test_attributes_of_a_structured_event_win_over_headers_beside_it() -> None:
    both = (*headers(signals.CLEARED, ce_id="another", **{"content-type": None}), *STRUCTURED)
    incoming = readable(signal_record(wrapped(signal()), headers=both))
    assert (incoming.id, incoming.type) == ("e-1", signals.RAISED)


@pytest.mark.parametrize("own", [LEFT_OUT, "", None, 7])
def test_a_structured_event_without_an_id_takes_that_of_the_header_beside_it(own: object) -> None:
    beside = (*STRUCTURED, ("ce_id", b"beside"), ("ce_type", signals.CLEARED.encode()))
    incoming = readable(signal_record(wrapped(signal(), id=own), headers=beside))
    assert (incoming.id, incoming.named, incoming.type) == ("beside", True, signals.RAISED)
    assert readable(signal_record(wrapped(signal(), id=own), headers=STRUCTURED)).id == "device.signals.v1-3-41"


def test_a_bare_value_has_the_default_type_and_its_place_as_id() -> None:
    incoming = readable(signal_record(headers=()))
    assert (incoming.id, incoming.named) == ("device.signals.v1-3-41", False)
    assert (incoming.type, incoming.source, incoming.tenant) == (signals.RAISED, "", None)


@pytest.mark.parametrize("empty", [None, b""])
def test_an_id_header_without_text_counts_as_absent(empty: bytes | None) -> None:
    incoming = readable(signal_record(headers=(("ce_id", empty),)))
    assert (incoming.id, incoming.named) == ("device.signals.v1-3-41", False)


def test_a_place_differs_from_every_other_place() -> None:
    places = {
        readable(signal_record(partition=p, offset=o, timestamp=APPENDED_MS + m)).place
        for p in range(3)
        for o in range(3)
        for m in range(3)
    }
    assert len(places) == 27
    assert readable(signal_record()).place == f"device.signals.v1-3-41-{APPENDED_MS}"


def test_of_repeated_headers_the_last_counts() -> None:
    twice = (*headers(signals.RAISED), ("ce_id", b"second"), ("ce_type", signals.CLEARED.encode()))
    incoming = readable(signal_record(headers=twice))
    assert (incoming.id, incoming.type) == ("second", signals.CLEARED)


def test_of_repeated_names_in_json_the_last_counts() -> None:
    value = b'{"tenant_id":"a","device_id":"d","fault":"first","fault":"last","x":1,"x":2,"tenant_id":"acme"}'
    incoming = readable(signal_record(value, headers=headers(signals.RAISED, ce_tenant="acme")))
    assert (incoming.data.tenant_id, incoming.data.fault) == ("acme", "last")
    assert incoming.data.raw_json == b'{"x":2}'


def test_headers_of_others_may_hold_any_bytes() -> None:
    foreign = (("b3", b"\xff\xfe"), ("__value_schema_id", b"\x00\x00\x01\x80"), ("empty", None))
    assert readable(signal_record(headers=(*headers(signals.RAISED), *foreign))).id == COMMAND_ID


@pytest.mark.parametrize("trace", ["", "junk", "x" * 5000, "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"])
def test_a_traceparent_that_is_none_is_dropped(trace: str) -> None:
    assert readable(signal_record(headers=headers(signals.RAISED, traceparent=trace))).traceparent is None


def test_an_unknown_type_of_event_is_passed_over() -> None:
    record = Sent(CASE_EVENTS.name, b"\xff", CASE_ID.encode(), headers("callout.case.praised.v1"))
    assert read(CASE_EVENTS, record) is None


def test_a_setting_may_be_keyed_by_its_kind_and_name() -> None:
    record = Sent(TENANT_CONFIG.name, b'{"rules": []}', b"acme/rules/default")
    assert readable(record, TENANT_CONFIG).data == {"rules": []}


def written(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "type_": signals.RAISED,
        "id_": "id-1",
        "source": "/callout/edge",
        "time": datetime(2026, 3, 2, 10, 15, 0, 123_999, UTC),
        "value": json.dumps(signal()).encode(),
        "key": "acme/press-07",
    }
    return message(DEVICE_SIGNALS, **{**given, **changes})


def test_what_is_written_is_read_back_equal() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    told = written(tenant="acme", subject="press-07", cause_id="c-1", traceparent=trace, extensions=(("ce_x", b"1"),))
    incoming = readable(Sent(told.topic, told.value, told.key, told.headers))
    assert (incoming.id, incoming.type, incoming.source) == ("id-1", signals.RAISED, "/callout/edge")
    assert (incoming.tenant, incoming.traceparent, incoming.time) == ("acme", trace, "2026-03-02T10:15:00.123Z")
    assert incoming.data.fault == "E417"
    assert [name for name, _ in told.headers] == [
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"),
        *("ce_subject", "ce_tenant", "ce_causeid", "traceparent", "content-type", "ce_x"),
    ]


def test_the_same_message_has_the_same_bytes_and_no_empty_headers() -> None:
    assert written() == written()
    assert [name for name, _ in written(tenant=None, subject="").headers] == [
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"),
    ]


def test_a_dead_letter_keeps_bytes_and_headers_and_says_why() -> None:
    record = signal_record(b"\xff\x00", headers=(("x", b"\xfe"), ("empty", None), ("x", b"2")), key=b"k\xff")
    letter = dead_letter(record, DeadCode.NOT_UTF8, "byte 0", service="intake", attempts=2)
    assert (letter.topic, letter.key, letter.value) == ("device.signals.v1.dead", b"k\xff", b"\xff\x00")
    assert letter.headers[:3] == record.headers
    assert letter.headers[3:] == (
        ("callout-dead-code", b"not_utf8"),
        ("callout-dead-reason", b"byte 0"),
        ("callout-dead-service", b"intake"),
        ("callout-dead-attempts", b"2"),
        ("callout-dead-digest", hashlib.sha256(b"\xff\x00").hexdigest().encode()),
        ("callout-dead-topic", b"device.signals.v1"),
        ("callout-dead-partition", b"3"),
        ("callout-dead-offset", b"41"),
    )


def test_a_letter_that_dies_twice_says_why_once() -> None:
    first = dead_letter(signal_record(None), DeadCode.NULL_VALUE, "no value", service="intake")
    again = Sent("device.signals.v1", first.value, first.key, first.headers, offset=99)
    second = dead_letter(again, DeadCode.BUG, "r" * 5000 + "\ud800", service="intake")
    names = [name for name, _ in second.headers if name.startswith("callout-dead-")]
    assert names == [f"callout-dead-{name}" for name in DEAD_HEADERS]
    assert dict(second.headers)["callout-dead-offset"] == b"99"
    assert len(dict(second.headers)["callout-dead-reason"]) == 1000
