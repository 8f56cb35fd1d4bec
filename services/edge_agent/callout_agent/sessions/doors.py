"""The two SSH servers of the machine: one for relays, over the way that it dialled; one in it for technicians."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Callable

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.process import SSHServerProcess
from asyncssh.stream import SSHServerStreamSession

from callout_agent.sessions.guard import allows
from callout_agent.sessions.nested import PACKET, Nested

if TYPE_CHECKING:
    from callout_agent.sessions.dialler import Dialler

RELAY = "relay"
SSH_PORT = 22
SFTP_VERSION = 3
CHUNK = 256 * 1024
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
KEEPALIVE_SECONDS = 5
KEEPALIVES_MAX = 2


def spare_ignores(connection: Any) -> None:
    """Have a connection send no empty message before each of its own.

    These keep ciphers that chain from being guessed at; the ones taken here do not chain, and it would double the work.
    """
    send = connection.send_packet

    def send_packet(kind: int, *args: bytes, handler: Any = None) -> None:
        if kind != MSG_IGNORE:
            send(kind, *args, handler=handler)

    connection.send_packet = send_packet


class Outer(asyncssh.SSHServer):
    """The relay, as it comes in over the connection that we made."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._connection: Any = None

    def connection_made(self, conn: Any) -> None:
        """Note the connection."""
        self._connection = conn
        spare_ignores(conn)

    def begin_auth(self, username: str) -> bool:
        """Take nobody but a relay, by its certificate."""
        if username == RELAY:
            keys = f'cert-authority,principals="{RELAY}" {self._dialler.identity.user_ca()}'
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(keys))
        return True

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """Lead a technician to the inner server, for a session that was taken."""
        taken = self._dialler.holder.find(dest_host)
        if dest_port != SSH_PORT or taken is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no such session here")
        inner = asyncssh.SSHServerConnection(asyncio.get_running_loop(), self._dialler.inner)
        return self._connection.create_tcp_channel(max_pktsize=PACKET), Nested(inner, taken.inside)


class Inner(asyncssh.SSHServer):
    """A technician, end to end: what passed through the relay was ciphertext."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._connection: Any = None
        self._session_id = ""
        self._inside: set[Any] = set()

    def connection_made(self, conn: Any) -> None:
        """Note the connection."""
        self._connection = conn
        spare_ignores(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._inside.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Take a certificate of the session that is named, if we took that."""
        if self._dialler.holder.find(username) is not None:
            terminal = "" if self._dialler.is_terminal(username) else ",no-pty"
            keys = f'cert-authority,principals="{username}"{terminal} {self._dialler.identity.user_ca()}'
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(keys))
            self._session_id = username
        return True

    def auth_completed(self) -> None:
        """Count the connection among those of its session."""
        taken = self._dialler.holder.find(self._session_id)
        if taken is None:
            self._connection.abort()
        else:
            self._inside = taken.inside
            self._inside.add(self._connection)

    def session_requested(self) -> Any:
        """Serve files or a terminal, where the session is for that and it is still allowed; there is nothing else."""
        taken = self._dialler.holder.find(self._session_id)
        serve = self._dialler.files_of(taken) if taken is not None else None
        attend = self._dialler.terminal_of(taken) if taken is not None else None
        if attend is not None:
            return self._connection.create_server_channel(encoding=None), SSHServerProcess(attend, None, 0, False)
        if serve is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "this session is not for that")
        return SSHServerStreamSession(None, serve, SFTP_VERSION)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """Open a way to a target of this session that the machine's own rules have, too."""
        taken = self._dialler.holder.find(self._session_id)
        if (
            taken is None
            or not taken.reaches(dest_host, dest_port)
            or not allows(self._dialler.rules(), dest_host, dest_port, time.time())
        ):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not a target of this session")
        return self._reach(dest_host, dest_port, taken.count)

    async def _reach(self, host: str, port: int, count: Callable[[int, int], None]) -> Any:
        try:
            far = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
        except (OSError, asyncio.TimeoutError) as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, type(error).__name__) from None

        async def carry(reader: Any, writer: Any) -> None:
            ways = (
                _copy(reader, far[1], lambda size: count(size, 0)),
                _copy(far[0], writer, lambda size: count(0, size)),
            )
            try:
                await asyncio.gather(*ways)
            except (OSError, asyncssh.Error):
                pass
            finally:
                for each in (far[1], writer):
                    with contextlib.suppress(OSError, asyncssh.Error):
                        each.close()

        return asyncssh.stream.SSHTCPStreamSession(carry)


async def _copy(reader: Any, writer: Any, count: Callable[[int], None]) -> None:
    while True:
        data = await reader.read(CHUNK)
        if not data:
            break
        count(len(data))
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, asyncssh.Error):
        writer.write_eof()
