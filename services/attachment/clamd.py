"""Asks clamd, the daemon of ClamAV, about the bytes of a file (its `INSTREAM`)."""

import asyncio
import contextlib
import re
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.contracts.words import Scan
from shared.errors import TransientError

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 120
PIECE_BYTES: Final = 256 * 1024
WORD_MAX: Final = 128
FOUND: Final = re.compile(r"^stream: (.+) FOUND$")
#: `ClamAV 1.4.3/27500/Mon Nov  9 09:26:17 2026`; without signatures of the project only `ClamAV 1.4.3`.
VERSION: Final = re.compile(r"^(ClamAV [^/]+)(?:/(\d+)/(.+))?$")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scan says, what it found, and with what it looked."""

    scan: Scan
    finding: str | None = None
    scanner: str | None = None


def signatures_made_at(version: str) -> datetime | None:
    """Return when the signatures were made that clamd has; nothing if it has none, or does not say."""
    match = VERSION.match(version)
    if match is None or not match[3]:
        return None
    with contextlib.suppress(ValueError):
        return datetime.strptime(" ".join(match[3].split()), "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    return None


def judged(answer: str, version: str, now: datetime, days_max: float) -> Verdict:
    """Return the verdict of an answer: what is found is found, but clean is only what fresh signatures let through."""
    scanner = version.strip()[:WORD_MAX] or None
    if match := FOUND.match(answer):
        return Verdict(Scan.INFECTED, match[1][:WORD_MAX], scanner)
    made_at = signatures_made_at(version)
    fresh = made_at is not None and now - made_at <= timedelta(days=days_max)
    return Verdict(Scan.CLEAN if answer == "stream: OK" and fresh else Scan.UNSCANNED, None, scanner)


class Clamd:
    """A clamd at an address: `host:port`, or the path of its socket."""

    def __init__(self, address: str, *, days_max: float) -> None:
        self._address = address
        self._days_max = days_max

    async def scan(self, chunks: AsyncIterator[bytes]) -> Verdict:
        """Return what clamd says of bytes; what it does not look at to the end is unscanned.

        Raises:
            TransientError: it does not answer.
        """
        try:
            version = await self._asked(b"zVERSION\0")
            answer = await self._streamed(chunks)
        except (OSError, TimeoutError, EOFError) as error:
            raise TransientError(f"clamd does not answer: {type(error).__name__}") from error
        return judged(answer, version, datetime.now(UTC), self._days_max)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            if self._address.startswith("/"):
                return await asyncio.open_unix_connection(self._address)
            host, _, port = self._address.rpartition(":")
            return await asyncio.open_connection(host, int(port))

    async def _asked(self, command: bytes) -> str:
        reader, writer = await self._open()
        try:
            writer.write(command)
            return await _answer(reader)
        finally:
            writer.close()

    async def _streamed(self, chunks: AsyncIterator[bytes]) -> str:
        reader, writer = await self._open()
        try:
            writer.write(b"zINSTREAM\0")
            # It answers before the end where the file is larger than it takes, and closes.
            with contextlib.suppress(ConnectionError):
                async for chunk in chunks:
                    for place in range(0, len(chunk), PIECE_BYTES):
                        piece = chunk[place : place + PIECE_BYTES]
                        writer.write(struct.pack(">I", len(piece)) + piece)
                        async with asyncio.timeout(ANSWER_SECONDS):
                            await writer.drain()
                writer.write(struct.pack(">I", 0))
                await writer.drain()
            try:
                return await _answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                return "broken off"
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(ANSWER_SECONDS):
        return (await reader.readuntil(b"\0"))[:-1].decode("utf-8", "replace").strip()
