"""Bytes of an upload are written piece by piece, and called safe only when all before them are."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from typing import Any

import pytest

from services.attachment.sniff import HEAD_BYTES
from services.attachment.writer import CHUNKS_PER_COMMIT, IN_FLIGHT, Writer
from shared.blob_storage import CHUNK_BYTES
from shared.errors import TransientError

DATA = os.urandom(CHUNK_BYTES)
MANY = 3 * CHUNKS_PER_COMMIT


class Chunks:
    """Chunks in memory, some of which cannot be written, and each of which takes its time."""

    def __init__(self, *fails: int, slow: bool = False) -> None:
        self.stored: dict[int, bytes] = {}
        self.safe: list[int] = []
        self.most = self._now = 0
        self._fails, self._slow = {*fails}, slow

    async def write(self, key: str, first: int, chunks: Sequence[bytes], *, epoch: int) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.002 if self._slow and first % 3 == 0 else 0)
        self._now -= 1
        self.stored |= {n: data for n, data in enumerate(chunks, first) if n not in self._fails}
        if self._fails & {*range(first, first + len(chunks))}:
            raise TransientError("away")

    async def commit(self, offset: int) -> None:
        """Note what is called safe, and look whether it is there."""
        assert all(n in self.stored for n in range(offset // CHUNK_BYTES)), offset
        self.safe.append(offset)


def writer(chunks: Any, *, offset: int = 0, head: bytes = b"") -> Writer:
    room, hasher = asyncio.Semaphore(100), hashlib.sha256()
    return Writer(chunks, "k", offset=offset, epoch=1, head=head, hasher=hasher, commit=chunks.commit, room=room)


@pytest.mark.parametrize("size", [1, 1000, 65_536, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
async def test_what_is_taken_is_stored_however_it_is_cut(size: int):
    data = os.urandom(2 * CHUNK_BYTES + 77) if size > 1 else os.urandom(3000)
    chunks = Chunks()
    taking = writer(chunks)
    for place in range(0, len(data), size):
        await taking.take(data[place : place + size])
    await taking.flush()
    assert b"".join(chunks.stored[n] for n in sorted(chunks.stored)) == data
    assert taking.hasher.digest() == hashlib.sha256(data).digest()
    assert taking.first == data[:HEAD_BYTES]


async def test_an_upload_goes_on_in_the_middle_of_a_chunk():
    chunks = Chunks()
    taking = writer(chunks, offset=CHUNK_BYTES + 3, head=b"abc")
    await taking.take(b"def")
    await taking.flush()
    assert chunks.stored == {1: b"abcdef"}
    assert taking.first == b""


async def test_some_chunks_are_on_their_way_at_once_and_what_is_safe_grows_behind_them():
    chunks = Chunks(slow=True)
    taking = writer(chunks)
    for _ in range(MANY):
        await taking.take(DATA)
    await taking.flush()
    assert 1 < chunks.most <= IN_FLIGHT
    assert chunks.safe == [CHUNKS_PER_COMMIT * CHUNK_BYTES * turn for turn in (1, 2, 3)]


@pytest.mark.parametrize("lost", [0, 5, CHUNKS_PER_COMMIT - 1, CHUNKS_PER_COMMIT, MANY - 1])
@pytest.mark.parametrize("slow", [False, True])
async def test_behind_a_chunk_that_could_not_be_written_nothing_is_called_safe(lost: int, slow: bool):
    chunks = Chunks(lost, slow=slow)
    taking = writer(chunks)
    failed = 0
    for _ in range(MANY):
        try:
            await taking.take(DATA)
        except TransientError:
            failed += 1
            break
    with pytest.raises(TransientError):
        await taking.flush()
    with pytest.raises(TransientError):
        await taking.flush()
    await taking.abandon()
    assert all(offset <= lost * CHUNK_BYTES for offset in chunks.safe)
