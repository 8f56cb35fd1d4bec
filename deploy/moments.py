"""Moments as people type them: an age (`10m`, `2h30m`), an instant (RFC 3339)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def span(text: str) -> timedelta:
    """Read a span of time: numbers with `ms`, `s`, `m`, `h`, `d` or `w`.

    Raises:
        ValueError: it is something else.
    """
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no span of time as 90s, 10m, 2h30m or 7d")
    try:
        return timedelta(seconds=sum(float(number) * UNITS[unit] for number, unit in parts))
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long") from error


def moment(text: str, now: datetime) -> datetime:
    """Read an instant (a zone that is not said is UTC), or a span before `now`, with a minus before it or without.

    Raises:
        ValueError: it is neither, or before what calendars hold.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - span(text.removeprefix("-"))
        except OverflowError as error:
            raise ValueError(f"{text!r} is too long ago") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
