"""Records as people and programs see them: nothing in them can move a terminal's cursor or break a line of JSON."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from shared.contracts.envelope import GARBLED, Record, appended_at
from shared.contracts.fields import rfc3339

HEX_WIDTH: Final = 16
#: What JSON may hold and terminals or encoders take ill: controls, turns of the writing's direction, halves of pairs.
ILL: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def as_text(value: bytes) -> str | None:
    """Return bytes as text; nothing if they are none: not UTF-8, or full of what nobody can read."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    if text.isprintable():
        return text
    strange = sum(not (char.isprintable() or char in "\n\r\t") for char in text)
    return None if strange * 10 > len(text) else text


def printable(text: str, *, keep: str = "") -> str:
    """Return text without what a terminal would obey: such characters are written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape", "replace").decode() for c in text)


def pretty(value: bytes) -> str | None:
    """Return a value as indented JSON, else as text; nothing if it is neither."""
    text = as_text(value)
    if text is None:
        return None
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    return printable(text, keep="\n\t")


def as_json(value: object, *, indent: int | None = None) -> str:
    """Return a value as JSON that any terminal and any reader takes, on one line unless it is indented."""
    return ILL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, indent=indent))


def hexdump(value: bytes) -> Iterator[str]:
    """Yield bytes as lines of offset, hex and what of it is ASCII."""
    for offset in range(0, len(value), HEX_WIDTH):
        part = value[offset : offset + HEX_WIDTH]
        plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{offset:08x}  {part.hex(' '):<{HEX_WIDTH * 3}} {plain}"


def as_value(value: bytes | None) -> Any:  # noqa: ANN401 - any JSON value
    """Return a key or a header for JSON: text, `{"hex": …}` where it is none, or nothing."""
    if value is None:
        return None
    text = as_text(value)
    return {"hex": value.hex()} if text is None else text


def as_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, Any]:
    """Return headers for JSON; of repeated ones the last."""
    return {name if name != GARBLED else "(not UTF-8)": as_value(value) for name, value in headers}


def as_body(value: bytes | None) -> dict[str, Any]:
    """Return a value for JSON: as `data` if it is JSON itself, else as `text`, else as `hex`."""
    if value is None:
        return {}
    text = as_text(value)
    if text is None:
        return {"hex": value.hex()}
    try:
        return {"data": json.loads(text, parse_constant=_refuse)}
    except (ValueError, RecursionError):
        return {"text": text}


def as_dict(record: Record) -> dict[str, Any]:
    """Return all of a record for JSON."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "at": rfc3339(appended_at(record)),
        "key": as_value(record.key),
        "headers": as_headers(record.headers),
        **as_body(record.value),
    }


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
