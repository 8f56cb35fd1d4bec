"""Files of signed lines: appended to, read again after any end, cut back to what was whole."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MAC_CHARACTERS = 32
SUFFIX = ".journal"


class Busy(Exception):
    """Another process keeps its journal in this folder."""


class Line(NamedTuple):
    """One line that was read: where it stands, and what it says; None if it is damaged."""

    offset: int
    length: int
    said: dict[str, Any] | None


class Place(NamedTuple):
    """Where a line lies."""

    segment: int
    offset: int
    length: int


class Signer:
    """Signs lines with a key of this device alone (HMAC-SHA256, cut to 128 bits)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_folder(cls, folder: Path) -> Signer:
        """Take the key of the folder; make one, readable by its owner alone, where there is none."""
        path = folder / "journal.key"
        if not path.exists():
            fresh = folder / f"journal.key.{secrets.token_hex(4)}"
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            sync_folder(folder)
        return cls(path.read_bytes())

    def line(self, segment: int, said: dict[str, Any]) -> bytes:
        """Write a line; its signature holds in this segment only."""
        text = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
        return self._mac(segment, text) + b" " + text + b"\n"

    def read(self, segment: int, line: bytes) -> dict[str, Any] | None:
        """Return what a line says, if all of it is as it was written."""
        mac, text = line[:MAC_CHARACTERS], line[MAC_CHARACTERS + 1 :]
        if not hmac.compare_digest(mac, self._mac(segment, text)) or line[MAC_CHARACTERS : MAC_CHARACTERS + 1] != b" ":
            return None
        said: dict[str, Any] = json.loads(text)
        return said

    def _mac(self, segment: int, text: bytes) -> bytes:
        digest = hmac.new(self._key, b"%d|" % segment + text, hashlib.sha256).hexdigest()
        return digest[:MAC_CHARACTERS].encode()


def sync_folder(folder: Path) -> None:
    """Make names that came or went in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def path_of(folder: Path, number: int) -> Path:
    """Return where a segment lies."""
    return folder / f"{number:08d}{SUFFIX}"


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in a folder, oldest first."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())


def lines(folder: Path, number: int, signer: Signer) -> Iterator[Line]:
    """Read a segment, its damaged lines and an unfinished last one included."""
    offset = 0
    with path_of(folder, number).open("rb") as file:
        for line in file:
            whole = line.endswith(b"\n")
            yield Line(offset, len(line), signer.read(number, line[:-1]) if whole else None)
            offset += len(line)


class Writer:
    """The segment that is written to."""

    def __init__(self, folder: Path, number: int, *, fresh: bool) -> None:
        self.number = number
        self._file = os.open(
            path_of(folder, number), os.O_RDWR | os.O_CREAT | os.O_APPEND | (os.O_EXCL if fresh else 0), 0o600
        )
        self.size = os.fstat(self._file).st_size
        self._unsynced = False
        if fresh:
            sync_folder(folder)

    def append(self, line: bytes) -> int:
        """Write a line whole or not at all; return where it begins.

        Raises:
            OSError: There is no room, or the disk fails; the segment is as before.
        """
        begin, left = self.size, line
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.ftruncate(self._file, begin)
            raise
        self.size += len(line)
        self._unsynced = True
        return begin

    def cut(self, size: int) -> None:
        """Throw away what comes after so many bytes."""
        os.ftruncate(self._file, size)
        self.size = size
        self._unsynced = True

    def sync(self) -> None:
        """Return when all that was written would outlive a loss of power."""
        if self._unsynced:
            os.fdatasync(self._file)
            self._unsynced = False

    def close(self) -> None:
        """Sync, and let go of the file."""
        self.sync()
        os.close(self._file)


def locked(folder: Path) -> int:
    """Take the folder for this process alone; return what to close to let it go.

    Raises:
        Busy: It is another process's.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Busy(str(folder)) from error
    return handle
