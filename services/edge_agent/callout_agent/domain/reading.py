"""One reading of one series, and how a time is written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Reading(NamedTuple):
    """A value of a series at a time (seconds since 1970, UTC)."""

    series: str
    at: float
    value: float


def rfc3339(at: float) -> str:
    """Write a time as the contracts want it: UTC, three decimals, `Z`."""
    moment = EPOCH + timedelta(milliseconds=round(at * 1000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def seconds(text: str, zone: timezone = timezone.utc) -> float:
    """Read a time as ISO 8601 writes it; one that names no zone is taken to be in `zone`.

    Raises:
        ValueError: It is no time.
    """
    text = text.strip()
    if text[-1:] in ("Z", "z"):
        text = text[:-1] + "+00:00"
    head, dot, rest = text.partition(".")
    if dot:  # older Pythons read three or six decimals only
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return (moment - EPOCH).total_seconds()
