"""Bytes in MongoDB in the form of GridFS, written piece by piece by whoever was let in last.

A file is chunks of one size and, once it is whole, an entry that tools of GridFS know. A chunk may be written again, as
long as the file grows: by its writer, and by a later one (`epoch`); what an earlier one still sends is refused.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from pymongo.errors import BulkWriteError, CollectionInvalid, DuplicateKeyError, PyMongoError

from shared.errors import Conflict, TransientError
from shared.storage import DUPLICATE_KEY, OUR_FAULT, Database, answered, passing

CHUNK_BYTES: Final = 512 * 1024
#: A read asks for so many at a time, and for as many again twice while the first are on their way to who reads.
CHUNKS_AT_ONCE: Final = 2
AHEAD: Final = 2
#: What is stored is mostly packed already: pictures, documents, archives.
UNPACKED: Final = {"wiredTiger": {"configString": "block_compressor=none"}}


class GridFiles:
    """Files by key, in the collections `<name>.chunks` and `<name>.files`."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._chunks = database.collection(f"{name}.chunks")
        self._files = database.collection(f"{name}.files")

    async def prepare(self) -> None:
        """Make sure that the collections and their index exist."""
        try:
            await self._database.make_collection(f"{self._name}.chunks", storageEngine=UNPACKED)
        except CollectionInvalid:
            pass
        except PyMongoError as error:
            raise passing(error) from error
        await answered(self._chunks.create_index([("files_id", 1), ("n", 1)], unique=True))

    async def write(self, key: str, first: int, chunks: Sequence[bytes], *, epoch: int) -> None:
        """Write chunks that follow one another, from the number `first` on.

        Raises:
            Conflict: if a later writer has written one of them.
            TransientError: some of them may be written.
        """
        documents = [{"files_id": key, "n": n, "data": data, "epoch": epoch} for n, data in enumerate(chunks, first)]
        try:
            await self._chunks.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            codes = {failure.get("code") for failure in details.get("writeErrors", [])}
            if codes & OUR_FAULT:
                raise
            if details.get("writeConcernErrors") or codes != {DUPLICATE_KEY}:
                raise TransientError("MongoDB failed in the middle of some chunks") from error
            # They were written before: by who was cut off, or by a later writer.
            for failure in details["writeErrors"]:
                await self._write_again(key, first + failure["index"], chunks[failure["index"]], epoch)
        except PyMongoError as error:
            raise passing(error) from error

    async def _write_again(self, key: str, n: int, data: bytes, epoch: int) -> None:
        try:
            await self._chunks.update_one(
                {"files_id": key, "n": n, "epoch": {"$lte": epoch}},
                {"$set": {"data": data, "epoch": epoch}},
                upsert=True,
            )
        except DuplicateKeyError as error:
            raise Conflict(frozenset({key})) from error
        except PyMongoError as error:
            raise passing(error) from error

    async def finish(self, key: str, size: int) -> None:
        """Note that a file is whole."""
        entry: dict[str, Any] = {"length": size, "chunkSize": CHUNK_BYTES, "uploadDate": datetime.now(UTC)}
        await answered(self._files.update_one({"_id": key}, {"$setOnInsert": entry}, upsert=True))

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`.

        Raises:
            TransientError: if they are not all there.
        """
        place, last = start, (stop - 1) // CHUNK_BYTES
        firsts = iter(range(start // CHUNK_BYTES, last + 1, CHUNKS_AT_ONCE))
        ahead = deque(self._asked(key, first, last) for first in islice(firsts, AHEAD))
        try:
            while ahead:
                chunks = await ahead[0]
                ahead.popleft()
                ahead.extend(self._asked(key, first, last) for first in islice(firsts, 1))
                for chunk in chunks:
                    begins, data = chunk["n"] * CHUNK_BYTES, chunk["data"]
                    part = data[max(place - begins, 0) : stop - begins]
                    if begins > place or not part:
                        raise TransientError(f"{key} ends at {place} of {stop}")
                    place += len(part)
                    yield part
            if place < stop:
                raise TransientError(f"{key} ends at {place} of {stop}")
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    def _asked(self, key: str, first: int, last: int) -> asyncio.Task[list[dict[str, Any]]]:
        return asyncio.create_task(self._some(key, first, min(last, first + CHUNKS_AT_ONCE - 1)))

    async def _some(self, key: str, first: int, until: int) -> list[dict[str, Any]]:
        """Return some chunks, in order, while the ones before are on their way to who reads."""
        cursor = self._chunks.find({"files_id": key, "n": {"$gte": first, "$lte": until}}, {"data": 1, "n": 1})
        return list(await answered(cursor.sort("n", 1).to_list(None)))

    async def has(self, key: str, size: int) -> bool:
        """Tell whether all bytes of a file are there."""
        count = -(-size // CHUNK_BYTES)
        if not count:
            return True
        chunks, last = {"files_id": key, "n": {"$lt": count}}, {"files_id": key, "n": count - 1}
        end = await answered(self._chunks.find_one(last, {"data": 1}))
        if end is None or len(end["data"]) != size - (count - 1) * CHUNK_BYTES:
            return False
        return bool(await answered(self._chunks.count_documents(chunks)) == count)

    async def delete(self, key: str) -> None:
        """Forget a file, whole or not."""
        await answered(self._files.delete_one({"_id": key}))
        await answered(self._chunks.delete_many({"files_id": key}))

    async def keys(self) -> set[str]:
        """Return the keys that chunks exist of."""
        return set(await answered(self._chunks.distinct("files_id")))
