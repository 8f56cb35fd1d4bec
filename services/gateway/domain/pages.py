"""Pages by key: each goes on behind the last case of the one before, so nothing is shown twice or left out. Pure.

All lists are sorted by a field, then by creation, then by number, all in one direction; so each case has its one place.
What does not change while somebody turns pages is shown exactly once; what changes its place may be met again.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from services.gateway.domain.query import CaseQuery, Conditions, Fault, InvalidQuery

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIES: Final = ("created_at", "n")
NUMBERED: Final = "n"
DIGEST: Final = 12

Order = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A case's place in a list: what it is sorted by, when it was created, and its number."""

    value: Any
    created_at: datetime
    number: int


def order_of(query: CaseQuery) -> Order:
    """Return the whole order of a list: the field, and what decides between equals."""
    field, direction = query.order
    fields = (field,) if field == NUMBERED else tuple(dict.fromkeys((field, *TIES)))
    return tuple((name, direction) for name in fields)


def place_of(document: Mapping[str, Any], query: CaseQuery) -> Place:
    """Return the place of a view in a list."""
    return Place(document.get(query.order[0]), document["created_at"], document["n"])


def behind(place: Place, query: CaseQuery) -> list[Conditions]:
    """Return what the views behind a place meet: one of these."""
    field, direction = query.order
    values = {"created_at": place.created_at, "n": place.number, field: place.value}
    names = [name for name, _ in order_of(query)]
    return [
        {**{equal: values[equal] for equal in names[:at]}, name: condition}
        for at, name in enumerate(names)
        for condition in _further(values[name], direction)
    ]


def _further(value: Any, direction: int) -> list[Any]:  # noqa: ANN401 - any value of a view
    """Return conditions for what lies behind a value; what is absent comes first in ascending order."""
    if direction > 0:
        return [{"$ne": None}] if value is None else [{"$gt": value}]
    return [] if value is None else [{"$lt": value}, None]


def written(place: Place, query: CaseQuery) -> str:
    """Return the cursor that goes on behind a place, of use for the same list alone."""
    value = {"at": _milliseconds(place.value)} if isinstance(place.value, datetime) else place.value
    body = [_digest(query), value, _milliseconds(place.created_at), place.number]
    return base64.urlsafe_b64encode(orjson.dumps(body)).rstrip(b"=").decode()


def read(query: CaseQuery) -> Place | None:
    """Return the place that a query goes on behind; nothing for the first page.

    Raises:
        InvalidQuery: if the cursor is none, or belongs to another list.
    """
    if query.cursor is None:
        return None
    try:
        text = query.cursor.encode("ascii")
        digest, value, created_at, number = orjson.loads(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
        place = Place(_value(value), _instant(created_at), int(number))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise InvalidQuery([Fault("cursor", "is not one of ours")]) from error
    if digest != _digest(query):
        raise InvalidQuery([Fault("cursor", "belongs to another list: its filters or its order were others")])
    return place


def _value(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return _instant(value["at"])
    if value is not None and not isinstance(value, str | int | bool):
        raise TypeError("no value of a view")
    return value


def _digest(query: CaseQuery) -> str:
    return hashlib.sha256(orjson.dumps(query.meaning(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGEST]


def _milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def _instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)
