"""Stand-ins for tests, held to the same contract tests as the real things."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions

from shared.storage import Document, Write

MEETS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$lte": operator.le,
    "$lt": operator.lt,
    "$gte": operator.ge,
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
}
LISTS: Final = frozenset({"$in", "$nin"})
OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True, tzinfo=UTC)


class MemoryDocuments:
    """`Documents` in memory: what goes in comes out as the database would give it back."""

    def __init__(self) -> None:
        self.stored: dict[str, Document] = {}

    async def find(self, ids: Sequence[str]) -> list[Document]:
        """Return those of the documents that exist."""
        return [_through_bson(self.stored[id_]) for id_ in dict.fromkeys(ids) if id_ in self.stored]

    async def query(
        self, conditions: Mapping[str, Any], *, sort: str = "_id", limit: int = 0, fields: Sequence[str] = ()
    ) -> list[Document]:
        """Return the documents that meet the conditions, in order: equality, and what `MEETS` has."""
        wanted = {name: _quick(condition) for name, condition in conditions.items()}
        found = [d for d in self.stored.values() if all(_meets(d.get(k), v) for k, v in wanted.items())]
        name = sort.lstrip("-")
        found.sort(key=lambda d: (d.get(name) is not None, d.get(name)), reverse=sort.startswith("-"))
        kept = found[:limit] if limit else found
        return [_through_bson({k: v for k, v in d.items() if not fields or k in {"_id", *fields}}) for d in kept]

    async def replace(self, writes: Sequence[Write], *, ordered: bool = False) -> frozenset[str]:
        """Write what nobody else wrote first; return the ids of the rest."""
        conflicts: set[str] = set()
        for write in writes:
            held = self.stored.get(write.id)
            ended = ordered and bool(conflicts)
            if ended or (held is not None and held.get("revision") != write.revision):
                conflicts.add(write.id)
            else:
                self.stored[write.id] = {"_id": write.id, **_through_bson(write.document)}
        return frozenset(conflicts)

    async def draw(self, name: str, amount: int, *, start: int = 0) -> int:
        """Raise a counter by `amount`; return its value before."""
        counter = self.stored.setdefault(name, {"_id": name, "value": start})
        counter["value"] += amount
        return int(counter["value"]) - amount

    async def index(self, field: str, *, sparse: bool = False, expire_seconds: int | None = None) -> None:
        """Need no index."""


def _through_bson(document: Document) -> Document:
    return bson.decode(bson.encode(document), OPTIONS)


def _quick(condition: Any) -> Any:  # noqa: ANN401 - any stored value
    """Return a condition whose long lists are found in at once."""
    if not isinstance(condition, Mapping):
        return condition
    return {name: frozenset(wanted) if name in LISTS else wanted for name, wanted in condition.items()}


def _meets(value: Any, condition: Any) -> bool:  # noqa: ANN401 - any stored value
    if isinstance(condition, Mapping):
        return value is not None and all(MEETS[name](value, wanted) for name, wanted in condition.items())
    return bool(value == condition)
