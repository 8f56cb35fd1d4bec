"""Hands requests on to another server, and its answers back, piece by piece: for bytes that only pass through.

A general client does more to each piece than all else that happens to it here. Heads are read and written by h11,
bodies of a known length by nobody. Each request has a connection of its own; an answer may come before all was sent.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import h11
import httpx

from shared.errors import TransientError

PIECE: Final = 256 * 1024
#: What is held of an answer that comes faster than it is taken.
HELD_MAX: Final = 512 * 1024
#: Storing a large file elsewhere takes its time after the last byte.
CONNECT_SECONDS, WRITE_SECONDS, READ_SECONDS = 3, 60, 300
BODILESS: Final = frozenset({204, 304})


class _Wire(asyncio.Protocol):
    """A connection with the server: hands on the pieces that the loop has, where streams of asyncio copy each twice."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._error: Exception | None = None
        self._came, self._flows = asyncio.Event(), asyncio.Event()
        self._flows.set()

    @property
    def transport(self) -> asyncio.Transport:
        """What it is written to, and ended by."""
        if self._transport is None:
            raise TransientError("the connection is not open")
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hold a piece until it is read; have the server wait when much is held."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held >= HELD_MAX:
            self.transport.pause_reading()
        self._came.set()

    def eof_received(self) -> bool:
        """Note that nothing more comes; what is on its way there goes on, where TLS lets it."""
        self._ended = True
        self._came.set()
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is over."""
        self._ended, self._error = True, exc
        self._came.set()
        self._flows.set()

    def pause_writing(self) -> None:
        """Have who writes wait."""
        self._flows.clear()

    def resume_writing(self) -> None:
        """Let who writes go on."""
        self._flows.set()

    async def read(self) -> bytes:
        """Return the next piece; none at the end.

        Raises:
            TransientError: it broke, or nothing came for too long.
        """
        if not self._pieces and not self._ended:
            self._came.clear()
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await self._came.wait()
            except TimeoutError as error:
                raise TransientError("no answer") from error
        if not self._pieces:
            if self._error is not None:
                raise TransientError(f"no answer: {type(self._error).__name__}")
            return b""
        piece = self._pieces.popleft()
        if self._held >= HELD_MAX > self._held - len(piece) and not self._ended:
            self.transport.resume_reading()
        self._held -= len(piece)
        return piece

    async def write(self, data: bytes) -> None:
        """Send bytes; return when more may come.

        Raises:
            ConnectionError: the server is gone.
            TimeoutError: it takes none for too long.
        """
        self.transport.write(data)
        if not self._flows.is_set():
            async with asyncio.timeout(WRITE_SECONDS):
                await self._flows.wait()
        if self._error is not None or self.transport.is_closing():
            raise ConnectionResetError("the server is gone")


class Relayed:
    """An answer, as far as it has come."""

    def __init__(self, response: h11.Response, line: h11.Connection, wire: _Wire) -> None:
        self.status_code = response.status_code
        self.headers = httpx.Headers([*response.headers])
        self._line, self._wire = line, wire

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
            while isinstance(event := await _next(self._line, self._wire), h11.Data):
                yield bytes(event.data)
            return
        left, held = int(length), self._line.trailing_data[0]
        while left:
            piece = held or await self._wire.read()
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
        self._wire.transport.abort()


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
                loop = asyncio.get_running_loop()
                _, wire = await loop.create_connection(_Wire, self._host, self._port, ssl=trust)
        except (OSError, TimeoutError) as error:
            raise TransientError(f"nobody is there: {type(error).__name__}") from error
        head = asyncio.create_task(_head(line, wire))
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):  # what it said of that is read below
                await wire.write(line.send(request) or b"")
                await _send(line, wire, body, head)
            response = await head
        except BaseException:
            head.cancel()
            wire.transport.close()  # what came until now still arrives, and is kept
            asyncio.get_running_loop().call_later(WRITE_SECONDS, wire.transport.abort)
            raise
        return Relayed(response, line, wire)


async def _send(
    line: h11.Connection, wire: _Wire, body: AsyncIterator[bytes] | None, head: "asyncio.Task[h11.Response]"
) -> None:
    """Send a body as it comes, until it is answered."""
    if body is not None:
        async for piece in body:
            if head.done():
                return
            if piece:
                await wire.write(line.send(h11.Data(data=piece)) or b"")
    if not head.done():
        await wire.write(line.send(h11.EndOfMessage()) or b"")


async def _head(line: h11.Connection, wire: _Wire) -> h11.Response:
    while not isinstance(event := await _next(line, wire), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise TransientError("the answer has no head")
    return event


async def _next(line: h11.Connection, wire: _Wire) -> object:
    try:
        while (event := line.next_event()) is h11.NEED_DATA:
            line.receive_data(await wire.read())
    except h11.RemoteProtocolError as error:
        raise TransientError("the answer broke off, or is none") from error
    return event
