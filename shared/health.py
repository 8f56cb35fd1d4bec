"""What every process shows of itself over HTTP: `/healthz`, `/readyz` and `/metrics`, on a port of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared import metrics
from shared.settings import ServiceSettings

log = structlog.get_logger()
#: Figures that are asked of servers are waited for so long; then they are shown as they were known last.
REFRESH_SECONDS: Final = 1.0


async def _nothing() -> None:
    """Do nothing."""


async def _logged(refresh: Awaitable[object]) -> None:
    try:
        await refresh
    except Exception:
        log.exception("figures_not_refreshed")


class HealthServer(uvicorn.Server):
    """Answers for one process, from its start to its end; signals are left to the process.

    `ready` returns why the process cannot work, or nothing; `refresh` is called before figures are shown, which do not
    wait for it longer than a second: whoever looks must see something also while Kafka is away. `listens` is called
    with the port, which may be any free one.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        ready: Callable[[], Awaitable[str | None]],
        *,
        service: str,
        refresh: Callable[[], Awaitable[object]] = _nothing,
        listens: Callable[[int], None] = lambda _: None,
    ) -> None:
        async def healthz(_: Request) -> Response:
            return PlainTextResponse("ok\n")

        async def readyz(_: Request) -> Response:
            why_not = await ready()
            metrics.READY.labels(service=service).set(why_not is None)
            return PlainTextResponse(f"{why_not or 'ready'}\n", status_code=503 if why_not else 200)

        under_way: set[asyncio.Task[None]] = set()

        async def figures(_: Request) -> Response:
            if not under_way:
                task = asyncio.ensure_future(_logged(refresh()))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.wait(under_way, timeout=REFRESH_SECONDS)
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

        routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", figures)]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
        super().__init__(config)
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for listener in (each for server in self.servers for each in server.sockets):
            host, port = listener.getsockname()[:2]
            self._listens(port)
            log.info("health_is_served", host=host, port=port)

    def install_signal_handlers(self) -> None:
        """Leave the signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 - a generator, as the base has it
        """Leave the signals to the process."""
        yield
