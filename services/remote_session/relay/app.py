"""What a relay is made of."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import structlog

from services.remote_session.relay import figures
from services.remote_session.relay.authority import RELAY_VALID, Authority
from services.remote_session.relay.collecting import Collector
from services.remote_session.relay.door import Door
from services.remote_session.relay.edges import Edges
from services.remote_session.relay.leases import Leases
from services.remote_session.relay.ledger import SessionLedger
from services.remote_session.relay.storing import Store
from services.remote_session.settings import RemoteSessionSettings
from shared import metrics, storage
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import SessionEvent
from shared.errors import TransientError
from shared.health import HealthServer
from shared.passes import Passes

log = structlog.get_logger()
#: Its own certificates are made anew so often, long before they end.
RENEWED_SECONDS: Final = RELAY_VALID.total_seconds() / 10
WAYS = frozenset({SessionState.CONNECTING, SessionState.ACTIVE})


class Relay:
    """Edges on one side, technicians on the other, and what the service decides over both."""

    def __init__(self, settings: RemoteSessionSettings) -> None:
        figures.prepare()
        self._settings = settings
        self._started = False
        self.task: asyncio.Task[None] | None = None
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
        name = settings.relay_name.rpartition(":")[0].strip("[]")
        port = await self.door.start(settings.relay_host, settings.relay_port, name)
        self.edges.relay = settings.relay_name or f"{settings.relay_host}:{port}"
        edge_port = await self.edges.start(settings.relay_host, settings.relay_edge_port)
        await self.leases.start()
        await self.collector.start()
        self.task = asyncio.create_task(self._renew_on())
        self._started = True
        log.info("relay_started", port=port, edge_port=edge_port)

    async def goes_on(self) -> None:
        """Return only when something has ended that goes on as long as a relay runs.

        Raises:
            Exception: what it ended by.
        """
        tasks = [part.task for part in (self, self.ledger, self.leases, self.collector) if part.task is not None]
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()

    async def stop(self) -> None:
        """End."""
        if self.task is not None:
            self.task.cancel()
        await self.collector.stop()
        await self.leases.stop()
        await self.door.stop()
        await self.edges.stop()
        await self.ledger.stop()
        await self._database.close()

    async def ready(self) -> str | None:
        """Return why nobody can be let in now; nothing if all is well."""
        if not self._started:
            return "starting"
        try:
            await self._database.ping()
        except TransientError as error:
            return str(error)
        return await self.ledger.trouble()

    async def show(self) -> None:
        """Show whether it is ready, when figures are asked for."""
        metrics.READY.labels(service=figures.SERVICE).set(await self.ready() is None)

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(RENEWED_SECONDS)
            self.door.renew()
            self.edges.renew()

    async def _changed(self, event: SessionEvent) -> None:
        """Do at once what a change asks for."""
        session = event.session
        if session is None:
            return
        edge = self.edges.find(session)
        if session.state is SessionState.OFFERED and edge is not None:
            edge.offer(event)
        elif session.state not in WAYS:
            self.door.cut(session.id, figures.OVER)
            if edge is not None:
                edge.tell({"do": "revoke", "session": session.id})


async def run(settings: RemoteSessionSettings) -> None:
    """Run a relay until SIGTERM or SIGINT.

    Raises:
        Exception: something that none of it foresaw; another relay is to be started.
    """
    relay, stop = Relay(settings), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    health = HealthServer(settings, relay.ready, service=figures.SERVICE, refresh=relay.show)
    serving = asyncio.create_task(health.serve())
    await relay.start()
    over, going = asyncio.create_task(stop.wait()), asyncio.create_task(relay.goes_on())
    await asyncio.wait([over, going], return_when=asyncio.FIRST_COMPLETED)
    health.should_exit = True
    failed = going.done()
    for task in (over, going):
        task.cancel()
    await relay.stop()
    await serving
    if failed:
        going.result()
