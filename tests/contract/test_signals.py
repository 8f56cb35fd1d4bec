"""What a signal says is kept: defaults, words, times, and whatever has no field."""

import json

import pytest

from shared.contracts.words import DeadCode, Severity
from tests.builders import (
    signal,
    signal_record,
)
from tests.contract.reading import readable, unreadable


def test_a_signal_without_optionals_has_defaults() -> None:
    data = readable(signal_record()).data
    assert (data.key, data.core_severity, data.raw_severity) == ("press-07:E417", Severity.MINOR, None)
    assert (data.occurred_at, data.raw_json, data.machine) == (None, None, None)


def test_null_stands_for_an_absent_optional() -> None:
    nulls = dict.fromkeys(
        ("severity", "title", "occurred_at", "machine", "measurements", "dedup_key", "case_code", "seq")
    )
    data = readable(signal_record(signal(**nulls))).data
    assert (data.key, data.core_severity, data.raw_json) == ("press-07:E417", Severity.MINOR, None)


@pytest.mark.parametrize(
    ("said", "core", "raw"),
    [
        ("critical", Severity.CRITICAL, None),
        ("CRITICAL", Severity.CRITICAL, "CRITICAL"),
        (" Urgent ", Severity.MAJOR, " Urgent "),
        ("indeterminate", Severity.INFO, "indeterminate"),
        ("catastrophic", Severity.MINOR, "catastrophic"),
        ("", Severity.MINOR, None),
        ("x" * 200, Severity.MINOR, "x" * 128),
    ],
)
def test_severity_words_map_to_core_words(said: str, core: Severity, raw: str | None) -> None:
    data = readable(signal_record(signal(severity=said))).data
    assert (data.core_severity, data.raw_severity) == (core, raw)


def test_unknown_fields_are_kept_in_raw_whatever_their_names() -> None:
    unknown = {"$set": {"a.b": 1}, "a.b": None, "": [], "__class__": 1, "raw_json": 2, "key": 3, "model_config": 4}
    data = readable(signal_record(signal(**unknown, machine={"serial": "SN-1", "plant.id": 7, "__class__": 1}))).data
    assert json.loads(data.raw_json) == {**unknown, "machine": {"plant.id": 7, "__class__": 1}}
    assert (data.key, data.machine.serial) == ("press-07:E417", "SN-1")


def test_measurements_may_have_any_names() -> None:
    measured = {"$temp": 91.4, "a.b": True, "": "x", "none": None, "count": 2**63 - 1}
    assert readable(signal_record(signal(measurements=measured))).data.measurements == measured


def test_a_long_title_or_description_stays_whole_in_raw() -> None:
    title, description = "t" * 201, "d" * 4001
    data = readable(signal_record(signal(title=title, description=description))).data
    assert json.loads(data.raw_json) == {"title": title, "description": description}


def test_numbers_that_other_readers_cannot_read_become_text_in_raw() -> None:
    value = b'{"tenant_id":"acme","device_id":"d","fault":"f","far":1e999,"wide":%s,"long":%s}' % (
        b"9" * 400,
        b"9" * 40,
    )
    raw = readable(signal_record(value)).data.raw_json
    assert json.loads(raw) == {"far": "Infinity", "wide": "9" * 400, "long": int("9" * 40)}


def test_a_measurement_beyond_64_bits_is_a_double() -> None:
    assert readable(signal_record(signal(measurements={"x": 10**30}))).data.measurements == {"x": 1e30}


def test_text_may_hold_any_character_of_unicode() -> None:
    odd = "\x00\u2028\ufeff\U0001f525 é$.\n"
    data = readable(signal_record(signal(fault=odd, title=odd, note=odd))).data
    assert (data.fault, data.title, json.loads(data.raw_json)) == (odd, odd, {"note": odd})


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999000+00:00"),
        ("1970-01-01T00:00:00+14:00", "1969-12-31T10:00:00.000000+00:00"),
        ("2026-03-02 10:15:00.1239-05:30", "2026-03-02T15:45:00.123000+00:00"),
        ("2026-03-02t10:15:00z", "2026-03-02T10:15:00.000000+00:00"),
    ],
)
def test_clocks_years_off_are_read_in_utc_milliseconds(said: str, read_as: str) -> None:
    data = readable(signal_record(signal(occurred_at=said))).data
    assert data.occurred_at.isoformat(timespec="microseconds") == read_as


@pytest.mark.parametrize(
    "said",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-03-02T10:15:00",
        "2026-03-02",
        "2026-02-30T10:15:00Z",
        "2026-03-02T10:15:61Z",
        "10000-01-01T00:00:00Z",
        "1772446500",
        "yesterday",
        "",
        1772446500,
        1e30,
        True,
        {},
    ],
)
def test_a_time_that_cannot_be_told_is_invalid(said: object) -> None:
    assert unreadable(signal_record(signal(occurred_at=said))).code is DeadCode.INVALID_DATA
