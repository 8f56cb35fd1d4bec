"""Where files are kept, as far as a relay sees it: uploads by tus, kept in memory; it can cut a client off."""

import base64
import hashlib

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.passes import CODE, HEADER, Passes

KEY = "k" * 48
FILE = "01a53b8e-0c55-7d3e-8a8e-{:012d}"


class FileStore:
    """Files by their id: who stores them, what they are called, what came of them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.owners: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.offsets: list[int] = []
        self.size_max = 10**9
        self.cut_at: int | None = None
        self._passes = Passes(KEY)

    def transport(self) -> httpx.ASGITransport:
        """Return the way to it."""
        routes = [
            Route("/uploads", self._begin, methods=["POST"]),
            Route("/uploads/{id}", self._ask, methods=["HEAD"]),
            Route("/uploads/{id}", self._go_on, methods=["PATCH"]),
            Route("/files/{id}", self._describe, methods=["GET"]),
        ]
        return httpx.ASGITransport(Starlette(routes=routes), raise_app_exceptions=False)

    def _actor(self, request: Request) -> str:
        given = self._passes.read(request.headers.get(HEADER), request.method, request.url.path)
        return f"{given.actor.tenant_id}/{given.actor.id}"

    async def _begin(self, request: Request) -> Response:
        size = int(request.headers["upload-length"])
        if size > self.size_max:
            return JSONResponse({}, 413, headers={CODE: "too_large"})
        id_ = FILE.format(len(self.files))
        self.files[id_], self.sizes[id_], self.owners[id_] = b"", size, self._actor(request)
        name = request.headers["upload-metadata"].removeprefix("filename ")
        self.names[id_] = base64.b64decode(name).decode()
        return Response(status_code=201, headers={"Location": f"/uploads/{id_}"})

    async def _ask(self, request: Request) -> Response:
        self._actor(request)
        return Response(headers={"Upload-Offset": str(len(self.files[request.path_params["id"]]))})

    async def _go_on(self, request: Request) -> Response:
        self._actor(request)
        id_ = request.path_params["id"]
        self.offsets.append(len(self.files[id_]))
        assert int(request.headers["upload-offset"]) == len(self.files[id_])
        async for part in request.stream():
            self.files[id_] += part
            if self.cut_at is not None and len(self.files[id_]) >= self.cut_at:
                self.cut_at = None
                return JSONResponse({}, 503)
        return Response(status_code=204)

    async def _describe(self, request: Request) -> Response:
        self._actor(request)
        data = self.files[request.path_params["id"]]
        return JSONResponse({"sha256": hashlib.sha256(data).hexdigest()})
