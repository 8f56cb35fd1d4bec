"""SSH within SSH: a connection of a technician to the machine, whose wire is a channel of the way to the relay."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh

#: What a message of the way to the relay holds at most: two of a client's, so that none of these is sent in pieces.
PACKET = 64 * 1024


class Nested(asyncssh.SSHTCPSession):
    """Serves a connection on a channel, to which it is what a socket is elsewhere: nothing listens for it.

    From its first byte it is among those that are inside a session, so that it ends with that.

    What is written within one turn of the loop goes out together. When one direction ends, both do: what passes is
    SSH, which knows no end of one direction alone. A client that jumps (`ssh -W`) holds on to a way of which it only
    heard the end of the other side's data, and with it what waits for the client's own end.
    """

    def __init__(self, connection: Any, inside: set[Any]) -> None:
        self._connection = connection
        self._inside = inside
        self._channel: Any = None
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []

    # What a channel asks of a session.

    def connection_made(self, chan: Any) -> None:
        """Begin to serve."""
        self._channel = chan
        self._inside.add(self._connection)
        self._connection.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._channel = None
        self._inside.discard(self._connection)
        self._connection.connection_lost(exc)

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """Hear the technician."""
        self._connection.data_received(data)

    def eof_received(self) -> bool:
        """End, as the technician's side did."""
        self._connection.eof_received()
        self.close()
        return False

    # What a connection asks of its wire.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know nothing: who is at the other end, the relay knows."""
        return default

    def is_closing(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._channel is None or bool(self._channel.is_closing())

    def write(self, data: bytes) -> None:
        """Send, together with what else is written in this turn."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def abort(self) -> None:
        """End now; what was not sent is lost."""
        self._waiting.clear()
        if self._channel is not None:
            self._channel.abort()

    def close(self) -> None:
        """End, when all was sent."""
        self._flush()
        if self._channel is not None:
            self._channel.close()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self.is_closing():
            self._channel.write(b"".join(waiting))
