"""Files that came with an answer by mail: brought to the attachment service, which says what may be kept.

The note names what was stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import httpx
import orjson
import structlog

from services.notification.replies import MailFile
from shared.attachment_service import NO_SERVICE, AttachmentService, NotStored
from shared.contracts.case import Actor
from shared.passes import Passes

log = structlog.get_logger()
PATH: Final = "/files"
TIMEOUT: Final = httpx.Timeout(connect=3, read=60, write=30, pool=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a mail's files: those that were stored, as a note names them, and why others were not."""

    attachments: Sequence[dict[str, str]] = ()
    refused: Sequence[tuple[str, str]] = ()


class MailFiles:
    """The way to the attachment service; without one no file is taken."""

    def __init__(self, url: str, passes: Passes, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._service = AttachmentService(url, passes, TIMEOUT, transport)

    async def start(self) -> None:
        """Be ready to connect."""
        await self._service.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._service.stop()

    async def store(self, files: Sequence[MailFile], actor: Actor) -> Stored:
        """Store files as somebody's own; what the service does not take is said, not raised.

        Raises:
            TransientError: the service is away; what was stored by then expires.
        """
        if not self._service.is_there:
            return Stored(refused=[(file.name, NO_SERVICE) for file in files])
        attachments, refused = [], []
        for file in files:
            try:
                attachments.append({"id": await self._store(file, actor), "name": file.name})
            except NotStored as error:
                log.info("mail_file_refused", code=error.code)
                refused.append((file.name, error.code))
        return Stored(attachments=attachments, refused=refused)

    async def _store(self, file: MailFile, actor: Actor) -> str:
        headers = {
            "Upload-Name": quote(file.name, safe=""),
            "Content-Type": file.media_type,
            "Upload-Limit": str(len(file.content)),
        }
        told = orjson.loads((await self._service.ask(actor, "POST", PATH, headers, file.content)).content)
        return str(told["id"])
