"""Lean clients that send and fetch whole files over blocking sockets: what is measured is the server."""

import base64
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

PIECE = 1024 * 1024
SECONDS = 600
TUS = {"Tus-Resumable": "1.0.0"}


class Store(Protocol):
    """Takes a file, and gives it out again."""

    name: str

    def send(self, data: memoryview) -> str:
        """Store a file; return what it is fetched by."""

    def fetch(self, place: str) -> int:
        """Fetch a file; return how many bytes came."""


class TusStore:
    """A server of tus 1.0: a POST, and one PATCH with all bytes; fetched by GET."""

    def __init__(self, name: str, url: str, path: str, out: str, headers: Mapping[str, str]) -> None:
        self.name = name
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._path, self._out = path, out
        self._head = "".join(f"{name}: {text}\r\n" for name, text in {"Host": parts.netloc, **headers}.items())

    def send(self, data: memoryview) -> str:
        """Upload a file as a tus client does; return its id."""
        metadata = ",".join(
            f"{name} {base64.b64encode(text).decode()}"
            for name, text in (("filename", b"a.bin"), ("filetype", b"application/octet-stream"))
        )
        with self._connected() as connection:
            told = {**TUS, "Upload-Length": str(len(data)), "Upload-Metadata": metadata, "Content-Length": "0"}
            place = self._ask(connection, "POST", self._path, told)["location"]
            id_ = place.rpartition("/")[2]
            told = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            path = f"{self._path.rstrip('/')}/{id_}"
            answer = self._ask(connection, "PATCH", path, {**told, "Content-Length": str(len(data))}, data)
        if answer["upload-offset"] != str(len(data)):
            raise AssertionError(f"{self.name}: {answer}")
        return id_

    def fetch(self, place: str) -> int:
        """Download a file."""
        with self._connected() as connection:
            path = self._out.format(place)
            connection.sendall(f"GET {path} HTTP/1.1\r\n{self._head}Connection: close\r\n\r\n".encode())
            head, rest = _head(connection, self.name)
            return len(rest) + _drain(connection, int(head["content-length"]) - len(rest))

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(self._address, timeout=SECONDS) as connection:
            yield connection

    def _ask(
        self, connection: socket.socket, method: str, path: str, told: Mapping[str, str], body: memoryview | bytes = b""
    ) -> dict[str, str]:
        lines = "".join(f"{name}: {text}\r\n" for name, text in told.items())
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{self._head}{lines}\r\n".encode())
        if body:
            connection.sendall(body)
        head, rest = _head(connection, self.name)
        _drain(connection, int(head.get("content-length", 0)) - len(rest))
        return head


class DiskStore:
    """The raw floor."""

    name = "disk"

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._count = 0

    def send(self, data: memoryview) -> str:
        """Have a file written."""
        self._count += 1
        place = str(self._count)
        with socket.create_connection(self._address, timeout=SECONDS) as connection:
            connection.sendall(f"PUT {place} {len(data)}\n".encode())
            connection.sendall(data)
            if connection.recv(3) != b"ok\n":
                raise AssertionError("the floor did not take it")
        return place

    def fetch(self, place: str) -> int:
        """Have a file read."""
        with socket.create_connection(self._address, timeout=SECONDS) as connection:
            connection.sendall(f"GET {place}\n".encode())
            head = b""
            while b"\n" not in head:
                head += connection.recv(100)
            length, _, rest = head.partition(b"\n")
            return len(rest) + _drain(connection, int(length) - len(rest))


def _head(connection: socket.socket, name: str) -> tuple[dict[str, str], bytes]:
    """Return the headers of an answer, and what came of its body with them."""
    told = b""
    while b"\r\n\r\n" not in told:
        piece = connection.recv(64 * 1024)
        if not piece:
            raise AssertionError(f"{name} ended the connection: {told!r}")
        told += piece
    head, _, rest = told.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if not status.split()[1].startswith("2"):
        raise AssertionError(f"{name}: {status} {rest!r}")
    found = (line.partition(":") for line in lines)
    return {key.strip().lower(): value.strip() for key, _, value in found}, rest


def _drain(connection: socket.socket, left: int) -> int:
    """Read bytes away; return how many came."""
    piece, came = bytearray(PIECE), 0
    while came < left:
        count = connection.recv_into(piece)
        if not count:
            raise AssertionError(f"{left - came} bytes are missing")
        came += count
    return came
