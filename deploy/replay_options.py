"""What was asked for, as a mapping: from the words of the command line, from a file, or from both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.replay_lines import Recording
from deploy.replay_mapping import LineMapping, MappingError, parse_conditions, parse_maps

NOW: Final = "now"

Patterns = str | list[str]


class _File(BaseModel):
    """A mapping in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    map: dict[str, str] = {}
    always: dict[str, Any] = {}
    cleared_when: dict[str, Patterns] = {}
    raised_when: dict[str, Patterns] = {}
    time_format: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of the command line; each goes before what the file says."""

    maps: Sequence[str] = ()
    cleared_when: Sequence[str] = ()
    raised_when: Sequence[str] = ()
    time_format: str | None = None
    time_zone: str | None = None


def line_mapping(recording: Recording, words: Words, file: Path | None) -> LineMapping:
    """Return how the lines of a recording become signals.

    Raises:
        MappingError: it cannot be: a word, a file or a column is wrong.
    """
    written = _read(file) if file else _File()
    columns, constants = parse_maps(words.maps)
    zone = words.time_zone or written.time_zone or "UTC"
    try:
        time_zone = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise MappingError(f"there is no time zone {zone!r}") from error
    mapping = LineMapping(
        columns={name: text for name, text in written.map.items() if name not in constants} | columns,
        constants={name: value for name, value in written.always.items() if name not in columns} | constants,
        cleared_when=parse_conditions(words.cleared_when) or _conditions(written.cleared_when),
        raised_when=parse_conditions(words.raised_when) or _conditions(written.raised_when),
        time_format=words.time_format or written.time_format,
        time_zone=time_zone,
        whole=recording.format == "jsonl",
    )
    header = recording.columns()
    missing = sorted(mapping.names() - set(header)) if header is not None else []
    if missing:
        raise MappingError(f"there is no column {', '.join(missing)}; these are: {', '.join(header or ())}")
    return mapping


def parse_speed(text: str) -> float:
    """Return a speed as a number: `60x` is 60; nothing is 0.

    Raises:
        MappingError: it is none.
    """
    if not text:
        return 0
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0
    if not 0 < speed < float("inf"):
        raise MappingError(f"{text!r} is no speed; say 60x, or 0.5x")
    return speed


def parse_instant(text: str, zone: str | None) -> datetime | None:
    """Return an instant: `now`, or a time.

    Raises:
        MappingError: it is none.
    """
    if text in ("", NOW):
        return datetime.now(UTC) if text else None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise MappingError(f"{text!r} is neither `now` nor a time") from error
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone or "UTC"))


def _conditions(written: dict[str, Patterns]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, pattern)
        for name, patterns in written.items()
        for pattern in ([patterns] if isinstance(patterns, str) else patterns)
    )


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(yaml.safe_load(path.read_text()) or {})
    except (OSError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise MappingError(f"{path}: {wrong}") from error
