"""Bytes of files, to and from the attachment service, streamed: the gateway says who asks and which case they see.

The one place where a service asks another: bytes do not travel over Kafka. What it asks is signed (`shared.passes`).
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.gateway.domain.access import Identity, visible
from services.gateway.domain.papers import Body, papers_of
from services.gateway.http.problems import STATUS, Problem
from services.gateway.http.relay import Relay, Relayed
from shared.contracts.case import Actor
from shared.errors import TransientError
from shared.passes import CODE, HEADER, Pass, Passes

TIMEOUT: Final = httpx.Timeout(connect=3, read=60, write=60, pool=10)
LIMITS: Final = httpx.Limits(max_connections=500, max_keepalive_connections=50)
TOLD: Final = (
    *("content-type", "content-length", "content-range", "content-disposition", "accept-ranges", "etag", "location"),
    *("upload-offset", "upload-length", "upload-expires", "tus-resumable", "tus-version", "retry-after"),
)
#: What an answer about a file may be kept by: the browser of who asked, asking each time whether it still holds.
PRIVATE: Final = {"Cache-Control": "private, no-cache"}


class Papers(Protocol):
    """What is asked of the views."""

    async def holder(self, who: Identity, paper_id: str) -> str | None:
        """Return the id of the case that a file was put to; nothing if there is none for this viewer."""

    async def papers(self, who: Identity, case_id: str) -> list[tuple[str, Body]]:
        """Return the events about notes and files of a case."""


class Files:
    """The way to the attachment service."""

    def __init__(self, url: str, passes: Passes, views: Papers) -> None:
        self._url = url
        self._relay = Relay(url)
        self._passes = passes
        self._views = views
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Be ready to connect."""
        self._client = httpx.AsyncClient(
            base_url=self._url or "http://nowhere",
            timeout=TIMEOUT,
            limits=LIMITS,
            trust_env=False,
        )

    async def stop(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.aclose()
        self._client = None

    @property
    def are_kept(self) -> bool:
        """Whether there is an attachment service behind this gateway."""
        return bool(self._url) and self._passes.able

    async def case_of(self, who: Identity, file_id: str) -> str | None:
        """Return the case in which somebody sees a file now; nothing if there is none."""
        case_id = await self._views.holder(who, file_id)
        if case_id is None:
            return None
        papers = papers_of(await self._views.papers(who, case_id))
        return case_id if any(file.id == file_id for file in papers.files) else None

    async def store(
        self, who: Identity, name: str, media_type: str, body: AsyncIterator[bytes], *, at_most: int | None
    ) -> dict[str, Any]:
        """Store a file in one go; return what is known of it.

        Raises:
            Problem: it is refused.
            TransientError: the attachment service is away.
        """
        headers = {"Upload-Name": quote(name, safe=""), "Content-Type": media_type}
        if at_most is not None:
            headers["Upload-Limit"] = str(at_most)
        answer = await self._relayed(who, "POST", "/files", headers=headers, body=body)
        return await _read(answer)

    async def describe(self, who: Identity, file_id: str) -> dict[str, Any]:
        """Return what is known of a file that somebody may see.

        Raises:
            Problem: there is none.
        """
        case_id = await self.case_of(who, file_id)
        return await _read(await self._asked(who, "GET", f"/files/{file_id}", case_id=case_id))

    async def remove(self, who: Identity, file_id: str) -> None:
        """Throw a file away that is in no case.

        Raises:
            Problem: it is refused.
        """
        case_id = await self.case_of(who, file_id)
        answer = await self._asked(who, "DELETE", f"/files/{file_id}", case_id=case_id)
        await answer.aclose()

    async def link(self, who: Identity, file_id: str, minutes: int) -> dict[str, Any]:
        """Return a link to a file that holds once.

        Raises:
            Problem: it is refused.
        """
        case_id = await self.case_of(who, file_id)
        body = orjson.dumps({"expires_in_minutes": minutes})
        return await _read(await self._asked(who, "POST", f"/files/{file_id}/links", case_id=case_id, body=body))

    async def passed_on(
        self,
        request: Request,
        who: Identity,
        method: str,
        path: str,
        *,
        headers: tuple[str, ...] = (),
        streams: bool = False,
        case_id: str | None = None,
        pass_path: str | None = None,
    ) -> Response:
        """Ask with headers, and the body, of a request; return the answer as it comes.

        Raises:
            Problem: it is refused.
        """
        sent = {name: request.headers[name] for name in headers if name in request.headers}
        if streams and "content-length" in request.headers:
            sent["content-length"] = request.headers["content-length"]
        answer: httpx.Response | Relayed
        if streams or method == "GET":
            body = request.stream() if streams else None
            answer = await self._relayed(
                who, method, path, headers=sent, body=body, case_id=case_id, pass_path=pass_path
            )
        else:
            answer = await self._asked(who, method, path, headers=sent)
        told = {name: answer.headers[name] for name in TOLD if name in answer.headers}
        if method == "GET" and answer.status_code != 304:
            return StreamingResponse(_bytes_of(answer), answer.status_code, told | PRIVATE)
        await answer.aclose()
        told.pop("content-length", None)
        return Response(status_code=answer.status_code, headers=told)

    async def _asked(
        self,
        who: Identity,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        case_id: str | None = None,
    ) -> httpx.Response:
        given = self._pass(who, method, path, case_id)
        if self._client is None:
            raise TransientError("the gateway is not started")
        request = self._client.build_request(method, path, headers={**(headers or {}), HEADER: given}, content=body)
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise TransientError(f"the attachment service does not answer: {type(error).__name__}") from error
        if answer.is_success or answer.status_code == 304:
            return answer
        raise await _problem(answer)

    async def _relayed(
        self,
        who: Identity,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | None = None,
        case_id: str | None = None,
        pass_path: str | None = None,
    ) -> Relayed:
        """Ask as `_asked` does, where bytes pass through."""
        given = self._pass(who, method, pass_path or path, case_id)
        answer = await self._relay.ask(method, path, {**headers, HEADER: given}, body)
        if answer.is_success or answer.status_code == 304:
            return answer
        raise await _problem(answer)

    def _pass(self, who: Identity, method: str, path: str, case_id: str | None) -> str:
        if not self.are_kept:
            raise TransientError("no attachment service is known here")
        actor = Actor(id=who.user_id, role=who.role, tenant_id=who.tenant_id)
        internal = visible(who).internal
        return self._passes.write(Pass(actor=actor, method=method, path=path, case_id=case_id, internal=internal))


async def _bytes_of(answer: httpx.Response | Relayed) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()


async def _read(answer: httpx.Response | Relayed) -> dict[str, Any]:
    try:
        told: dict[str, Any] = orjson.loads(await answer.aread())
    except httpx.HTTPError as error:
        raise TransientError(f"the attachment service broke off: {type(error).__name__}") from error
    finally:
        await answer.aclose()
    return told


async def _problem(answer: httpx.Response | Relayed) -> Exception:
    """Return how a refusal is told; what only our own faults can be is not for who asks."""
    code, detail = answer.headers.get(CODE, ""), f"HTTP {answer.status_code}"
    try:
        detail = str(orjson.loads(await answer.aread() or b"{}").get("detail", detail))
    except (httpx.HTTPError, TransientError, orjson.JSONDecodeError, AttributeError):
        code = ""
    finally:
        await answer.aclose()
    if code in {"", "unavailable", "unauthenticated"} or code not in STATUS:
        return TransientError(f"the attachment service: {code or detail}")
    kept = ("tus-version", "content-range", "retry-after")
    return Problem(code, detail, headers={name: answer.headers[name] for name in kept if name in answer.headers})
