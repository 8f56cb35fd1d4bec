"""What cannot be read is dead with the right code; whoever can be answered is answered."""

import json
from typing import Any

import pytest

from shared.contracts import limits, signals
from shared.contracts.catalogue import CASE_COMMANDS
from shared.contracts.words import DeadCode
from tests.builders import (
    CASE_ID,
    COMMAND_ID,
    LEFT_OUT,
    STRUCTURED,
    command,
    command_record,
    headers,
    signal,
    signal_record,
    wrapped,
)
from tests.contract.reading import readable, unreadable

NOT_JSON = [
    b"",
    b" ",
    b"x",
    b"{",
    b"{}{}",
    b"{'tenant_id':'acme'}",
    b"\xef\xbb\xbf{}",
    b'{"tenant_id":"acme","device_id":"d","fault":"f","x":NaN}',
    b'{"tenant_id":"acme","device_id":"d","fault":"f","x":-Infinity}',
    b'{"tenant_id":"acme","device_id":"d","fault":"f","measurements":{"x":Infinity}}',
    b'{"tenant_id":"acme","device_id":"d","fault":"\\ud800"}',
    b'{"tenant_id":"acme","device_id":"d","fault":"f","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    b'{"tenant_id":"acme","device_id":"d","fault":"f","x":' + b"9" * 5000 + b"}",
]
INVALID: list[Any] = [
    b"null",
    b"[]",
    b'"text"',
    b"7",
    {},
    *(signal(**{name: LEFT_OUT}) for name in ("tenant_id", "device_id", "fault")),
    *(signal(**{name: None}) for name in ("tenant_id", "device_id", "fault")),
    *(signal(tenant_id=said) for said in ("", "Acme", "-a", "a" * 64, "a/b", "acme\n", 7, ["acme"])),
    *(signal(device_id=said) for said in ("", ".d", "d" * 129, "a/b", "ü", "d\n", 7)),
    *(signal(fault=said) for said in ("", "f" * 129, 417, {"code": 1})),
    *(signal(dedup_key=said) for said in ("", "k" * 256, 1)),
    *(signal(seq=said) for said in (-1, 2**63, 1.0, "1", True)),
    *(signal(measurements=said) for said in ([], {"x": []}, {"x": {}}, {"x": "v" * 4001}, {"x": 10**400})),
    *(signal(machine=said) for said in ("SN-1", {"serial": 1}, {"serial": "s" * 129})),
    signal(case_code="12-34"),
    signal(severity="s" * 201),
    signal(severity=3),
    signal(x=json.loads("[" * 101 + "]" * 101)),
    b'{"tenant_id":"acme","device_id":"d","fault":"f","measurements":{"x":1e999}}',
]


@pytest.mark.parametrize("value", NOT_JSON, ids=lambda value: repr(value[:60]))
def test_what_is_not_json_is_dead(value: bytes) -> None:
    assert unreadable(signal_record(value)).code is DeadCode.NOT_JSON
    assert unreadable(command_record("start", value), CASE_COMMANDS).code is DeadCode.NOT_JSON


@pytest.mark.parametrize(
    "value", [b"\xff", b'{"fault":"\xc3\x28"}', '{"fault":"é"}'.encode("latin-1"), "{}".encode("utf-16")]
)
def test_what_is_not_utf8_is_dead(value: bytes) -> None:
    assert unreadable(signal_record(value)).code is DeadCode.NOT_UTF8
    assert unreadable(command_record("start", value), CASE_COMMANDS).code is DeadCode.NOT_UTF8


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_tenant", "content-type"])
def test_an_attribute_that_is_not_utf8_makes_its_record_dead(name: str) -> None:
    record = signal_record(headers=headers(signals.RAISED, **{name: b"\xff"}))
    assert unreadable(record).code is DeadCode.NOT_UTF8


@pytest.mark.parametrize(
    "content", ["text/plain", "application/xml", "application/avro", "application/cloudevents+avro"]
)
def test_content_that_says_it_is_not_json_is_dead(content: str) -> None:
    assert unreadable(signal_record(b"\x00", headers=headers(signals.RAISED, **{"content-type": content}))).code is (
        DeadCode.NOT_JSON
    )


@pytest.mark.parametrize("content", ["application/json; charset=utf-8", "application/vnd.acme+json", "TEXT/JSON", None])
def test_content_that_may_be_json_is_read(content: str | None) -> None:
    assert readable(signal_record(headers=headers(signals.RAISED, **{"content-type": content}))).id == COMMAND_ID


@pytest.mark.parametrize("data", INVALID, ids=lambda data: repr(data)[:70])
def test_a_signal_that_breaks_the_grammar_is_dead(data: Any) -> None:
    error = unreadable(signal_record(data))
    assert error.code is DeadCode.INVALID_DATA
    assert 0 < len(error.reason) <= 1000


@pytest.mark.parametrize(
    "event",
    [
        b"[]",
        b"{}",
        b'{"specversion":"1.0","id":"1","source":"/x","type":"callout.signal.raised.v1"}',
        b'{"specversion":"1.0","id":"1","source":"/x","type":"callout.signal.raised.v1","data_base64":"e30="}',
        b'{"specversion":"1.0","id":"1","source":"/x","type":"callout.signal.raised.v1","data":null}',
    ],
)
def test_a_structured_event_without_a_body_is_dead(event: bytes) -> None:
    assert unreadable(signal_record(event, headers=STRUCTURED)).code is DeadCode.INVALID_DATA


def test_a_structured_event_that_is_not_json_is_dead() -> None:
    assert unreadable(signal_record(b'{"data":{"x":NaN}}', headers=STRUCTURED)).code is DeadCode.NOT_JSON
    assert unreadable(signal_record(b"\xff", headers=STRUCTURED)).code is DeadCode.NOT_UTF8
    foreign = wrapped("<x/>", datacontenttype="application/xml")
    assert unreadable(signal_record(foreign, headers=STRUCTURED)).code is DeadCode.NOT_JSON


@pytest.mark.parametrize("name", ["ce_id", "ce_source"])
def test_an_attribute_that_is_too_long_makes_its_record_dead(name: str) -> None:
    fits = {"ce_id": limits.ID_MAX, "ce_source": limits.SOURCE_MAX}[name]
    assert readable(signal_record(headers=headers(signals.RAISED, **{name: "x" * fits})))
    record = signal_record(headers=headers(signals.RAISED, **{name: "x" * (fits + 1)}))
    assert unreadable(record).code is DeadCode.INVALID_DATA


def test_a_record_without_a_value_is_dead() -> None:
    assert unreadable(signal_record(None)).code is DeadCode.NULL_VALUE
    assert unreadable(command_record("start", None), CASE_COMMANDS).code is DeadCode.NULL_VALUE


def padded(data: dict[str, Any], name: str, size: int) -> bytes:
    text = json.dumps({**data, name: ""})
    return json.dumps({**data, name: "x" * (size - len(text))}).encode()


def test_a_signal_of_64_kib_is_read_and_one_byte_more_is_dead() -> None:
    fits = padded(signal(), "description", limits.SIGNAL_BYTES_MAX)
    assert len(fits) == 64 * 1024
    assert unreadable(signal_record(fits)).code is DeadCode.TOO_LARGE  # the description goes to raw whole
    wide = {f"m{n:04}": "v" * 3900 for n in range(16)}
    fits = padded(signal(measurements=wide), "title", limits.SIGNAL_BYTES_MAX)
    assert len(fits) == 64 * 1024
    assert readable(signal_record(fits))
    assert unreadable(signal_record(fits + b" ")).code is DeadCode.TOO_LARGE


def test_raw_of_16_kib_is_read_and_one_byte_more_is_dead() -> None:
    room = limits.RAW_BYTES_MAX - len('{"x":""}')
    assert len(readable(signal_record(signal(x="v" * room))).data.raw_json) == limits.RAW_BYTES_MAX
    assert unreadable(signal_record(signal(x="v" * (room + 1)))).code is DeadCode.TOO_LARGE
    assert unreadable(signal_record(signal(machine={"x": "v" * room}))).code is DeadCode.TOO_LARGE


def test_a_command_of_256_kib_is_read_and_one_byte_more_is_dead() -> None:
    fits = padded(command("start"), "unknown", limits.COMMAND_BYTES_MAX)
    assert len(fits) == 256 * 1024
    assert readable(command_record("start", fits), CASE_COMMANDS)
    assert unreadable(command_record("start", fits + b" "), CASE_COMMANDS).code is DeadCode.TOO_LARGE


@pytest.mark.parametrize("size", [1024 * 1024 - 4096, 1024 * 1024 - 100])
@pytest.mark.parametrize("junk", [b"x", b"[", b"\xff"])
def test_a_body_near_one_mebibyte_is_dead_unread(junk: bytes, size: int) -> None:
    assert unreadable(signal_record(junk * size)).code is DeadCode.TOO_LARGE
    assert unreadable(command_record("start", junk * size), CASE_COMMANDS).code is DeadCode.TOO_LARGE


@pytest.mark.parametrize("type_", ["callout.signal.muted.v1", "com.acme.thing", "x" * 5000, "callout.signal.raised"])
def test_an_unknown_type_of_signal_is_dead(type_: str) -> None:
    error = unreadable(signal_record(type_=type_))
    assert error.code is DeadCode.UNKNOWN_TYPE
    assert len(error.reason) < 1000


def test_a_newer_version_of_a_known_type_is_dead() -> None:
    assert unreadable(signal_record(type_="callout.signal.raised.v2")).code is DeadCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("version", ["0.3", "1.1", "2.0", "x" * 900])
def test_another_version_of_cloudevents_is_dead(version: str) -> None:
    record = signal_record(headers=headers(signals.RAISED, ce_specversion=version))
    assert unreadable(record).code is DeadCode.UNSUPPORTED_VERSION
    record = signal_record(wrapped(signal(), specversion=version), headers=STRUCTURED)
    assert unreadable(record).code is DeadCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("key", [b"", b"acme/press-08", b"press-07", b"acme/press-07 ", b"\xff\xff"])
def test_a_key_that_contradicts_a_signal_is_dead(key: bytes) -> None:
    assert unreadable(signal_record(key=key)).code is DeadCode.KEY_MISMATCH


def test_a_signal_may_have_no_key() -> None:
    assert readable(signal_record(key=None)).key is None


def test_a_key_that_contradicts_a_command_is_dead() -> None:
    assert unreadable(command_record(key=COMMAND_ID.encode()), CASE_COMMANDS).code is DeadCode.KEY_MISMATCH


def test_a_tenant_that_contradicts_the_body_is_dead() -> None:
    record = signal_record(headers=headers(signals.RAISED, ce_tenant="bolt"))
    assert unreadable(record).code is DeadCode.TENANT_MISMATCH
    record = signal_record(wrapped(signal(), tenant="bolt"), headers=STRUCTURED)
    assert unreadable(record).code is DeadCode.TENANT_MISMATCH
    record = command_record(headers=headers("callout.case.start.v1", ce_tenant="bolt"))
    assert unreadable(record, CASE_COMMANDS).code is DeadCode.TENANT_MISMATCH


def test_every_code_but_bug_comes_from_reading() -> None:
    deaths = [
        signal_record(b"x"),
        signal_record(b"\xff"),
        signal_record({}),
        signal_record(b"x" * 70_000),
        signal_record(type_="x"),
        signal_record(type_="callout.signal.cleared.v9"),
        signal_record(None),
        signal_record(key=b"x"),
        signal_record(headers=headers(signals.RAISED, ce_tenant="x")),
    ]
    assert {unreadable(record).code for record in deaths} == set(DeadCode) - {DeadCode.BUG}


@pytest.mark.parametrize("type_", ["callout.case.explode.v1", "callout.case.start.v2", "x"])
def test_an_unknown_command_says_who_is_to_be_answered(type_: str) -> None:
    error = unreadable(command_record("start", type_=type_), CASE_COMMANDS)
    assert error.code in {DeadCode.UNKNOWN_TYPE, DeadCode.UNSUPPORTED_VERSION}
    assert (error.facts["id"], error.facts["case_id"]) == (COMMAND_ID, CASE_ID)


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("start", {"actor": LEFT_OUT}, "actor"),
        ("start", {"actor": {"id": "ann", "role": "boss", "tenant_id": "acme"}}, "actor.role"),
        ("start", {"tenant_id": "Acme"}, "tenant_id"),
        ("start", {"expected_version": 0}, "expected_version"),
        ("start", {"expected_version": "1"}, "expected_version"),
        ("occur", {"count": 0}, "count"),
        ("occur", {"count": 10**30}, "count"),
        ("occur", {"last_at": "2026-03-02"}, "last_at"),
        ("clear", {"at": LEFT_OUT}, "at"),
        ("cancel", {"reason": ""}, "reason"),
        ("cancel", {"reason": "r" * 4001}, "reason"),
        ("create", {"case": {"title": "t" * 201}}, "case.title"),
        ("create", {"case": {"title": "t", "tags": ["t"] * 51}}, "case.tags"),
        ("create", {"raw": {"x": "v" * 16 * 1024}}, "raw"),
        ("create", {"raw": {"x": json.loads("[" * 101 + "]" * 101)}}, "raw"),
        ("start", {"case_id": "not-a-uuid"}, "case_id"),
    ],
)
def test_an_invalid_command_says_who_is_to_be_answered_and_what_is_wrong(
    name: str, changes: dict[str, Any], field: str
) -> None:
    data = command(name, **changes)
    error = unreadable(command_record(name, data), CASE_COMMANDS)
    assert error.code is DeadCode.INVALID_DATA
    assert (error.facts["id"], error.facts["case_id"]) == (COMMAND_ID, data["case_id"])
    assert error.facts["fields"] == (field,)


@pytest.mark.parametrize("case_id", [LEFT_OUT, None, 7, "", "x" * 201, {}])
def test_nobody_is_answered_about_a_case_that_cannot_be_told(case_id: object) -> None:
    data = command("start", case_id=case_id)
    assert unreadable(command_record("start", data), CASE_COMMANDS).facts["case_id"] is None
    assert unreadable(command_record("start", data, type_="x"), CASE_COMMANDS).facts["case_id"] is None


def test_the_faults_of_a_command_are_told_up_to_twenty_each_beside_its_own_reason() -> None:
    data = command("create", case={"title": 1, "tags": ["", "t" * 65, *([""] * 40)]})
    error = unreadable(command_record("create", data), CASE_COMMANDS)
    assert len(error.facts["fields"]) == 20
    assert error.reason.startswith("case.title: Input should be a valid string; case.tags.0: String should have at")


def test_raw_of_a_command_is_json_again() -> None:
    value = json.dumps(command("create")).encode()[:-1] + b',"raw":{"far":1e999,"$a.b":{"c":null}}}'
    raw = readable(command_record("create", value), CASE_COMMANDS).data.raw
    assert raw == {"far": "Infinity", "$a.b": {"c": None}}
