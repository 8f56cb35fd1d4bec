"""How a line of a recording becomes a signal: which column is which field, what is constant, what clears. Pure."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from fnmatch import fnmatchcase
from typing import Any, Final

from shared.contracts.fields import rfc3339, utc_milliseconds
from shared.contracts.signals import CLEARED, RAISED

Line = Mapping[str, Any]
Fill = Callable[[Line], Any]

COLUMN: Final = re.compile(r"\{([^{}]+)\}")
TEXTS: Final = frozenset(
    {"tenant_id", "device_id", "fault", "severity", "title", "description", "dedup_key", "case_code", "template"}
)
TIME: Final = "occurred_at"
NUMBER: Final = "seq"
PARTS: Final = ("machine", "measurements")
FIELDS: Final = TEXTS | {TIME, NUMBER}


class MappingError(ValueError):
    """A mapping that cannot be used; the message says why."""


class LineError(ValueError):
    """A line that makes no signal; the message says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a line became: the type on the wire, the body, and its event time if it has one."""

    type: str
    body: dict[str, Any]
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMapping:
    """Which column is which field (`columns`: by name, or a text with `{column}` in it), and what is the same always.

    `whole`: what is not mapped stays as the line has it; else only what is named like a field of a signal does.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    cleared_when: Sequence[tuple[str, str]] = ()
    raised_when: Sequence[tuple[str, str]] = ()
    time_format: str | None = None
    time_zone: tzinfo
    whole: bool = False

    def names(self) -> set[str]:
        """Return the columns that a line must have."""
        mapped = {name for text in self.columns.values() for name in COLUMN.findall(text) or [text] if text}
        return mapped | {name for name, _ in (*self.cleared_when, *self.raised_when)}

    def identity(self) -> str:
        """Return what makes this mapping another than others."""
        parts = (self.columns, self.constants, self.cleared_when, self.raised_when, self.time_format, self.whole)
        return json.dumps([*parts, str(self.time_zone)], sort_keys=True, default=list)

    def make(self, line: Line) -> Made | None:
        """Return the signal of a line; nothing if it neither raises nor clears.

        Raises:
            LineError: it makes none.
        """
        cleared = _meets(line, self.cleared_when)
        if not cleared and self.raised_when and not _meets(line, self.raised_when):
            return None
        body: dict[str, Any] = dict(line) if self.whole else {}
        if not self.whole:
            for name, value in line.items():
                if name in FIELDS or name.partition(".")[0] in PARTS:
                    _put(body, name, value)
        for path, value in self.constants.items():
            _put(body, path, value)
        for path, text in self.columns.items():
            _put(body, path, _filled(line, text))
        at = self._tidy(body)
        return Made(CLEARED if cleared else RAISED, body, at)

    def _tidy(self, body: dict[str, Any]) -> datetime | None:
        """Give the fields of a body their types; return the event time."""
        for name in [name for name, value in body.items() if value is None or value == ""]:
            del body[name]
        for name in TEXTS & body.keys():
            body[name] = _text(body[name])
        for name in {part for part in PARTS if isinstance(body.get(part), dict)}:
            typed = _text if name == "machine" else _measured
            body[name] = {key: typed(value) for key, value in body[name].items() if value not in (None, "")}
        if isinstance(body.get(NUMBER), str):
            body[NUMBER] = _whole_number(body[NUMBER])
        if TIME not in body:
            return None
        at = self._instant(body[TIME])
        body[TIME] = rfc3339(at)
        return at

    def _instant(self, value: Any) -> datetime:  # noqa: ANN401 - whatever the line has
        try:
            match self.time_format:
                case None:
                    at = datetime.fromisoformat(str(value).strip())
                case "epoch" | "epoch_ms":
                    seconds = float(value) / (1000 if self.time_format == "epoch_ms" else 1)
                    at = datetime.fromtimestamp(seconds, self.time_zone)
                case text:
                    at = datetime.strptime(str(value).strip(), text)  # noqa: DTZ007 - the zone follows
            return utc_milliseconds(at if at.tzinfo else at.replace(tzinfo=self.time_zone))
        except (ValueError, OverflowError, OSError) as error:
            raise LineError(f"{TIME}: {str(value)[:60]!r} is no time that can be read") from error


def parse_maps(texts: Iterable[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Read `field=column`, `field=text {column}` and `field:=value`; return columns and constants.

    Raises:
        MappingError: one of them is none of these.
    """
    columns: dict[str, str] = {}
    constants: dict[str, Any] = {}
    for text in texts:
        path, sign, value = text.partition("=")
        if not sign or not path.strip(":"):
            raise MappingError(f"{text!r} is not field=column, field=text with {{column}}, or field:=value")
        if path.endswith(":"):
            constants[path[:-1].strip()] = _json_or_text(value)
        else:
            columns[path.strip()] = value
    return columns, constants


def parse_conditions(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Read `column=pattern`.

    Raises:
        MappingError: one of them is not that.
    """
    parts = [text.partition("=") for text in texts]
    for name, sign, _ in parts:
        if not name or not sign:
            raise MappingError(f"{name!r} is not column=value")
    return tuple((name.strip(), pattern) for name, _, pattern in parts)


def _meets(line: Line, conditions: Sequence[tuple[str, str]]) -> bool:
    return any(fnmatchcase(_text(_found(line, name)), pattern) for name, pattern in conditions)


def _filled(line: Line, text: str) -> Any:  # noqa: ANN401 - a column's value, or a text
    if "{" not in text:
        return _found(line, text)
    values = {name: _text(_found(line, name)) for name in COLUMN.findall(text)}
    if not all(values.values()):
        return None
    return COLUMN.sub(lambda match: values[match[1]], text)


def _found(line: Line, name: str) -> Any:  # noqa: ANN401 - any JSON value
    if name in line:
        return line[name]
    value: Any = line
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _put(body: dict[str, Any], path: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    first, _, rest = path.partition(".")
    if not rest or first not in PARTS:
        body[path] = value
        return
    held = body.get(first)
    body[first] = {**(held if isinstance(held, dict) else {}), rest: value}


def _text(value: Any) -> Any:  # noqa: ANN401 - what is no scalar stays, to be refused
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return value if isinstance(value, str) else json.dumps(value)


def _measured(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(value, str):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return value


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise LineError(f"{NUMBER}: {text[:60]!r} is no whole number") from error


def _json_or_text(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except ValueError:
        return text
