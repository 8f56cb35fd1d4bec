"""The way of services to the attachment service, in the name of people.

Bytes do not travel over Kafka. What is asked is signed (`shared.passes`).
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx

from shared.contracts.case import Actor
from shared.errors import PermanentError, TransientError
from shared.passes import CODE, HEADER, Pass, Passes

NO_SERVICE: Final = "no_files_here"
#: What says nothing of the file: the service is away, or we have to look how far an upload is.
AGAIN: Final = frozenset({"", "unavailable", "unauthenticated", "offset_conflict", "upload_busy"})


class NotStored(PermanentError):
    """The attachment service does not take a file; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"not stored: {code}")
        self.code = code


class AttachmentService:
    """Asks the attachment service; without an address or a key there is none."""

    def __init__(
        self, url: str, passes: Passes, timeout: httpx.Timeout, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url
        self._passes = passes
        self._timeout = timeout
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is an attachment service."""
        return bool(self._url) and self._passes.able

    async def start(self) -> None:
        """Be ready to connect."""
        self._client = httpx.AsyncClient(
            base_url=self._url or "http://nowhere", timeout=self._timeout, trust_env=False, transport=self._transport
        )

    async def stop(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self,
        actor: Actor,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """Ask in somebody's name; return the answer of a success.

        Raises:
            NotStored: the service refuses.
            TransientError: it is away, or cannot say now.
        """
        if self._client is None:
            raise TransientError("the way to the attachment service is not open yet")
        signed = {**headers, HEADER: self._passes.write(Pass(actor=actor, method=method, path=path))}
        try:
            answer = await self._client.request(method, path, headers=signed, content=content)
        except httpx.HTTPError as error:
            raise TransientError(f"the attachment service does not answer: {type(error).__name__}") from error
        if answer.is_success:
            return answer
        code = answer.headers.get(CODE, "")
        if answer.is_server_error or code in AGAIN:
            raise TransientError(f"the attachment service: {code or answer.status_code}")
        raise NotStored(code)
