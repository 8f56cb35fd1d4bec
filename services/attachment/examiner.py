"""Looks through files as they come: a scanner says what it found, and a small picture is made of what has one."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from services.attachment import store, thumbnails
from services.attachment.blobs import Blob, Blobs, blob_id
from services.attachment.clamd import Clamd, Verdict
from services.attachment.domain import Attachment
from services.attachment.handlers import system
from services.attachment.sender import Sender
from shared.atomic_storage import AtomicDocuments
from shared.contracts.attachments import RecordScan
from shared.contracts.ids import derived_id
from shared.contracts.words import Scan
from shared.errors import TransientError
from shared.storage import Documents

log = structlog.get_logger()
AT_ONCE: Final = 20
SIDE_BY_SIDE: Final = 2
#: What was told is not told again until it had time to be heard.
HEARD_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 300.0


class Examiner:
    """Looks through the files that `owns` says are this process's; without a scanner all are unscanned."""

    def __init__(
        self,
        files: Documents,
        blobs: Blobs,
        pictures: AtomicDocuments,
        sender: Sender,
        scanner: Clamd | None,
        *,
        owns: Callable[[str], bool],
        interval_seconds: float,
        makes_pictures: bool,
    ) -> None:
        self._files = files
        self._blobs = blobs
        self._pictures = pictures
        self._sender = sender
        self._scanner = scanner
        self._owns = owns
        self._interval_seconds = interval_seconds
        self._makes_pictures = makes_pictures
        self._told: dict[str, float] = {}
        self._again_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        await self._files.index("examine", sparse=True)
        self._task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> int:
        """Look through what waits; return how many files were."""
        now = time.monotonic()
        self._told = {id_: at for id_, at in self._told.items() if now - at < HEARD_SECONDS}
        found = await self._waiting(Scan.PENDING)
        if not found and self._scanner is not None and now >= self._again_at:
            found = await self._waiting(Scan.UNSCANNED)
            self._again_at = now + (0 if found else AGAIN_SECONDS)
        for place in range(0, len(found), SIDE_BY_SIDE):
            await asyncio.gather(*(self._examine(file) for file in found[place : place + SIDE_BY_SIDE]))
        return len(found)

    async def _waiting(self, scan: Scan) -> list[Attachment]:
        known = {"examine": scan.value, "_id": {"$nin": list(self._told)}}
        found = await self._files.query(known, sort="_id", limit=AT_ONCE * 12)
        return [store.from_document(each) for each in found if self._owns(each["_id"])][:AT_ONCE]

    async def _examine(self, file: Attachment) -> None:
        blob = await self._blobs.find(file.tenant_id, file.sha256)
        if blob is None:
            return
        verdict = await self._scanned(blob)
        has_picture = file.thumbnail or (verdict.scan is not Scan.INFECTED and await self._has_picture(file, blob))
        body = RecordScan(
            attachment_id=file.id,
            tenant_id=file.tenant_id,
            actor=system(file.tenant_id),
            sha256=file.sha256,
            scan=verdict.scan,
            finding=verdict.finding,
            scanner=verdict.scanner,
            thumbnail=has_picture,
        )
        id_ = derived_id("record_scan", file.id, verdict.scan, verdict.scanner, has_picture)
        await self._sender.send("record_scan", body, id_=id_)
        self._told[file.id] = time.monotonic()
        if verdict.scan is Scan.INFECTED:
            log.warning("file_infected", file_id=file.id, tenant_id=file.tenant_id, finding=verdict.finding)

    async def _scanned(self, blob: Blob) -> Verdict:
        if self._scanner is None:
            return Verdict(Scan.UNSCANNED)
        return await self._scanner.scan(self._blobs.read(blob, 0, blob.size))

    async def _has_picture(self, file: Attachment, blob: Blob) -> bool:
        if not self._makes_pictures:
            return False
        id_ = blob_id(file.tenant_id, file.sha256)
        if await self._pictures.get(id_) is not None:
            return True
        made = await thumbnails.make(file.media_type, blob.size, self._blobs.read(blob, 0, blob.size))
        if made is None:
            return False
        kept = {"data": made, "media_type": thumbnails.MEDIA_TYPE, "made_at": datetime.now(UTC)}
        await self._pictures.change({"_id": id_}, set_=kept, otherwise={"schema": store.SCHEMA})
        return True

    async def _look_on(self) -> None:
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.warning("files_will_be_looked_through_later", reason=str(error))
                await asyncio.sleep(5 * self._interval_seconds)
            except Exception as error:
                log.exception("examination_failed", error=type(error).__name__)
            await asyncio.sleep(self._interval_seconds)
