"""Takes files in: uploads that may be cut off anywhere and go on, and what becomes of them when they are whole.

There are no locks. Whoever goes on with an upload takes it over (`epoch`), if it knows how far it has come; what the
one before still sends is refused. So a dropped connection holds nothing up, and of two clients one goes on.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from services.attachment.blobs import Blobs
from services.attachment.domain.upload import Step, Upload
from services.attachment.hashes import Hashes
from services.attachment.refusals import Refusal, not_found
from services.attachment.sender import Sender, registration
from services.attachment.sniff import HEAD_BYTES, is_allowed, media_type
from services.attachment.store import read_upload, upload_document
from services.attachment.tenants import Limits
from services.attachment.writer import IN_FLIGHT_OF_ALL, Writer
from shared.atomic_storage import AtomicDocuments
from shared.blob_storage import CHUNK_BYTES, GridFiles
from shared.contracts.case import Actor
from shared.contracts.ids import derived_id, fresh_id
from shared.errors import Conflict

log = structlog.get_logger()
UNDER_WAY: Final = (Step.RECEIVING.value, Step.COMPLETE.value)
#: A whole upload is remembered so long, for a client that did not hear the answer.
REMEMBERED: Final = timedelta(days=1)


class Receiving:
    """The uploads of all tenants."""

    def __init__(
        self,
        uploads: AtomicDocuments,
        files: GridFiles,
        blobs: Blobs,
        sender: Sender,
        limits: Limits,
        keep_for: timedelta,
    ) -> None:
        self._uploads = uploads
        self._files = files
        self._blobs = blobs
        self._sender = sender
        self._limits = limits
        self._keep_for = keep_for
        self._room = asyncio.Semaphore(IN_FLIGHT_OF_ALL)
        self._hashes = Hashes()
        self._finishing: dict[str, asyncio.Task[Upload]] = {}

    async def start(self) -> None:
        """Make sure of collections and indexes."""
        await self._files.prepare()
        await self._blobs.prepare()
        await self._uploads.index("tenant_id", "step", "reserved")
        await self._uploads.index("expires_at")

    async def stop(self) -> None:
        """Let files that are whole become known."""
        await asyncio.gather(*self._finishing.values(), return_exceptions=True)

    async def begin(
        self, owner: Actor, name: str, declared: str | None, length: int | None, *, at_most: int | None = None
    ) -> Upload:
        """Begin an upload; its room is taken from now on: `at_most` so much, if its length is not known.

        Raises:
            Refusal: `too_large` or `quota_exceeded`.
        """
        bounds = await self._limits.of(owner.tenant_id)
        if length is not None and length > bounds.file_bytes_max:
            raise Refusal("too_large", f"A file has at most {bounds.file_bytes_max} bytes.")
        upload = Upload(
            id=fresh_id(),
            owner=owner,
            name=name,
            declared=declared,
            length=length,
            reserved=min(bounds.file_bytes_max, at_most or bounds.file_bytes_max) if length is None else length,
            expires_at=datetime.now(UTC) + self._keep_for,
        )
        await self._uploads.insert(upload_document(upload))
        # Looked at after its own room was taken: of two at once, at least one sees the other.
        coming = await self._uploads.total({"tenant_id": owner.tenant_id, "step": {"$in": UNDER_WAY}}, "reserved")
        used = await self._blobs.used(owner.tenant_id)
        if used + coming > bounds.quota_bytes:
            await self._uploads.take({"_id": upload.id})
            raise Refusal("quota_exceeded", f"Files of a tenant have at most {bounds.quota_bytes} bytes together.")
        return upload

    async def find(self, owner: Actor, upload_id: str) -> Upload:
        """Return an upload of somebody, or refuse: `not_found`."""
        found = await self._uploads.get(upload_id)
        upload = read_upload(found) if found else None
        if upload is None or (upload.owner.id, upload.owner.tenant_id) != (owner.id, owner.tenant_id):
            raise not_found()
        return upload

    async def receive(
        self,
        owner: Actor,
        upload_id: str,
        offset: int,
        body: AsyncIterator[bytes],
        checksum: tuple[str, bytes] | None = None,
        *,
        ends: bool = False,
    ) -> Upload:
        """Take bytes that follow the first `offset` ones; return the upload after them, known if it is whole.

        What came before a connection broke is kept; with a checksum, all or nothing. An upload of unknown length
        `ends` with them.

        Raises:
            Refusal: `offset_conflict`, `too_large`, `checksum_mismatch`, `upload_busy` (another goes on
                with it), or what `finish` raises.
        """
        own = {"owner.id": owner.id, "owner.tenant_id": owner.tenant_id}
        taken = await self._uploads.change(
            {"_id": upload_id, **own, "step": Step.RECEIVING, "offset": offset},
            add={"epoch": 1},
            set_={"expires_at": datetime.now(UTC) + self._keep_for},
        )
        upload = read_upload(taken) if taken else await self.find(owner, upload_id)
        if upload.whole and upload.offset == offset:
            return await self.finish(upload)
        if taken is None:
            raise Refusal("offset_conflict", f"The upload has {upload.offset} bytes.")
        try:
            after = await self._write(upload, body, checksum, ends=ends)
        except Conflict as error:
            raise Refusal("upload_busy", "Another request goes on with this upload.") from error
        return await self.finish(after) if after.whole else after

    async def finish(self, upload: Upload) -> Upload:
        """Make a file whose bytes are all there known; return when whatever is said of it later finds it.

        Raises:
            Refusal: `unsupported_media_type`: it is gone then.
            TransientError: it will be tried again, here or by the sweep.
        """
        if upload.step is Step.DONE:
            return upload
        task = self._finishing.get(upload.id)
        if task is None:
            task = self._finishing[upload.id] = asyncio.create_task(self._finish(upload))
            task.add_done_callback(lambda _: self._finishing.pop(upload.id, None))
        return await asyncio.shield(task)

    async def cancel(self, owner: Actor, upload_id: str) -> None:
        """Throw an upload away; `not_found` if there is none, `upload_busy` if it is whole by now."""
        await self.find(owner, upload_id)
        if not await self.drop(upload_id):
            raise Refusal("upload_busy", "The upload is whole; remove the file.")

    async def drop(self, upload_id: str, expired_at: datetime | None = None) -> bool:
        """Forget an upload that is not whole, and its bytes; tell whether it was there."""
        conditions: dict[str, Any] = {"_id": upload_id, "step": Step.RECEIVING}
        if expired_at is not None:
            conditions["expires_at"] = {"$lte": expired_at}
        # Its key is noted before the upload goes, so that the sweep finds what a crash leaves.
        await self._blobs.note(upload_id)
        if await self._uploads.take(conditions) is None:
            return False
        self._hashes.forget(upload_id)
        await self._blobs.discard(upload_id)
        return True

    async def sweep(self, now: datetime) -> int:
        """Make known what a crash left whole, forget what is too old; return how many."""
        settled = 0
        for found in await self._uploads.find({"step": Step.COMPLETE}, limit=100):
            await self.finish(read_upload(found))
            settled += 1
        for found in await self._uploads.find({"expires_at": {"$lte": now}}, sort="expires_at", limit=100):
            if found["step"] == Step.DONE:
                await self._uploads.take({"_id": found["_id"], "step": Step.DONE})
            elif found["step"] == Step.RECEIVING:
                settled += await self.drop(found["_id"], now)
        return settled

    async def _write(
        self, upload: Upload, body: AsyncIterator[bytes], checksum: tuple[str, bytes] | None, *, ends: bool
    ) -> Upload:
        hasher = self._hashes.take(upload.id, upload.offset)
        digest = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None
        writer = Writer(
            self._files,
            upload.id,
            offset=upload.offset,
            epoch=upload.epoch,
            head=await self._tail(upload),
            hasher=hasher.copy() if hasher and checksum else hasher,
            commit=None if checksum else lambda offset: self._commit(upload, {"offset": offset}),
            room=self._room,
        )
        whole, after = False, upload
        try:
            async for data in body:
                if writer.offset + len(data) > upload.limit:
                    raise Refusal("too_large", f"The upload has {upload.limit} bytes.")
                if digest is not None:
                    digest.update(data)
                await writer.take(data)
            whole = True
        finally:
            try:
                if whole and checksum and digest and digest.digest() != checksum[1]:
                    raise Refusal("checksum_mismatch", "What came is not what was sent; send it again.")
                if whole or not checksum:
                    await writer.flush()
                    length = None if not whole else writer.offset if ends else upload.length
                    after = await self._commit(upload, await self._reached(upload, writer, length))
            finally:
                await writer.abandon()
        return after

    async def _reached(self, upload: Upload, writer: Writer, length: int | None) -> dict[str, Any]:
        """Return what is to be noted of an upload whose bytes are stored: also what it is, if they are all there."""
        reached: dict[str, Any] = {"offset": writer.offset}
        if upload.length is None and length is not None:
            reached |= {"length": length, "reserved": length}
        if writer.hasher is None:
            return reached
        if writer.offset == length:
            type_ = await self._type(upload, length, writer.first)
            if await self._is_taken(upload, type_):
                return reached | {"step": Step.COMPLETE, "sha256": writer.hasher.hexdigest(), "media_type": type_}
        self._hashes.keep(upload.id, writer.offset, writer.hasher)
        return reached

    async def _tail(self, upload: Upload) -> bytes:
        """Return what is stored of the chunk that goes on."""
        start = upload.offset - upload.offset % CHUNK_BYTES
        return await self._read(upload, start, upload.offset) if start < upload.offset else b""

    async def _read(self, upload: Upload, start: int, stop: int) -> bytes:
        return b"".join([part async for part in self._files.read(upload.id, start, stop)])

    async def _commit(self, upload: Upload, reached: dict[str, Any]) -> Upload:
        changed = await self._uploads.change({"_id": upload.id, "epoch": upload.epoch}, set_=reached)
        if changed is None:
            if await self._uploads.get(upload.id) is None:  # thrown away meanwhile
                await self._blobs.discard(upload.id)
            raise Conflict(frozenset({upload.id}))
        return read_upload(changed)

    async def _type(self, upload: Upload, size: int, head: bytes = b"") -> str:
        """Return what a file is whose bytes are all stored, of which the first may be known."""
        return media_type(head or await self._read(upload, 0, min(HEAD_BYTES, size)), size, upload.declared)

    async def _is_taken(self, upload: Upload, type_: str) -> bool:
        bounds = await self._limits.of(upload.owner.tenant_id)
        return is_allowed(type_, bounds.allowed_types, bounds.refused_types)

    async def _finish(self, upload: Upload) -> Upload:
        if upload.step is Step.RECEIVING:
            upload = await self._completed(upload)
        size, tenant_id, type_ = upload.offset, upload.owner.tenant_id, upload.media_type
        await self._blobs.keep(tenant_id, upload.sha256 or "", size, upload.id, upload.id)
        await self._sender.send("register", registration(upload), id_=derived_id("register", upload.id))
        done = await self._uploads.change(
            {"_id": upload.id}, set_={"step": Step.DONE, "expires_at": datetime.now(UTC) + REMEMBERED}
        )
        log.info("file_received", file_id=upload.id, tenant_id=tenant_id, size=size, media_type=type_)
        return read_upload(done) if done else upload

    async def _completed(self, upload: Upload) -> Upload:
        sha256 = await self._digest(upload)
        type_ = await self._type(upload, upload.offset)
        if not await self._is_taken(upload, type_):
            await self.drop(upload.id)
            raise Refusal("unsupported_media_type", f"Files of type {type_} are not taken.")
        there = {"_id": upload.id, "offset": upload.offset, "length": upload.offset}
        known = {"step": Step.COMPLETE, "sha256": sha256, "media_type": type_}
        completed = await self._uploads.change(there, set_=known)
        if completed is None:
            raise not_found()
        return read_upload(completed)

    async def _digest(self, upload: Upload) -> str:
        """Return the digest of all bytes: followed as they came, or read again if a process died in between."""
        hasher = self._hashes.take(upload.id, upload.offset)
        if hasher is None:
            hasher = hashlib.sha256()
            async for part in self._files.read(upload.id, 0, upload.offset):
                hasher.update(part)
        digest: str = hasher.hexdigest()
        return digest
