"""The direct way to a session, for the `ProxyCommand` of `ssh`, which is given the connection itself.

`python direct_way.py TICKET_FILE SESSION RELAY...`, with `ProxyUseFdpass yes`: relays (host:port) are asked in turn,
until one leads to the device.
"""

import re
import socket
import sys
from pathlib import Path
from typing import Final

from shared import digest

SSH_PORT: Final = 22
ANSWER_SECONDS: Final = 30
HEAD_MAX = BODY_MAX = 16384
STATUS: Final = re.compile(r"HTTP/1\.\d (\d{3})\b", re.ASCII)
OK, UNPROVED = 200, 407
REFUSED, USAGE = 1, 2
REASONS: Final = {
    UNPROVED: "the ticket is not of this session, or of other relays",
    403: "the session is over, or paused",
    503: "the device is not connected there",
}


class NoWay(ConnectionError):
    """A relay lets nobody through; the text says why."""


def open_way(relay: str, session_id: str, ticket: str) -> socket.socket:
    """Return a connection to the device of a session, at which nothing was read yet of what that says.

    Raises:
        NoWay: the relay refuses.
        OSError: it is not there.
        ValueError: it asks for another proof.
    """
    host, _, port = relay.rpartition(":")
    target = f"{session_id}:{SSH_PORT}"
    connection = socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS)
    try:
        _open(connection, target, session_id, ticket)
    except BaseException:
        connection.close()
        raise
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _open(connection: socket.socket, target: str, session_id: str, ticket: str) -> None:
    status, headers = _ask(connection, target)
    if status == UNPROVED:
        proof = digest.proof(headers.get("proxy-authenticate", ""), session_id, ticket, "CONNECT", target)
        status, headers = _ask(connection, target, f"Proxy-Authorization: {proof}\r\n")
    if status != OK:
        raise NoWay(REASONS.get(status, f"it answered {status}"))


def _ask(connection: socket.socket, target: str, more: str = "") -> tuple[int, dict[str, str]]:
    """Ask for a target; return the status and headers of the answer, of which a body was read, too."""
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{more}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)  # what follows is not ours to read
        if not byte or len(head) > HEAD_MAX:
            raise NoWay("it did not answer as HTTP does")
        head += byte
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    answered = STATUS.match(first)
    if answered is None:
        raise NoWay("it did not answer as HTTP does")
    status = int(answered[1])
    left = int(headers.get("content-length", "0")) if status != OK else 0
    if left > BODY_MAX:
        raise NoWay(f"it answered {status}, and more than anybody reads")
    while left > 0 and (piece := connection.recv(left)):
        left -= len(piece)
    return status, headers


def main(arguments: list[str]) -> int:
    """Hand the way over on standard output; return the exit code."""
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return USAGE
    name, session_id, *relays = arguments
    for relay in relays:
        try:
            with open_way(relay, session_id, Path(name).read_text().strip()) as way:
                socket.send_fds(socket.socket(fileno=sys.stdout.fileno()), [b"\0"], [way.fileno()])
            return 0
        except (OSError, ValueError) as error:
            print(f"{relay}: {error}", file=sys.stderr)  # noqa: T201
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
