"""Gives files out: who may have which, their bytes, their pictures, and links that hold once."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from services.attachment import store
from services.attachment.blobs import Blob, Blobs, blob_id
from services.attachment.domain import Attachment
from services.attachment.domain.upload import Step
from services.attachment.refusals import Refusal, not_found
from shared.atomic_storage import AtomicDocuments
from shared.contracts.fields import rfc3339
from shared.contracts.words import AttachmentState, NoteVisibility, Scan
from shared.errors import TransientError
from shared.passes import Pass
from shared.storage import Documents

TOKEN_BYTES: Final = 32
GONE_SECONDS: Final = 5
POLL_SECONDS: Final = 0.02


class Picture(NamedTuple):
    """A small picture of a file."""

    data: bytes
    media_type: str


class Giving:
    """The files of all tenants, for whoever may have them."""

    def __init__(
        self,
        files: Documents,
        uploads: AtomicDocuments,
        blobs: Blobs,
        links: AtomicDocuments,
        pictures: AtomicDocuments,
        *,
        give_unscanned: bool,
        link_minutes_max: int,
    ) -> None:
        self._files = files
        self._uploads = uploads
        self._blobs = blobs
        self._links = links
        self._pictures = pictures
        self._give_unscanned = give_unscanned
        self._link_minutes_max = link_minutes_max

    async def start(self) -> None:
        """Make sure that old links go by themselves."""
        await self._links.index("expires_at", expire_seconds=0)

    async def stop(self) -> None:
        """Need nothing more."""

    async def file(self, who: Pass, file_id: str) -> Attachment:
        """Return a file that somebody may see.

        Raises:
            Refusal: `not_found`.
        """
        file = await self.known(file_id)
        if file is None or not may_see(who, file):
            raise not_found()
        return file

    async def known(self, file_id: str) -> Attachment | None:
        """Return a file, whoever may see it; nothing if there is none, or no more."""
        found = await self._files.find([file_id])
        if not found:
            return await self._just_stored(file_id)
        file = store.from_document(found[0])
        return None if file.ended else file

    async def _just_stored(self, file_id: str) -> Attachment | None:
        """Return a file that was told to be stored, and whose command is still on its way."""
        found = await self._uploads.get(file_id)
        upload = store.read_upload(found) if found else None
        if upload is None or upload.step is not Step.DONE:
            return None
        return Attachment(
            id=upload.id,
            tenant_id=upload.owner.tenant_id,
            owner=upload.owner,
            name=upload.name,
            size=upload.offset,
            media_type=upload.media_type or "",
            sha256=upload.sha256 or "",
            stored_at=datetime.now(UTC),
        )

    async def gone(self, file_id: str) -> None:
        """Wait until a file that is to be removed is no longer there.

        Raises:
            TransientError: if that takes too long; it was asked for, and will be.
        """
        try:
            async with asyncio.timeout(GONE_SECONDS):
                while await self.known(file_id) is not None:  # noqa: ASYNC110 - another process may do it
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise TransientError("the file is not removed yet") from error

    async def blob(self, file: Attachment) -> Blob:
        """Return where a file's bytes are.

        Raises:
            Refusal: `quarantined` or `not_scanned`.
        """
        if file.quarantined:
            raise Refusal("quarantined", f"A scanner found {file.finding or 'something'} in it.")
        if file.scan is not Scan.CLEAN and not self._give_unscanned:
            raise Refusal("not_scanned", "No scanner has found it clean yet.")
        found = await self._blobs.find(file.tenant_id, file.sha256)
        if found is None:
            raise not_found()
        return found

    def read(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield bytes of a file."""
        return self._blobs.read(blob, start, stop)

    async def picture(self, file: Attachment) -> Picture:
        """Return the small picture of a file.

        Raises:
            Refusal: `not_found` if there is none, and what `blob` raises.
        """
        await self.blob(file)
        found = await self._pictures.get(blob_id(file.tenant_id, file.sha256)) if file.thumbnail else None
        if found is None:
            raise not_found()
        return Picture(bytes(found["data"]), found["media_type"])

    async def make_link(self, who: Pass, file: Attachment, minutes: int) -> dict[str, Any]:
        """Return a link that gives a file to whoever has it, once.

        Raises:
            Refusal: `invalid_request`, and what `blob` raises.
        """
        if not 1 <= minutes <= self._link_minutes_max:
            raise Refusal("invalid_request", f"expires_in_minutes: 1 to {self._link_minutes_max}.")
        await self.blob(file)
        token, now = secrets.token_urlsafe(TOKEN_BYTES), datetime.now(UTC)
        expires_at = now + timedelta(minutes=minutes)
        link = {
            "_id": _hashed(token),
            "schema": store.SCHEMA,
            "file_id": file.id,
            "case_id": file.case_id,
            "by": store.actor_document(who.actor),
            "expires_at": expires_at,
        }
        await self._links.insert(link)
        return {"token": token, "expires_at": rfc3339(expires_at)}

    async def redeem(self, token: str) -> Attachment:
        """Return the file of a link, which holds no more; the file has to be where it was when the link was made.

        Raises:
            Refusal: `not_found`: it is unknown, used, too old, or the file went elsewhere.
        """
        link = await self._links.take({"_id": _hashed(token), "expires_at": {"$gt": datetime.now(UTC)}})
        file = await self.known(link["file_id"]) if link else None
        if link is None or file is None or file.case_id != link["case_id"]:
            raise not_found()
        return file


def may_see(who: Pass, file: Attachment) -> bool:
    """Tell whether somebody may see a file: outside of cases its owner, in a case whoever the gateway saw it for."""
    if file.state is not AttachmentState.LINKED:
        return file.is_of(who.actor)
    if who.case_id != file.case_id:
        return False
    own_staff = who.internal and who.actor.tenant_id == file.case_tenant_id
    return own_staff or file.visibility is NoteVisibility.EXTERNAL


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
