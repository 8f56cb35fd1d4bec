"""What a relay is made of."""

import asyncio
import signal
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from services.remote_session.relay.authority import Authority
from services.remote_session.relay.collecting import Collector
from services.remote_session.relay.door import Door
from services.remote_session.relay.edges import Edges
from services.remote_session.relay.leases import Leases
from services.remote_session.relay.ledger import SessionLedger
from services.remote_session.relay.storing import Store
from services.remote_session.settings import RemoteSessionSettings
from shared import storage
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import SessionEvent
from shared.passes import Passes

log = structlog.get_logger()
WAYS = frozenset({SessionState.CONNECTING, SessionState.ACTIVE})


class Relay:
    """Edges on one side, technicians on the other, and what the service decides over both."""

    def __init__(self, settings: RemoteSessionSettings) -> None:
        self._settings = settings
        self.authority = Authority(Path(settings.relay_folder))
        self._database = storage.connect(
            settings.mongodb_uri, "callout_remote_session", timeout_ms=settings.mongodb_timeout_ms
        )
        sessions, tokens = self._database.documents("sessions"), self._database.documents("tokens")
        self.ledger = SessionLedger(settings.kafka_bootstrap_servers, sessions, tokens, self._changed)
        self.edges = Edges(self.authority, self.ledger)
        self.door = Door(self.authority, self.ledger, self.edges)
        self.leases = Leases(self.ledger, self.door, self.edges)
        store = Store(settings.attachment_url, Passes(settings.internal_key.get_secret_value()))
        self.collector = Collector(self.authority, self.ledger, self.edges, store)

    async def start(self) -> None:
        """Begin; return when ready."""
        settings = self._settings
        await self.ledger.start()
        port = await self.door.start(settings.relay_host, settings.relay_port)
        self.edges.relay = settings.relay_name or f"{settings.relay_host}:{port}"
        edge_port = await self.edges.start(settings.relay_host, settings.relay_edge_port)
        await self.leases.start()
        await self.collector.start()
        log.info("relay_started", port=port, edge_port=edge_port)

    async def stop(self) -> None:
        """End."""
        await self.collector.stop()
        await self.leases.stop()
        await self.door.stop()
        await self.edges.stop()
        await self.ledger.stop()
        await self._database.close()

    async def _changed(self, event: SessionEvent) -> None:
        """Do at once what a change asks for."""
        session = event.session
        if session is None:
            return
        edge = self.edges.find(session)
        if session.state is SessionState.OFFERED and edge is not None:
            edge.offer(event)
        elif session.state not in WAYS:
            self.door.cut(session.id)
            if edge is not None:
                edge.tell({"do": "revoke", "session": session.id})


async def run(settings: RemoteSessionSettings) -> None:
    """Run a relay until SIGTERM or SIGINT."""
    relay, stop = Relay(settings), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await relay.start()
    health = _health(settings)
    serving = asyncio.create_task(health.serve())
    await stop.wait()
    health.should_exit = True
    await relay.stop()
    await serving


def _health(settings: RemoteSessionSettings) -> Server:
    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready\n")

    routes = [Route("/readyz", ready), Route("/healthz", ready)]
    config = Config(Starlette(routes=routes), host=settings.http_host, port=settings.http_port, log_config=None)
    config.install_signal_handlers = False  # type: ignore[attr-defined]
    server = Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    return server
