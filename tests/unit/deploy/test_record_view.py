"""Records are shown without any power over the terminal, and written as JSON that everybody reads."""

import json
from typing import Any

import pytest

from deploy.record_view import as_body, as_dict, as_json, as_value, hexdump, pretty, printable
from shared.contracts.envelope import GARBLED
from tests.builders import Sent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x9bb\x7f", "a\\x9bb\\x7f"),
        ("a\nb", "a\\nb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("value", [{"a": "\x1b\x9b\u202e\ud800é"}, ["\u2028", 1.5, None]])
def test_json_is_one_line_without_controls_and_reads_back(value: Any) -> None:
    line = as_json(value)
    assert json.loads(line) == value
    assert printable(line) == line
    assert line.encode()


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (None, {}),
        (b'{"a": 1}', {"data": {"a": 1}}),
        (b"null", {"data": None}),
        (b"{", {"text": "{"}),
        (b'{"a": NaN}', {"text": '{"a": NaN}'}),
        (b"[" * 100_000, {"text": "[" * 100_000}),
        (b"\xff\x00", {"hex": "ff00"}),
        (b"\x00\x01\x02\x03", {"hex": "00010203"}),
    ],
)
def test_a_body_is_data_or_text_or_hex(value: bytes | None, body: dict[str, Any]) -> None:
    assert as_body(value) == body


def test_a_record_for_programs_has_all_of_it() -> None:
    own = (("x", None), ("x", b"\xff"), ("y", b"1"), (GARBLED, b"[]"))
    shown = as_dict(Sent("t", b"{}", b"k", own, 3, 41, 1_772_446_500_250))
    assert shown == {
        "topic": "t",
        "partition": 3,
        "offset": 41,
        "at": "2026-03-02T10:15:00.250Z",
        "key": "k",
        "headers": {"x": {"hex": "ff"}, "y": "1", "(not UTF-8)": "[]"},
        "data": {},
    }


def test_json_is_indented_for_people_and_controls_in_it_are_written_out() -> None:
    assert pretty(b'{"a":"\\u001b"}') == '{\n  "a": "\\u001b"\n}'
    assert pretty('{"a": "\x9b"}'.encode()) == '{\n  "a": "\\x9b"\n}'
    assert pretty(b"a\tb\x1b is not JSON at all") == "a\tb\\x1b is not JSON at all"
    assert pretty(b"\xff") is None


def test_bytes_are_dumped_in_hex_with_what_is_ascii() -> None:
    lines = list(hexdump(bytes(range(60, 80))))
    assert lines[0] == f"00000000  {bytes(range(60, 76)).hex(' ')}  <=>?@ABCDEFGHIJK"
    assert lines[1].endswith(" LMNO")


def test_a_key_that_is_no_text_is_hex() -> None:
    assert (as_value(b"\xff"), as_value(b"k"), as_value(None)) == ({"hex": "ff"}, "k", None)
