"""Hands requests on to another server, and its answers back, piece by piece: for bytes that only pass through.

A general client does more to each piece than all else that happens to it here. Heads are read and written by h11,
bodies of a known length by nobody. Each request has a connection of its own; an answer may come before all was sent.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import h11
import httpx

from shared.errors import TransientError

PIECE: Final = 256 * 1024
#: Storing a large file elsewhere takes its time after the last byte.
CONNECT_SECONDS, WRITE_SECONDS, READ_SECONDS = 3, 60, 300
BODILESS: Final = frozenset({204, 304})


class Relayed:
    """An answer, as far as it has come."""

    def __init__(
        self, response: h11.Response, line: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.status_code = response.status_code
        self.headers = httpx.Headers([*response.headers])
        self._line, self._reader, self._writer = line, reader, writer

    @property
    def is_success(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status_code < 300

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            TransientError: it broke off.
        """
        length = self.headers.get("content-length")
        if self.status_code in BODILESS:
            return
        if length is None:
            while isinstance(event := await _next(self._line, self._reader), h11.Data):
                yield bytes(event.data)
            return
        left, held = int(length), self._line.trailing_data[0]
        while left:
            piece = held or await _read(self._reader)
            if not piece:
                raise TransientError("the answer broke off")
            held = b""
            left -= len(piece)
            yield piece

    async def aread(self) -> bytes:
        """Return the whole body."""
        return b"".join([piece async for piece in self.aiter_raw()])

    async def aclose(self) -> None:
        """Let go of the connection."""
        self._writer.transport.abort()


class Relay:
    """The way to one server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._secure else 80)
        self._name, self._prefix = parts.netloc, parts.path.rstrip("/")

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | None = None
    ) -> Relayed:
        """Send a request; return the answer once its head is there, which may be before all was sent.

        Raises:
            TransientError: nobody answers.
        """
        framing = {} if body is None or "content-length" in headers else {"transfer-encoding": "chunked"}
        sent = {"host": self._name, **headers, **framing}
        fields = [(name.encode("ascii"), text.encode("latin-1")) for name, text in sent.items()]
        request = h11.Request(method=method, target=self._prefix + path, headers=fields)
        line = h11.Connection(h11.CLIENT, max_incomplete_event_size=PIECE)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                trust = ssl.create_default_context() if self._secure else None
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=PIECE, ssl=trust)
        except (OSError, TimeoutError) as error:
            raise TransientError(f"nobody is there: {type(error).__name__}") from error
        head = asyncio.create_task(_head(line, reader))
        try:
            writer.write(line.send(request) or b"")
            with contextlib.suppress(ConnectionError, TimeoutError):  # what it said of that is read below
                await _send(line, writer, body, head)
            response = await head
        except BaseException:
            head.cancel()
            writer.close()  # what came until now still arrives, and is kept
            asyncio.get_running_loop().call_later(WRITE_SECONDS, writer.transport.abort)
            raise
        return Relayed(response, line, reader, writer)


async def _send(
    line: h11.Connection,
    writer: asyncio.StreamWriter,
    body: AsyncIterator[bytes] | None,
    head: "asyncio.Task[h11.Response]",
) -> None:
    """Send a body as it comes, until it is answered."""
    if body is not None:
        async for piece in body:
            if head.done():
                return
            if piece:
                writer.write(line.send(h11.Data(data=piece)) or b"")
                async with asyncio.timeout(WRITE_SECONDS):
                    await writer.drain()
    if not head.done():
        writer.write(line.send(h11.EndOfMessage()) or b"")


async def _head(line: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    while not isinstance(event := await _next(line, reader), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise TransientError("the answer has no head")
    return event


async def _next(line: h11.Connection, reader: asyncio.StreamReader) -> object:
    try:
        while (event := line.next_event()) is h11.NEED_DATA:
            line.receive_data(await _read(reader))
    except h11.RemoteProtocolError as error:
        raise TransientError("the answer broke off, or is none") from error
    return event


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await reader.read(PIECE)
    except (OSError, TimeoutError) as error:
        raise TransientError(f"no answer: {type(error).__name__}") from error
