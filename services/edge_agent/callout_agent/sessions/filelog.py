"""What happens to the files of a session: how far each is, and its digest once it was closed and is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from typing import Any, Callable

TOLD_SECONDS = 2.0
CHUNK = 1024 * 1024


@dataclass
class Open:
    """A file that is open: where it is, what it is called below its folder, which way it goes, how far it is."""

    path: str
    name: str
    way: str
    began: int = 0
    offset: int = 0
    told_at: float = 0.0


class Log:
    """Follows the files of one session; `tell` is given what there is to say of one."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], now: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._now = now
        self._open: dict[int, Open] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def opened(self, file_obj: object, path: str, name: str, writes: bool) -> None:
        """Note a file that was opened."""
        self._open[id(file_obj)] = Open(path, name, "in" if writes else "out", told_at=self._now())

    def passed(self, file_obj: object, offset: int) -> None:
        """Note that bytes up to an offset went through, and tell it now and then."""
        known = self._open.get(id(file_obj))
        if known is None:
            return
        known.offset = max(known.offset, offset)
        if self._now() - known.told_at >= TOLD_SECONDS:
            known.told_at = self._now()
            self._tell(self._said(known, closed=False))

    def closed(self, file_obj: object) -> None:
        """Tell of a file through which something went how far it is; its digest follows when all of it went through."""
        known = self._open.pop(id(file_obj), None)
        if known is None or (known.offset == 0 and _size(known.path) != 0):
            return
        task = asyncio.ensure_future(self._end(known))
        self._tasks.add(task)  # the loop itself keeps none
        task.add_done_callback(self._tasks.discard)

    async def _end(self, known: Open) -> None:
        said = self._said(known, closed=True)
        if known.way == "in":
            # What lies there is what came, in this session or before it: a client that resumes sends the rest alone.
            said["offset"] = said.get("size", known.offset)
        if said["offset"] == said.get("size"):
            loop = asyncio.get_running_loop()
            digest = await loop.run_in_executor(None, digest_of, known.path)
            if digest is not None:
                said["sha256"] = digest
        self._tell(said)

    @staticmethod
    def _said(known: Open, *, closed: bool) -> dict[str, Any]:
        said: dict[str, Any] = {"name": known.name, "direction": known.way, "offset": known.offset, "closed": closed}
        size = _size(known.path)
        return said if size is None else {**said, "size": size}


def digest_of(path: str) -> str | None:
    """Return the SHA-256 of a file; nothing if it is gone."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def _size(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return None
