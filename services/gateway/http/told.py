"""What a route takes and tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.gateway.http.schemas import Schema

READING: Final = ("invalid_request", "not_found")
SENDING: Final = ("invalid_request", "too_large", "unsupported_media_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a route takes and tells."""

    status: int
    what: str
    problems: Sequence[str]
    schema: Schema | None = None
    example: Any = None
    media: str = "application/json"
    body: Schema | None = None
    body_example: Any = None
    takes: str = "application/json"
    headers: Mapping[str, str] | None = None
    pending: bool = False
    parameters: Sequence[Schema] = ()
    also: Sequence[int] = ()
