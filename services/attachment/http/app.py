"""The application: every route needs a pass of the gateway, but the one of links that hold once."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.attachment.giving import Giving
from services.attachment.http import files, tus
from services.attachment.http.rooms import Rooms
from services.attachment.receiving import Receiving
from services.attachment.refusals import Refusal
from services.attachment.sender import Sender
from shared.errors import TransientError
from shared.passes import CODE, HEADER, Pass, Passes, PassRefused

log = structlog.get_logger()
Handler = Callable[[Request, Rooms, Pass], Awaitable[Response]]


def make_app(receiving: Receiving, giving: Giving, sender: Sender, passes: Passes) -> Starlette:
    """Return the application."""
    rooms = Rooms(receiving, giving, sender, passes)

    def route(path: str, method: str, handler: Handler) -> Route:
        async def serve(request: Request) -> Response:
            # What a pass is for is the path as it was sent.
            sent = request.scope["raw_path"].decode("ascii").partition("?")[0]
            return await handler(request, rooms, passes.read(request.headers.get(HEADER), method, sent))

        return Route(path, _told(serve), methods=[method])

    async def redeem(request: Request) -> Response:
        passes.read(request.headers.get(HEADER), "GET", "/links")
        return await files.redeem(request, rooms)

    return Starlette(
        routes=[
            route("/uploads", "POST", tus.create),
            route("/uploads/{id}", "HEAD", tus.ask),
            route("/uploads/{id}", "PATCH", tus.go_on),
            route("/uploads/{id}", "DELETE", tus.end),
            route("/files", "POST", files.take),
            route("/files/{id}", "GET", files.describe),
            route("/files/{id}", "DELETE", files.remove),
            route("/files/{id}/content", "GET", files.give),
            route("/files/{id}/thumbnail", "GET", files.show),
            route("/files/{id}/links", "POST", files.link),
            Route("/links/{token}", _told(redeem), methods=["GET"]),
        ]
    )


def _told(serve: Callable[[Request], Awaitable[Response]]) -> Any:  # noqa: ANN401 - an endpoint
    """Return an endpoint that tells its refusals."""

    async def told(request: Request) -> Response:
        try:
            return await serve(request)
        except Refusal as refusal:
            body = {"code": refusal.code, "detail": refusal.detail}
            # An answer to HEAD has no body.
            headers = {**refusal.headers, CODE: refusal.code}
            return JSONResponse(body, refusal.status, headers=headers)
        except PassRefused as error:
            log.warning("pass_refused", path=request.url.path, reason=str(error))
            return JSONResponse({"code": "unauthenticated", "detail": "No pass, or none for this."}, 401)
        except ClientDisconnect:
            return Response(status_code=400)
        except TransientError as error:
            log.warning("request_not_served", reason=str(error))
            body = {"code": "unavailable", "detail": "Something we need does not answer; try again."}
            return JSONResponse(body, 503, headers={"Retry-After": "2"})

    return told
