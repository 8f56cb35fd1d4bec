"""The technicians' door: a token buys a certificate, a certificate opens the way to one device, and to no other."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Final

import asyncssh
import structlog

from services.remote_session.relay import figures
from services.remote_session.relay.authority import Authority
from services.remote_session.relay.edges import CIPHERS, KEEPALIVE_SECONDS, KEEPALIVES_MAX, Edges, spare_ignores
from services.remote_session.relay.ledger import SessionLedger
from shared.contracts.session_words import RelayNews, SessionKind
from shared.contracts.sessions import RemoteSession
from shared.errors import TransientError

log = structlog.get_logger()
TOKEN: Final = "token-"  # noqa: S105 - the beginning of a user name
SSH_PORT: Final = 22
KEY_MAX: Final = 8192
CERTIFY: Final = "certify"


class Door:
    """Lets technicians in, session by session."""

    def __init__(self, authority: Authority, ledger: SessionLedger, edges: Edges) -> None:
        self.authority = authority
        self.ledger = ledger
        self.edges = edges
        self.inside: defaultdict[str, set[Any]] = defaultdict(set)
        self._names: tuple[str, ...] = ()
        self._listener: asyncssh.SSHAcceptor | None = None

    async def start(self, host: str, port: int, name: str = "") -> int:
        """Listen for technicians, who may know it by a name; return the port."""
        self._names = (name or host,)
        self._listener = await asyncssh.listen(
            host,
            port,
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
        return int(self._listener.get_port())

    def renew(self) -> None:
        """Show technicians who come from now on a fresh certificate."""
        if self._listener is not None:
            self._listener.update(server_host_keys=[self.authority.relay_host(*self._names)])

    async def stop(self) -> None:
        """Let nobody in any more, and everybody out."""
        if self._listener is not None:
            self._listener.close()
        for session_id in list(self.inside):
            self.cut(session_id, figures.STOPPED)

    def cut(self, session_id: str, reason: str) -> None:
        """Cut off all connections of a session, now."""
        for connection in self.inside.pop(session_id, ()):
            connection.abort()
            figures.CUTS.labels(reason=reason).inc()

    async def _process(self, process: Any) -> None:  # noqa: ANN401 - a server's process
        """Give a certificate for the key on the input, if a token was shown; there is nothing else to run."""
        session: RemoteSession | None = process.get_extra_info("redeemed")
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
        session = self._door.ledger.usable(self._session_id)
        if session is None or (dest_host, dest_port) != (self._session_id, SSH_PORT):
            figures.refused(figures.TARGET)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not the target of this session")
        edge = self._door.edges.find(session)
        if edge is None:
            figures.refused(figures.AWAY)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the device is not connected")
        return figures.lead(edge.connection, dest_host, dest_port)
