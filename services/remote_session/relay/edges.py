"""Edges: devices that have dialled in. Each is offered sessions, renewed its leases, and told at once what is over."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import asyncssh
import orjson
import structlog
from asyncssh.constants import MSG_IGNORE

from services.remote_session.relay import figures
from services.remote_session.relay.authority import RELAY, Authority, edge_principal, is_edge, text_of
from services.remote_session.relay.ledger import SessionLedger
from shared.contracts.session_words import RelayNews, SessionState
from shared.contracts.sessions import RemoteSession, SessionEvent
from shared.errors import TransientError

log = structlog.get_logger()
HELLO_SECONDS: Final = 10
KEEPALIVE_SECONDS: Final = 5
KEEPALIVES_MAX: Final = 2
LINE_MAX: Final = 1024 * 1024
CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
#: What an edge that comes goes on with; an active one, where the relay that had it died and could not tell.
RESUMED: Final = frozenset({SessionState.CONNECTING, SessionState.ACTIVE})
OF_FILES: Final = ("name", "direction", "offset", "size", "sha256", "closed")
REPORTED: Final = frozenset({RelayNews.FAILED.value, RelayNews.PROGRESS.value})


def spare_ignores(connection: Any) -> None:  # noqa: ANN401 - a connection of either kind
    """Have a connection send no empty message before each of its own.

    These keep ciphers that chain from being guessed at; the ones taken here do not chain, and it would double the work.
    """
    send = connection.send_packet

    def send_packet(kind: int, *args: bytes, handler: Any = None) -> None:  # noqa: ANN401
        if kind != MSG_IGNORE:
            send(kind, *args, handler=handler)

    connection.send_packet = send_packet


class Edge:
    """One device that is connected, by its control channel."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        process: Any,  # noqa: ANN401
        hello: Mapping[str, Any],
        registered: str | None = None,
    ) -> None:
        self.connection = connection
        #: The key by which the registry knows it, if that is why it was let in.
        self.registered = registered
        self.key = f"{hello['tenant_id']}/{hello['device_id']}"
        self._process = process

    def tell(self, what: Mapping[str, Any]) -> None:
        """Say something on the control channel; one that is broken ends with its connection."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(orjson.dumps(what) + b"\n")

    def offer(self, event: SessionEvent) -> None:
        """Offer a session, with the consent it rests on."""
        if event.session is not None:
            session = event.session
            consent = event.consent.model_dump(mode="json", exclude_none=True) if event.consent else None
            self.tell({"do": "offer", "session": orjson.loads(orjson.dumps(session)), "consent": consent})

    async def lines(self) -> Any:  # noqa: ANN401 - yields objects
        """Yield what the device says."""
        while line := await self._process.stdout.readline():
            yield orjson.loads(line)


class Edges:
    """All edges of this relay."""

    def __init__(self, authority: Authority, ledger: SessionLedger) -> None:
        self._authority = authority
        self._ledger = ledger
        self._edges: dict[str, Edge] = {}
        #: Where technicians find the devices that are connected here.
        self.relay = ""
        self._listener: asyncssh.SSHAcceptor | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen for edges; return the port."""
        key, certificate = self._authority.relay_user()
        self._listener = await asyncssh.listen_reverse(
            host,
            port,
            acceptor=self._welcome,
            known_hosts=None,  # who it is, the certificate in its hello says
            username=RELAY,
            client_keys=[(key, certificate)],
            agent_path=None,
            config=None,
            encryption_algs=CIPHERS,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVES_MAX,
            login_timeout=HELLO_SECONDS,
        )
        return int(self._listener.get_port())

    def renew(self) -> None:
        """Show edges that come from now on a fresh certificate."""
        if self._listener is not None:
            self._listener.update(client_keys=[self._authority.relay_user()])

    async def stop(self) -> None:
        """Let all edges go; they dial another relay."""
        if self._listener is not None:
            self._listener.close()
        for edge in list(self._edges.values()):
            edge.connection.abort()

    def find(self, session: RemoteSession) -> Edge | None:
        """Return the edge of a session's device."""
        return self._edges.get(f"{session.tenant_id}/{session.device_id}")

    def all(self) -> list[Edge]:
        """Return the edges that are connected."""
        return list(self._edges.values())

    def _welcome(self, connection: asyncssh.SSHClientConnection) -> None:
        spare_ignores(connection)
        asyncio.get_running_loop().create_task(self._attend(connection))

    async def _attend(self, connection: Any) -> None:  # noqa: ANN401 - a client's connection
        """Learn who it is, then listen to it until it is gone."""
        edge = None
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                process = await connection.create_process("control", encoding=None, max_pktsize=32768)
                hello = orjson.loads(await process.stdout.readline())
                edge = await self._admitted(connection, process, hello)
            if edge is not None:
                figures.CONNECTIONS.labels(side=figures.EDGES).inc()
                await self._begin(edge)
                async for told in edge.lines():
                    await self._hear(edge, told)
        except (TimeoutError, OSError, ValueError, KeyError, asyncssh.Error, TransientError) as error:
            log.info("edge_lost", key=edge.key if edge else None, reason=type(error).__name__)
        finally:
            connection.abort()
            if edge is not None:
                figures.CONNECTIONS.labels(side=figures.EDGES).dec()
            if edge is not None and self._edges.get(edge.key) is edge:
                del self._edges[edge.key]
                await self._lost(edge)

    async def _admitted(self, connection: Any, process: Any, hello: Mapping[str, Any]) -> Edge | None:  # noqa: ANN401
        """Let in who shows a certificate of ours, or whose key the registry has; the latter gets a certificate here."""
        name = edge_principal(hello["tenant_id"], hello["device_id"])
        shown, key = (hello.get("certificate") or "").encode(), connection.get_server_host_key()
        registered = await self._ledger.session_key(f"{hello['tenant_id']}/{hello['device_id']}")
        if registered is not None and key is not None and text_of(key) == registered:
            edge = Edge(connection, process, hello, registered)
            edge.tell({"do": "certified", "certificate": self._authority.certify_edge(key, name)})
            return edge
        if not is_edge(shown, key, self._authority.hosts, name):
            figures.refused(figures.EDGE)
            log.warning("edge_not_admitted", name=name)
            connection.abort()
            return None
        return Edge(connection, process, hello)

    async def _begin(self, edge: Edge) -> None:
        earlier = self._edges.pop(edge.key, None)
        if earlier is not None:
            earlier.connection.abort()
        self._edges[edge.key] = edge
        log.info("edge_connected", key=edge.key)
        for session in list(self._ledger.live.values()):
            if f"{session.tenant_id}/{session.device_id}" != edge.key:
                continue
            held = await self._ledger.held(edge.key, session.id)
            if held is None:
                continue
            if held.session.state is SessionState.OFFERED:
                await self._ask(edge, "offer", held.session)
            elif held.session.state in RESUMED:
                await self._ask(edge, "resume", held.session)

    async def _ask(self, edge: Edge, what: str, session: RemoteSession) -> None:
        consent = await self._ledger.consent(edge.key, session.consent_id)
        told = consent.model_dump(mode="json", exclude_none=True) if consent else None
        edge.tell({"do": what, "session": orjson.loads(orjson.dumps(session)), "consent": told})

    async def _lost(self, edge: Edge) -> None:
        for session in list(self._ledger.live.values()):
            if f"{session.tenant_id}/{session.device_id}" == edge.key and session.state in {
                SessionState.ACTIVE,
                SessionState.CONNECTING,
            }:
                await self._ledger.send(session, "report", news=RelayNews.DESTINATION_LOST.value, **self._here())

    def _here(self) -> dict[str, Any]:
        return {"relay": self.relay or None}

    async def _hear(self, edge: Edge, told: Mapping[str, Any]) -> None:
        if "terminal" in told:
            await self._hear_of_terminal(edge, told)
            return
        session = self._ledger.live.get(told.get("session", ""))
        if session is None and told.get("news") == RelayNews.PROGRESS.value:
            held = await self._ledger.held(edge.key, str(told.get("session", "")))
            session = held.session if held is not None else None  # the last word on one that has ended
        if session is None or f"{session.tenant_id}/{session.device_id}" != edge.key:
            return  # of another device's sessions nobody speaks
        if "accepted" in told:
            about = {"accepted": bool(told["accepted"]), "code": told.get("code"), "reason": told.get("reason")}
            if not told["accepted"]:
                figures.refused(figures.BY_DEVICE)
            await self._ledger.send(session, "answer", **about, **self._here())
        elif "file" in told:
            file = {
                name: told["file"].get(name) for name in ("name", "direction", "offset", "size", "sha256", "closed")
            }
            await self._ledger.send(session, "report_file", **file)
        elif told.get("resumed"):
            await self._ledger.send(session, "report", news=RelayNews.DESTINATION_UP.value, **self._here())
        elif told.get("news") in REPORTED:
            sums = {name: told.get(name) for name in ("news", "bytes_in", "bytes_out", "active_at", "reason")}
            await self._ledger.send(session, "report", **sums)

    async def _hear_of_terminal(self, edge: Edge, told: Mapping[str, Any]) -> None:
        """Pass on what a device says of a terminal, also of one whose session has ended by now."""
        held = await self._ledger.held(edge.key, str(told.get("session", "")))
        if held is not None:
            await self._ledger.send(held.session, "report_terminal", terminal=told["terminal"])
