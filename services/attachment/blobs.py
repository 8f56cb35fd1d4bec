"""Where bytes are kept: a small port, MongoDB's GridFS behind it by default, and the same bytes once per tenant."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from services.attachment.domain.upload import Step
from shared.atomic_storage import AtomicDocuments
from shared.blob_storage import GridFiles


class BlobStore(Protocol):
    """Where whole files are kept, each under a key that is never used again."""

    async def keep(self, key: str, size: int) -> None:
        """Keep a file whose bytes all came in under this key; a repetition changes nothing."""

    async def has(self, key: str, size: int) -> bool:
        """Tell whether all bytes of a file are there."""

    def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""

    async def delete(self, key: str) -> None:
        """Forget a file; a repetition changes nothing."""


class GridStore:
    """Files stay where they came in."""

    def __init__(self, files: GridFiles) -> None:
        self._files = files

    async def keep(self, key: str, size: int) -> None:
        """Keep a file."""
        await self._files.finish(key, size)

    async def has(self, key: str, size: int) -> bool:
        """Tell whether all bytes of a file are there."""
        return await self._files.has(key, size)

    def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""
        return self._files.read(key, start, stop)

    async def delete(self, key: str) -> None:
        """Forget a file."""
        await self._files.delete(key)


class Blob(NamedTuple):
    """Bytes that are kept once for a tenant."""

    key: str
    size: int


def blob_id(tenant_id: str, sha256: str) -> str:
    """Return the id of bytes within a tenant."""
    return f"{tenant_id}/{sha256}"


class Blobs:
    """The catalogue: what bytes are kept under which key, and which files refer to them.

    A key belongs to one upload and is written down before its first byte, here or with the upload; a key is forgotten
    only after it is noted in `trash`. So whatever dies, each key is known somewhere, and the sweep ends what was begun.
    """

    def __init__(
        self,
        store: BlobStore,
        blobs: AtomicDocuments,
        trash: AtomicDocuments,
        uploads: AtomicDocuments,
        pictures: AtomicDocuments,
        *,
        settle: timedelta,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._trash = trash
        self._uploads = uploads
        self._pictures = pictures
        self._settle = settle

    async def prepare(self) -> None:
        """Make sure of indexes."""
        await self._blobs.index("tenant_id", "size")
        await self._blobs.index("refs")
        await self._blobs.index("empty_since")
        await self._blobs.index("key")

    async def keep(self, tenant_id: str, sha256: str, size: int, key: str, file_id: str) -> None:
        """Have a file refer to its bytes, which came in under `key`: kept now, unless they were kept before."""
        known = await self.find(tenant_id, sha256)
        if known is None or not await self._store.has(known.key, size):
            await self._store.keep(key, size)
            if known is not None:  # a restore did not bring these back
                await self._blobs.change({"_id": blob_id(tenant_id, sha256), "key": known.key}, set_={"key": key})
        fresh = {"tenant_id": tenant_id, "sha256": sha256, "size": size, "key": key, "schema": 1}
        held = await self._blobs.change(
            {"_id": blob_id(tenant_id, sha256)},
            include={"refs": file_id},
            set_={"empty_since": None},
            otherwise=fresh,
        )
        if held is None or held["key"] == key:
            if known is not None:  # what was there went in between
                await self._store.keep(key, size)
            return
        await self._throw_away(key)

    async def mend(self, tenant_id: str, sha256: str, size: int, file_id: str) -> bool:
        """Have a file refer to its bytes again, after a restore; tell whether they are there."""
        known = await self.find(tenant_id, sha256)
        if known is not None and await self._store.has(known.key, size):
            same = {"_id": blob_id(tenant_id, sha256), "key": known.key}
            await self._blobs.change(same, include={"refs": file_id}, set_={"empty_since": None})
            return True
        if not await self._store.has(file_id, size):
            return False
        await self.keep(tenant_id, sha256, size, file_id, file_id)
        return True

    async def find(self, tenant_id: str, sha256: str) -> Blob | None:
        """Return where bytes are kept."""
        found = await self._blobs.get(blob_id(tenant_id, sha256))
        return Blob(found["key"], found["size"]) if found else None

    def read(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""
        return self._store.read(blob.key, start, stop)

    async def used(self, tenant_id: str) -> int:
        """Return how many bytes are kept for a tenant."""
        return await self._blobs.total({"tenant_id": tenant_id}, "size")

    async def release(self, file_ids: Sequence[str]) -> None:
        """Have files that ended refer to nothing."""
        await self._blobs.drop_from_lists("refs", file_ids)

    async def discard(self, key: str) -> None:
        """Forget what came in under a key and was never kept."""
        await self._throw_away(key)

    async def note(self, key: str) -> None:
        """Have the sweep look whether anything refers to a key."""
        await self._note(key, datetime.now(UTC))

    async def sweep(self, now: datetime | None = None) -> int:
        """Forget bytes that no file refers to, and end what a crash left half done; return how many keys went."""
        now = now or datetime.now(UTC)
        gone = 0
        for blob in await self._blobs.find({"refs": [], "empty_since": None}, limit=1000):
            await self._blobs.change({"_id": blob["_id"], "refs": []}, set_={"empty_since": now})
        for blob in await self._blobs.find({"refs": [], "empty_since": {"$lte": now - self._settle}}, limit=1000):
            await self._note(blob["key"], now)
            # Whoever came to refer to it in between keeps it: its note is found idle below.
            if await self._blobs.take({"_id": blob["_id"], "key": blob["key"], "refs": []}):
                await self._pictures.take({"_id": blob["_id"]})
                await self._end(blob["key"])
                gone += 1
        for note in await self._trash.find({"at": {"$lte": now - self._settle}}, limit=1000):
            if await self._is_needed(note["_id"]):
                await self._trash.take({"_id": note["_id"]})
            else:
                await self._end(note["_id"])
                gone += 1
        return gone

    async def note_unknown(self, keys: Collection[str]) -> None:
        """Have the sweep forget those of the keys that nothing refers to."""
        for key in keys:
            if not await self._is_needed(key):
                await self.note(key)

    async def _is_needed(self, key: str) -> bool:
        # In this order: an upload that is done by now had its bytes kept before.
        upload = await self._uploads.get(key)
        if upload is not None and upload["step"] != Step.DONE:
            return True
        return bool(await self._blobs.find({"key": key}, limit=1))

    async def _throw_away(self, key: str) -> None:
        """Forget a key; its note stays a while, for a writer that was cut off may still send a chunk."""
        await self._note(key, datetime.now(UTC))
        await self._store.delete(key)

    async def _note(self, key: str, now: datetime) -> None:
        await self._trash.change({"_id": key}, set_={"at": now}, otherwise={"schema": 1})

    async def _end(self, key: str) -> None:
        await self._store.delete(key)
        await self._trash.take({"_id": key})
