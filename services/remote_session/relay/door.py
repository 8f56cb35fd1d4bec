"""The technicians' door: a token buys a certificate and a ticket; each opens the way to one device, and no other."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Final

import asyncssh
import structlog

from services.remote_session.relay import figures
from services.remote_session.relay.authority import Authority
from services.remote_session.relay.direct import Caller
from services.remote_session.relay.edges import CIPHERS, KEEPALIVE_SECONDS, KEEPALIVES_MAX, Edges, spare_ignores
from services.remote_session.relay.ledger import SessionLedger
from shared.contracts.session_words import RelayNews, SessionKind
from shared.contracts.sessions import RemoteSession
from shared.errors import TransientError

log = structlog.get_logger()
TOKEN: Final = "token-"  # noqa: S105 - the beginning of a user name
SSH_PORT: Final = 22
KEY_MAX: Final = 8192
CERTIFY, TICKET = "certify", "ticket"


class Door:
    """Lets technicians in, session by session."""

    def __init__(self, authority: Authority, ledger: SessionLedger, edges: Edges) -> None:
        self.authority = authority
        self.ledger = ledger
        self.edges = edges
        self.inside: defaultdict[str, set[Any]] = defaultdict(set)
        self._names: tuple[str, ...] = ()
        self._options: asyncssh.SSHServerConnectionOptions | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, name: str = "") -> int:
        """Listen for technicians, who may know it by a name; return the port."""
        self._names = (name or host,)
        self.renew()
        self._server = await asyncio.get_running_loop().create_server(lambda: Caller(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def ssh(self) -> asyncssh.SSHServerConnection:
        """Return what serves a connection that speaks SSH."""
        return asyncssh.SSHServerConnection(asyncio.get_running_loop(), self._options)  # type: ignore[arg-type]

    def renew(self) -> None:
        """Show technicians who come from now on a fresh certificate."""
        self._options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: Visitor(self),
            server_host_keys=[self.authority.relay_host(*self._names)],
            process_factory=self._process,
            encoding=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            encryption_algs=CIPHERS,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVES_MAX,
            login_timeout=20,
        )

    async def stop(self) -> None:
        """Let nobody in any more, and everybody out."""
        if self._server is not None:
            self._server.close()
        for session_id in list(self.inside):
            self.cut(session_id, figures.STOPPED)

    async def lead(self, session_id: str, target: str, who: Any) -> figures.FromTechnician:  # noqa: ANN401
        """Open a way to a session's device, and to nothing else, for a connection that is cut with the session.

        Raises:
            asyncssh.ChannelOpenError: the target is another, the device is not here, or the session is over meanwhile.
        """
        session = self.ledger.usable(session_id)
        if session is None or target != f"{session_id}:{SSH_PORT}":
            figures.refused(figures.TARGET)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not the target of this session")
        edge = self.edges.find(session)
        if edge is None:
            figures.refused(figures.AWAY)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the device is not connected")
        self.inside[session_id].add(who)
        way = await figures.lead(edge.connection, session_id, SSH_PORT)
        if who not in self.inside.get(session_id, ()):  # cut off meanwhile, or gone
            way.close()
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "the session is over")
        return way

    def cut(self, session_id: str, reason: str) -> None:
        """Cut off all connections of a session, now."""
        for connection in self.inside.pop(session_id, ()):
            connection.abort()
            figures.CUTS.labels(reason=reason).inc()

    async def _process(self, process: Any) -> None:  # noqa: ANN401 - a server's process
        """Give a certificate for the key on the input, if a token was shown, and then a ticket; nothing else runs."""
        session: RemoteSession | None = process.get_extra_info("redeemed")
        if session is not None and process.command == TICKET and process.get_extra_info("certified"):
            process.stdout.write(self.authority.ticket(session.id).encode() + b"\n")
            process.exit(0)
            return
        if session is None or process.command != CERTIFY:
            process.stderr.write(b"There is no shell here: use this host to jump (ssh -J) to your session.\n")
            process.exit(1)
            return
        try:
            async with asyncio.timeout(20):
                given = (await process.stdin.read(KEY_MAX)).decode().strip()
            certificate = self._certificate(session, given)
        except (asyncssh.Error, ValueError, TimeoutError) as error:
            process.stderr.write(f"{error}\n".encode())
            process.exit(1)
            return
        process.stdout.write(certificate.encode() + b"\n")
        process.channel.get_connection().set_extra_info(certified=True)
        await self.ledger.send(session, "report", news=RelayNews.SOURCE_UP.value)
        process.exit(0)

    def _certificate(self, session: RemoteSession, given: str) -> str:
        if session.public_key is not None and session.public_key.split()[:2] != given.split()[:2]:
            figures.refused(figures.KEY)
            raise ValueError("The session was asked for with another key.")
        terminal = session.kind is SessionKind.TERMINAL
        now = datetime.now(UTC)
        return self.authority.certify_session(given, session.id, session.expires_at, now, terminal=terminal)


class Visitor(asyncssh.SSHServer):
    """One connection of a technician."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._connection: Any = None
        self._session_id = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note the connection."""
        self._connection = conn
        spare_ignores(conn)
        figures.CONNECTIONS.labels(side=figures.TECHNICIANS).inc()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the connection."""
        figures.CONNECTIONS.labels(side=figures.TECHNICIANS).dec()
        self._door.inside.get(self._session_id, set()).discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Say whose certificate is needed: that of the session that is named."""
        if not username.startswith(TOKEN) and self._door.ledger.usable(username) is not None:
            keys = f'cert-authority,principals="{username}" {self._door.authority.user_ca}'
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(keys))
            self._session_id = username
        return True

    def auth_completed(self) -> None:
        """Count the connection among those of its session."""
        name = self._connection.get_extra_info("username")
        if name == self._session_id:
            self._door.inside[name].add(self._connection)

    def password_auth_supported(self) -> bool:
        """Say that a token is shown as a password."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Take a token."""
        if not username.startswith(TOKEN):
            return False
        try:
            session = await self._door.ledger.redeem(username.removeprefix(TOKEN), password)
        except TransientError:
            return False
        if session is None:
            figures.refused(figures.TOKEN)
            log.info("token_refused", session=username.removeprefix(TOKEN)[:64])
            return False
        self._connection.set_extra_info(redeemed=session)
        return True

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:  # noqa: ANN401, ARG002
        """Open a way to the session's device, and to nothing else."""
        return self._door.lead(self._session_id, f"{dest_host}:{dest_port}", self._connection)
