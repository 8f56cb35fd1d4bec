"""Writes the bytes of one upload as they come: in flat memory, some chunks together, and some of these at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from services.attachment.sniff import HEAD_BYTES
from shared.blob_storage import CHUNK_BYTES, GridFiles

CHUNKS_PER_COMMIT: Final = 16
#: What goes to the database in one go, and how many of these are on their way: each waits for the journal.
CHUNKS_TOGETHER: Final = 2
IN_FLIGHT: Final = 4
#: Of all uploads of a process together.
IN_FLIGHT_OF_ALL: Final = 32


class Writer:
    """Takes bytes from `offset` on; `commit` notes how far they are safe, while more of them come.

    `hasher` follows all that was taken, so that it needs no second look where an upload is not cut off; `first` are
    the first bytes of a file that began here.
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
        commit: Callable[[int], Awaitable[object]] | None,
        room: asyncio.Semaphore,
    ) -> None:
        self._files = files
        self._key = key
        self._epoch = epoch
        self._commit = commit
        self._room = room
        self._pieces = [head] if head else []
        self._held = len(head)
        self._n = offset // CHUNK_BYTES
        self._chunks: list[bytes] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._committing: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._since_commit = 0
        self.first = b""
        self.offset = offset
        self.hasher = hasher

    async def take(self, data: bytes) -> None:
        """Take bytes."""
        if self.hasher is not None:
            self.hasher.update(data)
        if self.offset == len(self.first) < HEAD_BYTES:
            self.first = self.first + data[: HEAD_BYTES - len(self.first)]
        self.offset += len(data)
        while data:
            part, data = data[: CHUNK_BYTES - self._held], data[CHUNK_BYTES - self._held :]
            self._pieces.append(part)
            self._held += len(part)
            if self._held == CHUNK_BYTES:
                self._cut()
                if len(self._chunks) == CHUNKS_TOGETHER:
                    await self._send()
        if self._since_commit >= CHUNKS_PER_COMMIT and self._commit is not None:
            self._since_commit = 0
            await self._committed()
            sending, whole = tuple(self._sending), self._n * CHUNK_BYTES
            self._committing = asyncio.create_task(_commit_after(sending, self._commit, whole))

    async def flush(self) -> None:
        """Write what is left; return when all that was taken is stored.

        Raises:
            CalloutError: some of it could not be written, now or before.
        """
        if self._held:
            self._cut()
        if self._chunks and self._failure is None:
            await self._send()
        sending, self._sending = self._sending, set()
        self._look_at(await asyncio.gather(*sending, return_exceptions=True))
        await self._committed()

    async def abandon(self) -> None:
        """Let what is on its way end, whatever becomes of it."""
        await asyncio.gather(*self._sending, *filter(None, [self._committing]), return_exceptions=True)

    def _cut(self) -> None:
        self._chunks.append(b"".join(self._pieces))
        self._pieces, self._held = [], 0

    async def _send(self) -> None:
        chunks, self._chunks = self._chunks, []
        await self._room.acquire()
        task = asyncio.create_task(self._files.write(self._key, self._n, chunks, epoch=self._epoch))
        self._n += len(chunks)
        self._since_commit += len(chunks)
        task.add_done_callback(lambda _: self._room.release())
        self._sending.add(task)
        if len(self._sending) >= IN_FLIGHT:
            done, self._sending = await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            self._look_at([each.exception() for each in done])

    def _look_at(self, errors: Iterable[BaseException | None]) -> None:
        # One that is missing is missing for good: whatever is written after it, nothing behind it is safe.
        self._failure = next((error for error in (self._failure, *errors) if error is not None), None)
        if self._failure is not None:
            raise self._failure

    async def _committed(self) -> None:
        committing, self._committing = self._committing, None
        if committing is not None:
            await committing


async def _commit_after(
    sending: Iterable[asyncio.Task[None]], commit: Callable[[int], Awaitable[object]], to: int
) -> None:
    """Note that all up to an offset is safe, once the chunks that were on their way are."""
    await asyncio.gather(*sending)
    await commit(to)
