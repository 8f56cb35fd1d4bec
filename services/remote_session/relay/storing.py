"""The way to the attachment service: a file goes there part by part, and a part that was cut off goes on where it was.

It is asked in the name of who asked for the session.
"""

import base64
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import orjson

from shared.attachment_service import AttachmentService
from shared.contracts.case import Actor
from shared.passes import Passes

#: Storing a large file elsewhere takes its time after the last byte.
TIMEOUT: Final = httpx.Timeout(connect=3, read=300, write=60, pool=10)
TUS: Final = {"Tus-Resumable": "1.0.0"}
BYTES: Final = "application/offset+octet-stream"


class Store:
    """Takes files for people; without an address or a key, none."""

    def __init__(self, url: str, passes: Passes, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._service = AttachmentService(url, passes, TIMEOUT, transport)

    @property
    def is_there(self) -> bool:
        """Whether there is an attachment service behind this relay."""
        return self._service.is_there

    async def start(self) -> None:
        """Be ready to connect."""
        await self._service.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._service.stop()

    async def begin(self, actor: Actor, name: str, size: int) -> str:
        """Begin to store a file of so many bytes; return its id.

        Raises:
            NotStored: it is not taken.
            TransientError: the service is away.
        """
        metadata = f"filename {base64.b64encode(name.encode()).decode()}"
        headers = {"Upload-Length": str(size), "Upload-Metadata": metadata}
        answer = await self._asked(actor, "POST", "/uploads", headers)
        return str(answer.headers["location"]).rpartition("/")[2]

    async def offset(self, actor: Actor, file_id: str) -> int:
        """Return how many bytes of a file are stored; one that is whole is known then.

        Raises:
            NotStored: there is no such upload any more.
            TransientError: the service is away.
        """
        return int((await self._asked(actor, "HEAD", f"/uploads/{file_id}")).headers["upload-offset"])

    async def go_on(self, actor: Actor, file_id: str, offset: int, parts: AsyncIterator[bytes]) -> None:
        """Store the bytes that follow the first `offset` ones; return when they are, and the file is known if whole.

        Raises:
            NotStored: the file is not taken.
            TransientError: what came by then is kept; look where it is, and go on.
        """
        headers = {"Upload-Offset": str(offset), "Content-Type": BYTES}
        await self._asked(actor, "PATCH", f"/uploads/{file_id}", headers, parts)

    async def digest(self, actor: Actor, file_id: str) -> str:
        """Return the SHA-256 of a file that is stored, as the service found it.

        Raises:
            NotStored: there is no such file.
            TransientError: the service is away.
        """
        told: dict[str, Any] = orjson.loads((await self._asked(actor, "GET", f"/files/{file_id}")).content)
        return str(told["sha256"])

    async def drop(self, actor: Actor, file_id: str) -> None:
        """Throw away what was stored of a file; what cannot be now expires by itself.

        Raises:
            NotStored: it is whole by now, or gone.
            TransientError: the service is away.
        """
        await self._asked(actor, "DELETE", f"/uploads/{file_id}")

    async def _asked(
        self,
        actor: Actor,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        return await self._service.ask(actor, method, path, {**TUS, **(headers or {})}, body)
