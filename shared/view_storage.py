"""Views in MongoDB: documents that only ever grow newer, found by any condition, in any order, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import IndexModel, InsertOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from shared.errors import TransientError
from shared.storage import DUPLICATE_KEY, OUR_FAULT, Database, Document, answered, passing

Order = Sequence[tuple[str, int]]
EXPLAINED: Final = "queryPlanner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index on some fields, in this order."""

    name: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """A question to a view: what, in which order, from where, how many, and which fields come along (or all)."""

    conditions: Mapping[str, Any]
    order: Order = ()
    skip: int = 0
    limit: int = 0
    fields: Sequence[str] = ()


class ViewCollection:
    """One collection of a view. All writes are majority and journaled, all reads are majority reads."""

    def __init__(self, database: Database, name: str) -> None:
        self.name = name
        self._collection = database.collection(name)

    async def insert_new(self, documents: Sequence[Document]) -> None:
        """Write the documents whose ids are not there yet, in one round trip."""
        await self._write([InsertOne(document) for document in documents])

    async def set_newer(self, documents: Sequence[Document], *, by: str = "seq") -> frozenset[str]:
        """Set all fields of the documents where what is stored is older by a number, or missing; in one round trip.

        Returns:
            The ids of the others: what is stored of them is as new, or newer.
        """
        # Where what is stored is not older nothing matches, and the insertion fails on the id: that is the guard.
        passed_over = await self._write(
            [
                UpdateOne(
                    {"_id": document["_id"], by: {"$not": {"$gte": document[by]}}},
                    {"$set": {name: value for name, value in document.items() if name != "_id"}},
                    upsert=True,
                )
                for document in documents
            ]
        )
        return frozenset(documents[index]["_id"] for index in passed_over)

    async def set_where(self, conditions: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Set fields of all documents that meet the conditions."""
        await answered(self._collection.update_many(dict(conditions), {"$set": dict(fields)}))

    async def set_all(self, updates: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """Set fields of all documents that meet some conditions, of many at once; in one round trip."""
        await self._write([UpdateMany(dict(conditions), {"$set": dict(fields)}) for conditions, fields in updates])

    async def find(self, question: Find) -> list[Document]:
        """Return the documents that are asked for."""
        return list(await answered(self._cursor(question).to_list(None)))

    async def count(self, conditions: Mapping[str, Any], *, most: int) -> int:
        """Return how many documents meet the conditions; counting ends at `most`, 0 counts all."""
        # `count` goes through an index alone where one has the whole answer; an aggregation looks at each entry.
        asked = {"count": self.name, "query": dict(conditions), "readConcern": {"level": "majority"}}
        told = await answered(self._collection.database.command(asked | ({"limit": most} if most else {})))
        return int(told["n"])

    async def explain(self, question: Find) -> Document:
        """Return how the server would answer a question."""
        explained: Document = await answered(self._cursor(question).explain())
        plan: Document = explained[EXPLAINED]["winningPlan"]
        return plan

    async def make_indexes(self, indexes: Sequence[Index]) -> None:
        """Make sure the indexes exist; one pass over what is there makes all."""
        models = [IndexModel([(name, 1) for name in index.fields], name=index.name) for index in indexes]
        await answered(self._collection.create_indexes(models))

    async def drop(self) -> None:
        """Forget the whole collection."""
        await answered(self._collection.drop())

    def _cursor(self, question: Find) -> Any:  # noqa: ANN401 - either driver's
        cursor = self._collection.find(dict(question.conditions), dict.fromkeys(question.fields, 1) or None)
        if question.order:
            cursor = cursor.sort(list(question.order))
        return cursor.skip(question.skip).limit(question.limit).batch_size(question.limit or 1000)

    async def _write(self, requests: Sequence[Any]) -> list[int]:
        """Write; return the places of those whose documents were there already."""
        if not requests:
            return []
        try:
            await self._collection.bulk_write(requests, ordered=False)
        except BulkWriteError as error:
            return _repeats(error)
        except PyMongoError as error:
            raise passing(error) from error
        return []


def _repeats(error: BulkWriteError) -> list[int]:
    """Let pass that documents were there already; return which."""
    details = error.details or {}
    codes = {failure.get("code") for failure in details.get("writeErrors", [])}
    if codes & OUR_FAULT:
        raise error
    if details.get("writeConcernErrors") or codes - {DUPLICATE_KEY}:
        raise TransientError("MongoDB failed in the middle of a batch") from error
    return [failure["index"] for failure in details["writeErrors"]]
