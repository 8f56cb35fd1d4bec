"""An HTTP server as a part of a service: listens when all is ready, and lets requests end before all else does."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
import uvicorn

log = structlog.get_logger()
POLL_SECONDS: Final = 0.02
KEEP_ALIVE_SECONDS: Final = 75


async def nothing() -> None:
    """Do nothing."""


class _Quiet(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 - a generator, as the base has it
        """Leave the signals to the service."""
        yield


class HttpServer:
    """Serves an application on one port; several processes of one machine may share it.

    `leaving` ends what would not end by itself, once no more requests are taken.
    """

    def __init__(
        self,
        app: Any,  # noqa: ANN401 - any ASGI application
        *,
        host: str,
        port: int,
        drain_seconds: float,
        leaving: Callable[[], Awaitable[None]] = nothing,
    ) -> None:
        self._leaving = leaving
        self._host = host
        self._port = port
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(drain_seconds)),
        )
        self._server = _Quiet(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen."""
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError:
            listener.close()
            raise
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                raise OSError("the HTTP server did not start")
            await asyncio.sleep(POLL_SECONDS)
        host, port = listener.getsockname()[:2]
        log.info("http_is_served", host=host, port=port)

    async def stop(self) -> None:
        """Take no more requests, and let what is under way end."""
        self._server.should_exit = True
        await self._leaving()
        if self._serving is not None:
            await self._serving
