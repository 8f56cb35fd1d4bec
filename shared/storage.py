"""Documents in MongoDB: the one module that knows the driver.

Every read is a majority read, every write is majority and journaled. Errors of the driver that may pass are
`TransientError`; a write that lost a race is told by its id, never raised. What can never be stored (too large, too
deep, not a value of BSON) is a bug of ours and raised as the driver raises it: trying again would not end.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final, Literal, Protocol

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, ReadPreference, ReplaceOne, ReturnDocument
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.errors import TransientError

Document = dict[str, Any]
Driver = Literal["motor", "pymongo"]
DUPLICATE_KEY: Final = 11000
OUR_FAULT: Final = frozenset({2, 9, 14, 15, 22, 66, 10334, 17419, 17420})
"""Codes of the server for requests that fail the same way for ever: bad values, and what is too deep or too large."""


@dataclass(frozen=True, slots=True)
class Write:
    """Replace the document `id` if its revision still is `revision`, or if there is none; 0 means there is none."""

    id: str
    revision: int
    document: Document


class Documents(Protocol):
    """One collection of documents that carry a `revision`."""

    async def find(self, ids: Sequence[str]) -> list[Document]:
        """Return those of the documents that exist, in any order, in one round trip."""

    async def query(
        self, conditions: Mapping[str, Any], *, sort: str = "_id", limit: int = 0, fields: Sequence[str] = ()
    ) -> list[Document]:
        """Return the documents that meet the conditions, in order; `fields` limits what comes along."""

    async def replace(self, writes: Sequence[Write], *, ordered: bool = False) -> frozenset[str]:
        """Write all that can be written, in one round trip; return the ids that somebody else wrote first.

        `ordered`: write one after the other and end at the first that somebody else wrote first; the ids of all that
        were not written are returned.
        """

    async def draw(self, name: str, amount: int, *, start: int = 0) -> int:
        """Raise a counter by `amount`; return its value before. A counter begins at `start`."""

    async def index(self, field: str, *, sparse: bool = False, expire_seconds: int | None = None) -> None:
        """Make sure an index on one field exists; `expire_seconds` after the time in it a document goes by itself."""


class Database:
    """The documents of one service."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - either driver's client
        self._client = client
        self._database = client.get_database(
            name,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
            write_concern=WriteConcern(w="majority", j=True),
        )

    def documents(self, collection: str) -> Documents:
        """Return one collection."""
        return MongoDocuments(self._database[collection])

    def collection(self, name: str) -> Any:  # noqa: ANN401 - either driver's
        """Return the driver's own collection, for modules of `shared` that know the driver."""
        return self._database[name]

    async def make_collection(self, name: str, **options: Any) -> None:  # noqa: ANN401 - the driver's
        """Make a collection with options of the server, for modules of `shared` that know the driver."""
        await self._database.create_collection(name, **options)

    async def ping(self) -> None:
        """Ask the server whether it is there.

        Raises:
            TransientError: if it is not.
        """
        try:
            await self._database.command("ping")
        except PyMongoError as error:
            raise TransientError(f"MongoDB does not answer: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections."""
        closed = self._client.close()
        if inspect.isawaitable(closed):
            await closed


def connect(
    uri: str,
    database: str,
    *,
    driver: Driver = "motor",
    timeout_ms: int = 15_000,
    listeners: Sequence[CommandListener] = (),
) -> Database:
    """Return the database of a service; nothing is sent before the first use."""
    client_class: Any = AsyncIOMotorClient if driver == "motor" else AsyncMongoClient
    client = client_class(
        uri,
        appname=database,
        timeoutMS=timeout_ms,
        serverSelectionTimeoutMS=min(timeout_ms, 3_000),
        connectTimeoutMS=2_000,
        event_listeners=list(listeners),
    )
    return Database(client, database)


class MongoDocuments:
    """`Documents` in a collection of either driver: their calls are the same."""

    def __init__(self, collection: Any) -> None:  # noqa: ANN401 - either driver's collection
        self._collection = collection

    async def find(self, ids: Sequence[str]) -> list[Document]:
        """Return those of the documents that exist, in any order, in one round trip."""
        if not ids:
            return []
        cursor = self._collection.find({"_id": {"$in": list(ids)}}, batch_size=len(ids) + 1)
        return list(await answered(cursor.to_list(None)))

    async def query(
        self, conditions: Mapping[str, Any], *, sort: str = "_id", limit: int = 0, fields: Sequence[str] = ()
    ) -> list[Document]:
        """Return the documents that meet the conditions, in order; `fields` limits what comes along."""
        cursor = self._collection.find(dict(conditions), dict.fromkeys(fields, 1) or None)
        direction = -1 if sort.startswith("-") else 1
        return list(await answered(cursor.sort(sort.lstrip("-"), direction).limit(limit).to_list(None)))

    async def replace(self, writes: Sequence[Write], *, ordered: bool = False) -> frozenset[str]:
        """Write all that can be written, in one round trip; return the ids of what was not."""
        if not writes:
            return frozenset()
        requests = [ReplaceOne({"_id": w.id, "revision": w.revision}, w.document, upsert=True) for w in writes]
        try:
            await self._collection.bulk_write(requests, ordered=ordered)
        except BulkWriteError as error:
            return _conflicts(error, writes, ordered=ordered)
        except PyMongoError as error:
            raise passing(error) from error
        return frozenset()

    async def draw(self, name: str, amount: int, *, start: int = 0) -> int:
        """Raise a counter by `amount`; return its value before. A counter begins at `start`."""
        counter = await answered(
            self._collection.find_one_and_update(
                {"_id": name},
                [{"$set": {"value": {"$add": [{"$ifNull": ["$value", start]}, amount]}}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        )
        return int(counter["value"]) - amount

    async def index(self, field: str, *, sparse: bool = False, expire_seconds: int | None = None) -> None:
        """Make sure an index on one field exists; `expire_seconds` after the time in it a document goes by itself."""
        expiring = {} if expire_seconds is None else {"expireAfterSeconds": expire_seconds}
        await answered(self._collection.create_index(field, sparse=sparse, **expiring))


async def answered(call: Any) -> Any:  # noqa: ANN401 - whatever the driver answers
    """Return a call's answer.

    Raises:
        TransientError: if it failed and may succeed when tried again.
    """
    try:
        return await call
    except PyMongoError as error:
        raise passing(error) from error


def passing(error: PyMongoError) -> Exception:
    """Return what to raise for a failure of the driver: it may pass, or it is ours."""
    if isinstance(error, OperationFailure) and error.code in OUR_FAULT:
        return error
    return TransientError(f"MongoDB failed: {type(error).__name__}")


def _conflicts(error: BulkWriteError, writes: Sequence[Write], *, ordered: bool) -> frozenset[str]:
    details = error.details or {}
    failures = details.get("writeErrors", [])
    if any(failure.get("code") in OUR_FAULT for failure in failures):
        raise error
    if details.get("writeConcernErrors") or any(failure.get("code") != DUPLICATE_KEY for failure in failures):
        raise TransientError("MongoDB failed in the middle of a batch") from error
    if ordered:
        return frozenset(write.id for write in writes[failures[0]["index"] :])
    return frozenset(writes[failure["index"]].id for failure in failures)
