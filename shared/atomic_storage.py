"""Single documents in MongoDB, each changed in one step if it still is what is expected: no lock, no transaction.

All writes are majority and journaled, all reads are majority reads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from shared.storage import Database, Document, answered, passing

Conditions = Mapping[str, Any]


class AtomicDocuments:
    """One collection whose documents are changed one by one, by condition."""

    def __init__(self, database: Database, name: str) -> None:
        self._collection = database.collection(name)

    async def insert(self, document: Document) -> bool:
        """Write a new document; tell whether there was none of this id."""
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            return False
        except PyMongoError as error:
            raise passing(error) from error
        return True

    async def get(self, id_: str) -> Document | None:
        """Return a document by its id."""
        found: Document | None = await answered(self._collection.find_one({"_id": id_}))
        return found

    async def find(self, conditions: Conditions, *, sort: str = "_id", limit: int = 0) -> list[Document]:
        """Return the documents that meet the conditions, in order."""
        cursor = self._collection.find(dict(conditions)).sort(sort, 1).limit(limit)
        return list(await answered(cursor.to_list(None)))

    async def change(
        self,
        conditions: Conditions,
        *,
        set_: Mapping[str, Any] | None = None,
        add: Mapping[str, int] | None = None,
        include: Mapping[str, Any] | None = None,
        otherwise: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """Change the one document that meets the conditions and return it; nothing if there is none.

        `include` puts values into lists that do not have them yet. With `otherwise`, a document that is not there is
        made of it, and of the change.
        """
        parts = {"$set": set_, "$inc": add, "$addToSet": include, "$setOnInsert": otherwise}
        update = {name: dict(part) for name, part in parts.items() if part}
        upsert = otherwise is not None
        for again in (True, False):
            try:
                changed: Document | None = await self._collection.find_one_and_update(
                    dict(conditions), update, upsert=upsert, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError as error:  # somebody else made it just now
                if not again:
                    raise passing(error) from error
            except PyMongoError as error:
                raise passing(error) from error
            else:
                return changed
        return None

    async def drop_from_lists(self, field: str, values: Sequence[str]) -> None:
        """Take values out of a list of all documents that have one of them."""
        wanted = {"$in": list(values)}
        await answered(self._collection.update_many({field: wanted}, {"$pull": {field: wanted}}))

    async def take(self, conditions: Conditions) -> Document | None:
        """Delete the one document that meets the conditions and return it; nothing if there is none."""
        taken: Document | None = await answered(self._collection.find_one_and_delete(dict(conditions)))
        return taken

    async def drop(self, conditions: Conditions) -> int:
        """Delete all documents that meet the conditions; return how many."""
        return int((await answered(self._collection.delete_many(dict(conditions)))).deleted_count)

    async def total(self, conditions: Conditions, field: str) -> int:
        """Return the sum of a number in all documents that meet the conditions."""
        stages = [{"$match": dict(conditions)}, {"$group": {"_id": None, "total": {"$sum": f"${field}"}}}]
        found = await answered(self._collection.aggregate(stages).to_list(None))
        return int(found[0]["total"]) if found else 0

    async def index(self, *fields: str, expire_seconds: int | None = None) -> None:
        """Make sure an index on some fields exists; `expire_seconds` after the time in it a document goes by itself."""
        expiring = {} if expire_seconds is None else {"expireAfterSeconds": expire_seconds}
        await answered(self._collection.create_index([(field, 1) for field in fields], **expiring))
