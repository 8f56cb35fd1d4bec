"""What a terminal showed, as asciicast v2: a line of JSON for what it is, then one for each thing that it showed.

What a technician types is not in it, as far as the terminal does not show it: passwords stay out.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Callable


class Full(Exception):
    """No more may be recorded."""


class Recording:
    """One file, written as things happen: whatever dies, what was shown before is there."""

    def __init__(
        self,
        path: Path,
        columns: int,
        rows: int,
        title: str,
        term: str,
        bytes_max: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.size = 0
        self._now = now
        self._began = now()
        self._left = bytes_max
        self._digest = hashlib.sha256()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        head = {"version": 2, "width": columns, "height": rows, "timestamp": int(self._began), "title": title}
        self._line({**head, "env": {"TERM": term}})

    def showed(self, data: bytes) -> None:
        """Note what the terminal showed.

        Raises:
            Full: There is no more room for it.
            OSError: It cannot be written.
        """
        self._event("o", self._decoder.decode(data))

    def resized(self, columns: int, rows: int) -> None:
        """Note that the terminal has another size.

        Raises:
            Full: There is no more room for it.
            OSError: It cannot be written.
        """
        self._event("r", f"{columns}x{rows}")

    def close(self) -> str:
        """End it; return its SHA-256."""
        os.fsync(self._file)
        os.close(self._file)
        return self._digest.hexdigest()

    def _event(self, kind: str, text: str) -> None:
        if text:
            self._line([round(max(0.0, self._now() - self._began), 6), kind, text])

    def _line(self, what: object) -> None:
        line = json.dumps(what, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if len(line) > self._left:
            raise Full
        self._left -= len(line)
        view = memoryview(line)
        while view:
            view = view[os.write(self._file, view) :]
        self._digest.update(line)
        self.size += len(line)
