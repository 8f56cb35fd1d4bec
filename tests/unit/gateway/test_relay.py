"""What passes through the gateway comes out as it went in, whatever the other side does."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.gateway.http.relay import PIECE, Relay, Relayed
from shared.errors import TransientError

DATA = os.urandom(3 * PIECE + 77)
PART = bytes(1024 * 1024)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers as it is told, and what it was sent."""

    def __init__(self, answer: bytes, *, early: bool = False, hangs_up: bool = False) -> None:
        self._answer, self._early, self._hangs_up = answer, early, hangs_up
        self.head, self.body = b"", b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        if not self._early and b"content-length: " in self.head:
            length = int(self.head.partition(b"content-length: ")[2].split()[0])
            self.body = await reader.readexactly(length)
        elif not self._early and b"chunked" in self.head:
            self.body = await reader.readuntil(b"0\r\n\r\n")
        writer.write(self._answer)
        await writer.drain()
        if self._hangs_up:
            writer.close()


@asynccontextmanager
async def relay(server: Server) -> AsyncIterator[Relay]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        yield Relay(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/base/")


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for place in range(0, len(data), size):
        yield data[place : place + size]


async def read(answer: Relayed) -> bytes:
    try:
        return await answer.aread()
    finally:
        await answer.aclose()


async def test_bytes_go_there_and_come_back_as_they_are() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: x\r\n\r\n" % len(DATA) + DATA)
    async with relay(server) as there:
        sent = {"content-length": str(len(DATA)), "upload-metadata": "n\xe4me"}
        answer = await there.ask("PATCH", "/uploads/1", sent, pieces(DATA))
        assert (answer.status_code, answer.headers["etag"], answer.is_success) == (200, "x", True)
        assert await read(answer) == DATA
    assert server.head.startswith(b"PATCH /base/uploads/1 HTTP/1.1\r\n")
    assert b"upload-metadata: n\xe4me\r\n" in server.head
    assert server.body == DATA


async def test_a_body_of_unknown_length_goes_in_chunks_and_an_answer_may_too() -> None:
    server = Server(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    async with relay(server) as there:
        assert await read(await there.ask("POST", "/files", {}, pieces(b"abc", 1))) == b"hello"
    assert server.body == b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_refusal_that_comes_before_all_was_sent_is_told(hangs_up: bool) -> None:
    refusal = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno"
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield bytes(1000)
            await asyncio.sleep(0.001)

    async with relay(Server(refusal, early=True, hangs_up=hangs_up)) as there, asyncio.timeout(60):
        answer = await there.ask("PATCH", "/uploads/1", {"content-length": str(10**9)}, endless())
        assert (answer.status_code, await read(answer)) == (409, b"no")
    assert asked


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n"])
async def test_who_breaks_off_before_an_answer_is_not_there(answer: bytes) -> None:
    async with relay(Server(answer, hangs_up=True)) as there:
        with pytest.raises(TransientError):
            await there.ask("GET", "/files/1/content", {})


async def test_an_answer_that_breaks_off_is_not_taken_for_whole() -> None:
    async with relay(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", hangs_up=True)) as there:
        answer = await there.ask("GET", "/files/1/content", {})
        with pytest.raises(TransientError):
            await read(answer)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_without_a_body_is_empty(status: bytes) -> None:
    async with relay(Server(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")) as there:
        assert await read(await there.ask("GET", "/files/1/content", {})) == b""


async def test_when_nobody_listens_that_is_said() -> None:
    async with relay(Server(b"")) as there:
        pass
    with pytest.raises(TransientError):
        await there.ask("GET", "/", {})


async def test_a_client_that_breaks_off_is_heard_on_the_other_side() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        gone.set()
        writer.close()

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise RuntimeError("the client went")

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, asyncio.timeout(60):
        there = Relay(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(RuntimeError):
            await there.ask("PATCH", "/uploads/1", {"content-length": "9"}, broken())
        await gone.wait()


async def test_an_answer_that_is_not_taken_waits_at_the_server() -> None:
    size, sent = 64 * 1024 * 1024, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PART)):
            writer.write(PART)
            await writer.drain()
            sent += len(PART)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, asyncio.timeout(60):
        there = Relay(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        answer = await there.ask("GET", "/files/1/content", {})
        before = -1
        while before != sent:  # until it moves no more
            before = sent
            await asyncio.sleep(0.5)
        assert sent < size / 2  # what the system's own buffers take, and what is held here
        assert len(await read(answer)) == size


async def test_an_answer_that_is_reset_is_not_taken_for_whole() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, asyncio.timeout(60):
        there = Relay(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(TransientError):
            await read(await there.ask("GET", "/files/1/content", {}))
