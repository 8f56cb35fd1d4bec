"""Stand-ins for tests, held to the same contract tests as the real things."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions

from shared.storage import Document, Write
from shared.view_storage import Find, Index

MEETS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$lte": operator.le,
    "$lt": operator.lt,
    "$gte": operator.ge,
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
}
ORDERED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$lte": operator.le,
    "$lt": operator.lt,
    "$gte": operator.ge,
    "$gt": operator.gt,
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


class MemoryViewCollection:
    """`ViewCollection` in memory, for the conditions that views are asked with."""

    def __init__(self, name: str = "views") -> None:
        self.name = name
        self.stored: dict[str, Document] = {}

    async def insert_new(self, documents: Sequence[Document]) -> None:
        """Write the documents whose ids are not there yet."""
        for document in documents:
            self.stored.setdefault(document["_id"], _through_bson(document))

    async def set_newer(self, documents: Sequence[Document], *, by: str = "seq") -> frozenset[str]:
        """Set all fields of the documents where what is stored is older by a number, or missing; return the others."""
        passed_over = set()
        for document in documents:
            held = self.stored.get(document["_id"])
            if held is None or not (held.get(by) is not None and held[by] >= document[by]):
                self.stored[document["_id"]] = {**(held or {}), **_through_bson(document)}
            else:
                passed_over.add(document["_id"])
        return frozenset(passed_over)

    async def set_where(self, conditions: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Set fields of all documents that meet the conditions."""
        for document in self.stored.values():
            if _fits(document, conditions):
                document |= _through_bson(dict(fields))

    async def set_all(self, updates: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """Set fields of all documents that meet some conditions, of many at once."""
        for conditions, fields in updates:
            await self.set_where(conditions, fields)

    async def find(self, question: Find) -> list[Document]:
        """Return the documents that are asked for."""
        found = [document for document in self.stored.values() if _fits(document, question.conditions)]
        for name, direction in reversed(question.order):
            found.sort(key=lambda document, name=name: _rank(document.get(name)), reverse=direction < 0)  # type: ignore[misc]
        end = question.skip + question.limit if question.limit else None
        kept = {"_id", *question.fields}
        return [
            _through_bson({name: value for name, value in d.items() if not question.fields or name in kept})
            for d in found[question.skip : end]
        ]

    async def count(self, conditions: Mapping[str, Any], *, most: int) -> int:
        """Return how many documents meet the conditions; counting ends at `most`, 0 counts all."""
        found = sum(_fits(document, conditions) for document in self.stored.values())
        return min(found, most) if most else found

    async def make_indexes(self, indexes: Sequence[Index]) -> None:
        """Need no index."""

    async def drop(self) -> None:
        """Forget the whole collection."""
        self.stored.clear()


def _fits(document: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Tell whether a document meets conditions as the database understands them."""
    return all(_meets_all(document, name, wanted) for name, wanted in conditions.items())


def _meets_all(document: Mapping[str, Any], name: str, wanted: Any) -> bool:  # noqa: ANN401 - a condition
    match name:
        case "$or":
            return any(_fits(document, each) for each in wanted)
        case "$and":
            return all(_fits(document, each) for each in wanted)
        case "$nor":
            return not any(_fits(document, each) for each in wanted)
    return _is(document.get(name), wanted)


def _is(value: Any, wanted: Any) -> bool:  # noqa: ANN401 - any stored value
    values = [*value, value] if isinstance(value, list) else [value]
    if not isinstance(wanted, Mapping):
        return wanted in values
    return all(_holds(values, name, operand) for name, operand in wanted.items())


def _holds(values: list[Any], name: str, operand: Any) -> bool:  # noqa: ANN401 - any stored value
    match name:
        case "$in":
            return any(each in operand for each in values)
        case "$all":
            return all(each in values for each in operand)
        case "$ne":
            return operand not in values
        case "$regex":
            return any(isinstance(each, str) and re.search(operand, each) for each in values)
        case _:
            compare = ORDERED[name]
            return any(type(each) is type(operand) and compare(each, operand) for each in values)


def _rank(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 - any stored value
    """Return a key by which what is absent comes first."""
    return (value is not None, 0 if value is None else value)


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
