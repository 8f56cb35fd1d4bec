"""Work in MongoDB: documents that several processes take in turn, each change guarded by its conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from shared.errors import TransientError
from shared.storage import DUPLICATE_KEY, OUR_FAULT, answered, passing
from shared.view_storage import ViewCollection


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of the document, or of all documents (`many`), that meet the conditions.

    `least` are fields that only ever fall; `new` are set where the change makes a document (`upsert`).
    """

    conditions: Mapping[str, Any]
    sets: Mapping[str, Any] | None = None
    unsets: Sequence[str] = ()
    adds: Mapping[str, int] | None = None
    least: Mapping[str, Any] | None = None
    new: Mapping[str, Any] | None = None
    upsert: bool = False
    many: bool = False

    def request(self) -> UpdateOne | UpdateMany:
        """Return it in the driver's words."""
        parts = {
            "$set": self.sets,
            "$unset": dict.fromkeys(self.unsets, ""),
            "$inc": self.adds,
            "$min": self.least,
            "$setOnInsert": self.new,
        }
        update = {operator: dict(fields) for operator, fields in parts.items() if fields}
        if self.many:
            return UpdateMany(dict(self.conditions), update)
        return UpdateOne(dict(self.conditions), update, upsert=self.upsert)


class WorkCollection(ViewCollection):
    """One collection of work to do."""

    async def change(self, changes: Sequence[Change]) -> int:
        """Make changes in one round trip; return how many documents met their conditions, those made included.

        Raises:
            TransientError: if the store is away; what was changed is then not known.
        """
        if not changes:
            return 0
        try:
            done = await self._collection.bulk_write([change.request() for change in changes], ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            codes = {failure.get("code") for failure in details.get("writeErrors", [])}
            if codes & OUR_FAULT:
                raise
            # Two who make one document at once: the other made it, and what this one had to say of it is not in it.
            if codes == {DUPLICATE_KEY}:
                return await self.change([changes[failure["index"]] for failure in details["writeErrors"]])
            raise TransientError("MongoDB failed in the middle of a batch") from error
        except PyMongoError as error:
            raise passing(error) from error
        return int(done.matched_count) + len(done.upserted_ids or {})

    async def expire(self, field: str, seconds: int) -> None:
        """Have a document go by itself so long after the time in a field."""
        await answered(self._collection.create_index(field, expireAfterSeconds=seconds, sparse=True))

    async def mark(self, field: str) -> None:
        """Have documents that have a field at all be found by it; the others cost the index nothing."""
        await answered(self._collection.create_index(field, sparse=True))
