"""Reads cases where workflow keeps them: the state as it is told, without what only workflow needs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

import orjson
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern

from deploy.adoption import database_name
from shared.contracts.fields import rfc3339
from shared.contracts.words import Severity

ANSWER_MILLISECONDS: Final = 5_000
BATCH: Final = 1_000
#: What the document repeats of the state, for queries.
REPEATED: Final = {
    "tenant_id": ("tenant_id",),
    "number": ("number",),
    "state": ("state",),
    "updated_at": ("updated_at",),
    "device_id": ("device_id",),
    "dedup_key": ("signal", "dedup_key"),
}
#: What the rows of `notes` and `files` say.
NOTE: Final = ("id", "author", "tenant", "visibility", "parent_note_id", "revision", "deleted")
FILE: Final = ("id", "by", "tenant", "note_id")
SORTS: Final = {
    "number": "case.number",
    "created_at": "case.created_at",
    "updated_at": "updated_at",
    "state": "state",
    "device": "device_id",
    "count": "case.signal.count",
    "severity": "rank",
}
RANK: Final = {"$set": {"rank": {"$indexOfArray": [[severity.value for severity in Severity], "$case.severity"]}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCase:
    """A case as its document has it."""

    id: str
    #: The state after its last event, as JSON; nothing for a stub, which waits for its creation.
    state: dict[str, Any] | None
    hash: str
    #: Fields that the document repeats otherwise than its own state has them.
    torn: tuple[str, ...] = field(default=())
    #: How far its counterpart was told: seq and hash of that chain.
    shared: tuple[int, str] | None = None


class CaseStore:
    """The collection `cases` of workflow; as a context it is connected from entering to leaving."""

    def __init__(self, mongodb_uri: str) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            mongodb_uri, serverSelectionTimeoutMS=ANSWER_MILLISECONDS, connectTimeoutMS=2_000, tz_aware=True
        )
        database = self._client.get_database(database_name("workflow"), read_concern=ReadConcern("majority"))
        self._cases = database["cases"]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def find(self, name: str) -> dict[str, Any] | None:
        """Return the state of the case with this id or 8-digit number."""
        by_number = len(name) == 8 and name.isdecimal()
        document = await self._cases.find_one({"number": name} if by_number else {"_id": name.lower()}, {"case": 1})
        return as_json(document["case"]) if document and "case" in document else None

    async def papers(self, name: str) -> dict[str, Any]:
        """Return what the document keeps of notes and files, without their texts; nothing of them, nothing here."""
        by_number = len(name) == 8 and name.isdecimal()
        fields = {"notes": 1, "files": 1}
        document = await self._cases.find_one({"number": name} if by_number else {"_id": name.lower()}, fields)
        return read_papers(document or {})

    async def search(self, conditions: Mapping[str, Any], *, sort: str, limit: int) -> list[dict[str, Any]]:
        """Return the states of the cases that meet the conditions; `sort` is a key of `SORTS`, `-` before it: down."""
        place = SORTS[sort.removeprefix("-")]
        stages: list[dict[str, Any]] = [{"$match": {"case": {"$exists": True}, **conditions}}]
        if place == "rank":
            stages.append(RANK)
        stages += [{"$sort": {place: -1 if sort.startswith("-") else 1, "_id": 1}}, {"$limit": limit}]
        stages.append({"$project": {"case": 1}})
        cursor = await self._cases.aggregate(stages, allowDiskUse=True)
        return [as_json(document["case"]) async for document in cursor]

    async def count(self, conditions: Mapping[str, Any]) -> int:
        """Return how many cases meet the conditions."""
        return await self._cases.count_documents({"case": {"$exists": True}, **conditions})

    async def group(self, place: str, *, limit: int = 0) -> list[tuple[Any, int]]:
        """Return the values at a place of the documents and how many cases have each, the most frequent first."""
        stages: list[dict[str, Any]] = [
            {"$match": {place: {"$exists": True}}},
            {"$group": {"_id": f"${place}", "cases": {"$sum": 1}}},
            {"$sort": {"cases": -1, "_id": 1}},
        ]
        if limit:
            stages.append({"$limit": limit})
        return [(document["_id"], document["cases"]) async for document in await self._cases.aggregate(stages)]

    async def scan(self, ids: Sequence[str] | None = None) -> AsyncIterator[StoredCase]:
        """Yield all cases, stubs included, or those of these ids."""
        conditions: list[dict[str, Any]] = [{}]
        if ids is not None:
            conditions = [{"_id": {"$in": ids[start : start + BATCH]}} for start in range(0, len(ids), BATCH)]
        fields = dict.fromkeys(("case", "hash", "shared", *REPEATED), 1)
        for condition in conditions:
            async for document in self._cases.find(condition, fields, batch_size=BATCH):
                yield read_stored(document)


def read_papers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return notes and files of a document as people read them."""
    papers: dict[str, Any] = {}
    for part, names in (("notes", NOTE), ("files", FILE)):
        rows = orjson.loads(document[part]) if part in document else []
        kept = [{name: value for name, value in zip(names, row, strict=True) if value} for row in rows]
        papers |= {part: kept} if kept else {}
    return papers


def read_stored(document: Mapping[str, Any]) -> StoredCase:
    """Read what a document says of its case."""
    state = as_json(document["case"]) if "case" in document else None
    torn = () if state is None else tuple(n for n, path in REPEATED.items() if _differs(document, n, state, path))
    told = document.get("shared")
    shared = None if told is None else (int(told["seq"]), str(told["hash"]))
    return StoredCase(id=document["_id"], state=state, hash=document.get("hash", ""), torn=torn, shared=shared)


def as_json(value: Any) -> Any:  # noqa: ANN401 - any value of a document
    """Return a stored value as the value it has on the wire; absent optionals are left out."""
    match value:
        case datetime():
            return rfc3339(value)
        case bytes():  # names that outsiders chose: kept as JSON
            return orjson.loads(value)
        case dict():
            return {name: as_json(part) for name, part in value.items() if part is not None}
        case list() | tuple():
            return [as_json(part) for part in value]
        case _:
            return value


def _differs(document: Mapping[str, Any], name: str, state: dict[str, Any], path: tuple[str, ...]) -> bool:
    told: Any = state
    for step in path:
        told = told.get(step) if isinstance(told, dict) else None
    return bool(as_json(document.get(name)) != told)
