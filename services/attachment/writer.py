"""Writes the bytes of one upload as they come: in flat memory, some chunks on their way at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from shared.blob_storage import CHUNK_BYTES, GridFiles

CHUNKS_PER_COMMIT: Final = 16
IN_FLIGHT: Final = 3
#: Of all uploads of a process together.
IN_FLIGHT_OF_ALL: Final = 24


class Writer:
    """Takes bytes from `offset` on; `commit` notes how far they are safe.

    `hasher` follows all that was taken, so that it needs no second look where an upload is not cut off.
    """

    def __init__(
        self,
        files: GridFiles,
        key: str,
        *,
        offset: int,
        epoch: int,
        head: bytes,
        hasher: Any | None,  # noqa: ANN401 - hashlib's
        commit: Callable[[int], Awaitable[None]] | None,
        room: asyncio.Semaphore,
    ) -> None:
        self._files = files
        self._key = key
        self._epoch = epoch
        self._commit = commit
        self._room = room
        self._buffer = bytearray(head)
        self._n = offset // CHUNK_BYTES
        self._sending: set[asyncio.Task[None]] = set()
        self._since_commit = 0
        self.offset = offset
        self.hasher = hasher

    async def take(self, data: bytes) -> None:
        """Take bytes."""
        if self.hasher is not None:
            self.hasher.update(data)
        self.offset += len(data)
        self._buffer += data
        while len(self._buffer) >= CHUNK_BYTES:
            chunk = bytes(self._buffer[:CHUNK_BYTES])
            del self._buffer[:CHUNK_BYTES]
            await self._send(chunk)
            self._n += 1
            self._since_commit += 1
        if self._since_commit >= CHUNKS_PER_COMMIT and self._commit is not None:
            self._since_commit = 0
            whole = self._n * CHUNK_BYTES
            await self._sent()
            await self._commit(whole)

    async def flush(self) -> None:
        """Write what is left; return when all that was taken is stored."""
        if self._buffer:
            await self._send(bytes(self._buffer))
        await self._sent()

    async def abandon(self) -> None:
        """Let what is on its way end, whatever becomes of it."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, chunk: bytes) -> None:
        await self._room.acquire()
        task = asyncio.create_task(self._files.write(self._key, self._n, chunk, epoch=self._epoch))
        task.add_done_callback(lambda _: self._room.release())
        self._sending.add(task)
        if len(self._sending) >= IN_FLIGHT:
            done, self._sending = await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()

    async def _sent(self) -> None:
        sending, self._sending = self._sending, set()
        await asyncio.gather(*sending)
