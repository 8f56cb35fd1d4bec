"""Times as other products write them: all UTC, to the second or to the millisecond; and as their clients write them."""

from datetime import UTC, date, datetime, time

from shared.contracts.fields import rfc3339, utc_milliseconds


def milliseconds(instant: datetime) -> str:
    """Return an instant as `2026-03-02T10:15:00.123Z`."""
    return rfc3339(utc_milliseconds(instant))


def seconds(instant: datetime) -> str:
    """Return an instant as `2026-03-02T10:15:00Z`, cut to the whole second."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def read_instant(text: str) -> datetime:
    """Return the instant that an ISO 8601 time or a bare date (its first moment in UTC) names.

    Raises:
        ValueError: if it is neither, or a time without a zone.
    """
    if len(text) == len("2026-03-02"):
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    if text[4:5] != "-" or text[10:11] not in {"T", "t", " "}:
        raise ValueError("a time is text with a zone, as 2026-03-02T10:15:00Z")
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time needs a zone, as the Z of 2026-03-02T10:15:00Z")
    return utc_milliseconds(instant)
