"""Files that came with an answer by mail: brought to the attachment service, which says what may be kept.

Bytes do not travel over Kafka. What is asked is signed (`shared.passes`); the note names what was stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson
import structlog

from services.notification.replies import MailFile
from shared.contracts.case import Actor
from shared.errors import TransientError
from shared.passes import CODE, HEADER, Pass, Passes

log = structlog.get_logger()
PATH: Final = "/files"
TIMEOUT: Final = httpx.Timeout(connect=3, read=60, write=30, pool=10)
NO_SERVICE: Final = "no_files_here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a mail's files: those that were stored, as a note names them, and why others were not."""

    attachments: Sequence[dict[str, str]] = ()
    refused: Sequence[tuple[str, str]] = ()


class MailFiles:
    """The way to the attachment service; without one no file is taken."""

    def __init__(self, url: str, passes: Passes, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._passes = passes
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    @property
    def are_kept(self) -> bool:
        """Whether there is an attachment service."""
        return bool(self._url) and self._passes.able

    async def start(self) -> None:
        """Be ready to connect."""
        self._client = httpx.AsyncClient(
            base_url=self._url or "http://nowhere", timeout=TIMEOUT, trust_env=False, transport=self._transport
        )

    async def stop(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.aclose()

    async def store(self, files: Sequence[MailFile], actor: Actor) -> Stored:
        """Store files as somebody's own; what the service does not take is said, not raised.

        Raises:
            TransientError: the service is away; what was stored by then expires.
        """
        if not self.are_kept:
            return Stored(refused=[(file.name, NO_SERVICE) for file in files])
        attachments, refused = [], []
        for file in files:
            id_, code = await self._store(file, actor)
            if id_ is not None:
                attachments.append({"id": id_, "name": file.name})
            else:
                refused.append((file.name, code))
        return Stored(attachments=attachments, refused=refused)

    async def _store(self, file: MailFile, actor: Actor) -> tuple[str | None, str]:
        assert self._client is not None, "not started"  # noqa: S101 - for the types
        headers = {
            "Upload-Name": quote(file.name, safe=""),
            "Content-Type": file.media_type,
            "Upload-Limit": str(len(file.content)),
            HEADER: self._passes.write(Pass(actor=actor, method="POST", path=PATH)),
        }
        try:
            answer = await self._client.post(PATH, content=file.content, headers=headers)
        except httpx.HTTPError as error:
            raise TransientError(f"the attachment service does not answer: {type(error).__name__}") from error
        if answer.is_success:
            told: dict[str, Any] = orjson.loads(answer.content)
            return str(told["id"]), ""
        code = answer.headers.get(CODE, "")
        if answer.is_server_error or code in {"", "unavailable", "unauthenticated"}:
            raise TransientError(f"the attachment service: {code or answer.status_code}")
        log.info("mail_file_refused", code=code)
        return None, code
