"""Field types that models share: times, identifiers, bounded texts, and the base of every model."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from shared.contracts import limits


def written_out(value: object) -> object:
    """Return a time that is written out; a bare number, also one in quotes, could be seconds or milliseconds.

    Raises:
        ValueError: if it is not.
    """
    if isinstance(value, datetime) or (
        isinstance(value, str) and value[4:5] == "-" and value[10:11] in {"T", "t", " "}
    ):
        return value
    raise ValueError("a time is text with a zone, as 2026-03-02T10:15:00.000Z")


def utc_milliseconds(value: datetime) -> datetime:
    """Return the instant in UTC, cut to whole milliseconds.

    Raises:
        ValueError: if the instant cannot be told in UTC (a year before 1 or after 9999).
    """
    try:
        value = value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the instant lies outside the years 1 to 9999 in UTC") from error
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


@lru_cache(maxsize=8192)
def rfc3339(value: datetime) -> str:
    """Return a UTC instant as RFC 3339 with exactly three decimals and `Z`."""
    if value.tzinfo is not UTC:
        return rfc3339(utc_milliseconds(value))
    # A third of the time of `isoformat`; it leaves out decimals that are all zero, and has six else.
    text = orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
    return f"{text[1:24]}Z" if value.microsecond else f"{text[1:20]}.000Z"


Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    AfterValidator(utc_milliseconds),
    BeforeValidator(written_out),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
TenantId = Annotated[str, StringConstraints(pattern=limits.TENANT_PATTERN)]
DeviceId = Annotated[str, StringConstraints(pattern=limits.DEVICE_PATTERN)]
CaseId = Annotated[str, StringConstraints(pattern=limits.UUID_PATTERN)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=limits.ID_MAX)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=limits.TEXT_MAX)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=limits.TITLE_MAX)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=limits.REFERENCE_MAX)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=limits.TAG_MAX)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
CaseCode = Annotated[str, StringConstraints(pattern=limits.CASE_CODE_PATTERN)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Count = Annotated[int, Field(ge=1, le=10**12)]


class Model(BaseModel):
    """The base of every message body: immutable, strict about types, deaf to fields it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)
