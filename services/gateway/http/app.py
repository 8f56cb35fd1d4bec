"""The application: every route behind the same guards."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.http import (
    attachments,
    bulk,
    cases,
    counts,
    devices,
    export,
    figures,
    notifications,
    preferences,
    problems,
    sessions,
    stream,
    told_notices,
)
from services.gateway.http.bodies import Json
from services.gateway.http.compat import crm_description, django_crm, equinix, equinix_description, equinix_files
from services.gateway.http.compat.describing import Door
from services.gateway.http.doors import Asking, Doors
from services.gateway.http.notifications import UNSUBSCRIBE_ROUTE
from services.gateway.http.openapi import PREFIX, describe
from services.gateway.http.problems import Problem
from shared.contracts import limits
from shared.version import version

OPENAPI: Final = "/api/v1/openapi.json"
NOT_KEPT: Final = (b"cache-control", b"no-store")
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
ROUTERS: Final[tuple[APIRouter, ...]] = (
    bulk.router,
    export.router,
    counts.router,
    attachments.router,
    cases.router,
    devices.router,
    stream.router,
    sessions.router,
    preferences.router,
    notifications.router,
    told_notices.router,
    django_crm.router,
    equinix.router,
    equinix_files.router,
)
#: The doors of other products have descriptions of their own.
DESCRIBED: Final = (crm_description.DOOR, equinix_description.DOOR)
#: Where bytes of files come in: they are streamed, and bounded where they are stored.
STREAMED: Final = (attachments.PATH, attachments.UPLOADS)
#: Doors that tell failures in words of their own, also of bodies that are too large.
OTHERS: Final = ("/compat/",)


def make_app(doors: Doors | None = None, *, body_bytes_max: int = limits.COMMAND_BYTES_MAX) -> FastAPI:
    """Return the application; without doors only its description is of use."""
    app = FastAPI(
        title="Callout",
        version=version(),
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.doors = doors
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.append(UNSUBSCRIBE_ROUTE)
    problems.install(app)
    describe(app, [route for route in routes() if route.path.startswith(PREFIX)])
    for door in DESCRIBED:
        app.add_route(door.path, _telling(door), include_in_schema=False)
    app.add_middleware(Guards, body_bytes_max=body_bytes_max)
    if unguarded := [route.path for route in routes() if action_of(route) is None]:
        raise RuntimeError(f"routes without a guard: {unguarded}")
    return app


def _telling(door: Door) -> Callable[[Request], Awaitable[Response]]:
    """Return what tells the description of a door."""

    async def tell(_: Request) -> Response:
        return Json(door.document())

    return tell


def routes() -> Iterator[APIRoute]:
    """Yield the routes that people and programs use."""
    yield from (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))


def action_of(route: APIRoute) -> Any:  # noqa: ANN401 - an Action, or nothing
    """Return what a route's guard lets people do."""
    guards = (each.call for each in route.dependant.dependencies)
    return next((guard.action for guard in guards if isinstance(guard, Asking)), None)


def brings_files(scope: Scope) -> bool:
    """Tell whether a request's body is streamed on, and bounded where it ends."""
    path, media = scope["path"], dict(scope["headers"]).get(b"content-type", b"")
    form = media.lower().startswith(b"multipart/form-data")
    return path in STREAMED or path.startswith(f"{attachments.UPLOADS}/") or (form and path.startswith(OTHERS))


class Guards:
    """Refuses bodies that are too large before they are read, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, *, body_bytes_max: int) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = brings_files(scope)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_bytes_max and not streamed:
                raise Problem("too_large", f"A body may have {self._body_bytes_max} bytes.")
            return message

        began = time.monotonic()

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                figures.count(scope["method"], route, message["status"], time.monotonic() - began)
                headers = [*message.get("headers", ()), *HEADERS]
                kept = any(name.lower() == NOT_KEPT[0] for name, _ in headers)
                message["headers"] = headers if kept else [*headers, NOT_KEPT]
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        own_words = streamed or scope["path"].startswith(OTHERS)
        if length.isdigit() and int(length) > self._body_bytes_max and not own_words:
            answer = problems.told_plainly(
                Problem("too_large", f"A body may have {self._body_bytes_max} bytes."), scope["path"]
            )
            await answer(scope, receive, marked)
            return
        await self._app(scope, counted, marked)
