"""A lean client of HTTP/1.1: so little work that what is measured is the server, and a failure says what happened."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

END = b"\r\n\r\n"
BODY_MAX = 64 * 1024 * 1024


class Refused(AssertionError):
    """A request was not answered as it should be."""


@dataclass(slots=True)
class Times:
    """How long requests took, in seconds, and how long all of them together."""

    seconds: list[float] = field(default_factory=list)
    wall: float = 0

    def percentile_ms(self, share: float) -> float:
        """Return the milliseconds within which a share of the requests was answered."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.wall


class Connection:
    """One connection, kept alive; one request at a time."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = f"Host: {parts.netloc}\r\n" + "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=BODY_MAX)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return the status of the answer, and its body.

        Raises:
            Refused: the server ended the connection.
        """
        assert self._reader is not None
        assert self._writer is not None
        kind = "Content-Type: application/json\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{kind}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        try:
            told = await self._reader.readuntil(END)
            length = next(
                int(line.partition(b":")[2])
                for line in told.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            return int(told.split(b" ", 2)[1]), await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Refused(f"{method} {path} was not answered: {error!r}") from error


async def timed(
    url: str,
    headers: Mapping[str, str],
    *,
    clients: int,
    seconds: float,
    method: str,
    path: str,
    body: bytes = b"",
    status: int = 200,
    kept: bool = True,
) -> Times:
    """Have so many clients send the same request again and again for so long; each has a connection of its own.

    Where the server ends each connection with its answer (not `kept`), every request makes a new one.

    Raises:
        Refused: an answer has another status.
    """
    times = Times()
    began = time.perf_counter()

    async def client() -> None:
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(Connection(url, headers))
            while (sent := time.perf_counter()) - began < seconds:
                if not kept:
                    connection = await stack.enter_async_context(Connection(url, headers))
                told, text = await connection.ask(method, path, body)
                times.seconds.append(time.perf_counter() - sent)
                if not kept:
                    await stack.aclose()
                if told != status:
                    raise Refused(f"{method} {path}: {told} {text[:300]!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    times.wall = time.perf_counter() - began
    return times
