"""Brings files and their bytes together again after a restore.

A backup has the documents as of one moment, and bytes as they were read after it (or not at all, if they lie in another
store). What was said of files since is heard again from the topic; only then is it known which files there are.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from services.attachment.blobs import Blobs
from services.attachment.handlers import system
from services.attachment.sender import Sender
from shared.atomic_storage import AtomicDocuments
from shared.contracts.attachments import Remove
from shared.contracts.ids import derived_id
from shared.contracts.words import Removal
from shared.storage import Document, Documents

log = structlog.get_logger()
#: What `callout restore` leaves: `until`, how far commands to files have to be heard, by partition.
NOTE: Final = "restored"
AT_ONCE: Final = 500


class Mending:
    """Looks whether a restore was here; `heard` tells whether commands were heard as far as that."""

    def __init__(
        self,
        notes: AtomicDocuments,
        files: Documents,
        blobs: Blobs,
        sender: Sender,
        heard: Callable[[Mapping[int, int]], Awaitable[bool]],
    ) -> None:
        self._notes = notes
        self._files = files
        self._blobs = blobs
        self._sender = sender
        self._heard = heard

    async def done(self) -> bool:
        """Mend what there is to mend; until this says that it is done, nothing may be thrown away."""
        note = await self._notes.get(NOTE)
        if note is None:
            return True
        if not await self._heard({int(number): place for number, place in note["until"].items()}):
            return False
        kept = lost = 0
        last = ""
        while files := await self._alive(last):
            for file in files:
                if await self._blobs.mend(file["tenant_id"], file["sha256"], file["size"], file["_id"]):
                    kept += 1
                else:
                    await self._tell_lost(file)
                    lost += 1
            last = files[-1]["_id"]
        await self._notes.take({"_id": NOTE})
        log.warning("files_mended", kept=kept, lost=lost)
        return True

    async def _alive(self, after: str) -> list[Document]:
        wanted = {"_id": {"$gt": after}, "ended_at": {"$exists": False}}
        return await self._files.query(wanted, limit=AT_ONCE, fields=("tenant_id", "sha256", "size"))

    async def _tell_lost(self, file: Document) -> None:
        file_id, tenant_id = file["_id"], file["tenant_id"]
        log.warning("file_lost", file_id=file_id, tenant_id=tenant_id)
        body = Remove(attachment_id=file_id, tenant_id=tenant_id, actor=system(tenant_id), reason=Removal.LOST)
        await self._sender.send("remove", body, id_=derived_id("lost", file_id))
