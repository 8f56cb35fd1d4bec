"""Files of a session: one folder and nothing outside it, one way or both, so large, so fast, nothing overwritten."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import asyncssh

from callout_agent.sessions.filelog import Log

__all__ = ["Jail", "Rate"]
WRITING = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


class Rate:
    """So many bytes a minute."""

    def __init__(self, per_minute: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60 if per_minute else 0.0
        self._now = now
        self._free_at = now()

    async def take(self, amount: int) -> None:
        """Wait until so many bytes may go."""
        if not self._per_second:
            return
        wait = max(0.0, self._free_at - self._now())
        self._free_at = max(self._free_at, self._now()) + amount / self._per_second
        if wait:
            await asyncio.sleep(wait)


class Jail(asyncssh.SFTPServer):
    """SFTP within one folder. No links are followed, made or told of. What happens to files is told to a `Log`."""

    def __init__(
        self, chan: Any, service: Mapping[str, Any], count: Callable[[int, int], None], log: Log, made: set[bytes]
    ) -> None:
        self._root = os.path.realpath(service["root"])
        super().__init__(chan, chroot=self._root.encode())
        self._direction = service.get("direction", "both")
        self._bytes_max = service.get("file_bytes_max")
        self._overwrite = bool(service.get("overwrite"))
        self._rate = Rate(service.get("bytes_per_minute"))
        self._count = count
        self._made = made  # of the session, so that what broke off may be resumed over another connection
        self._log = log

    def map_path(self, path: bytes) -> bytes:
        """Return the file that a path means.

        Raises:
            asyncssh.SFTPPermissionDenied: It is, or lies behind, a link, or outside of the folder.
        """
        inside = os.path.normpath(b"/" + path.lstrip(b"/")).lstrip(b"/")
        full = os.path.join(self._root.encode(), inside) if inside else self._root.encode()
        if os.path.realpath(full) != full:
            raise asyncssh.SFTPPermissionDenied("links are not followed here")
        return full

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        """Open a file, if it may be read, or written."""
        full = self.map_path(path)
        writes = bool(pflags & WRITING)
        if writes:
            self._may("in")
            if os.path.lexists(full) and not self._overwrite and full not in self._made:
                raise asyncssh.SFTPPermissionDenied("files are not overwritten here")
            if not os.path.lexists(full):
                self._made.add(full)
        if pflags & asyncssh.FXF_READ or not writes:
            self._may("out")
        opened = super().open(path, pflags, attrs)
        self._log.opened(opened, os.fsdecode(full), os.fsdecode(os.path.relpath(full, self._root.encode())), writes)
        return opened

    def close(self, file_obj: object) -> Any:
        """Close a file, and tell how far it is."""
        closed = super().close(file_obj)
        self._log.closed(file_obj)
        return closed

    def exit(self) -> Any:
        """Say that all went well: `scp` takes a server that ends without a word for a fault."""
        self.channel.exit(0)
        return super().exit()

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        """Refuse: version 3 of the protocol is what is spoken here."""
        raise asyncssh.SFTPOpUnsupported("only version 3 is spoken here")

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Read, at the pace that is allowed, and count."""
        await self._rate.take(size)
        data = super().read(file_obj, offset, size)
        data = await data if asyncio.iscoroutine(data) else data
        self._count(0, len(data))
        if data:
            self._log.passed(file_obj, offset + len(data))
        return data

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write, at the pace and up to the size that is allowed, and count."""
        if self._bytes_max is not None and offset + len(data) > self._bytes_max:
            raise asyncssh.SFTPFailure(f"files may have {self._bytes_max} bytes here")
        await self._rate.take(len(data))
        written = super().write(file_obj, offset, data)
        written = await written if asyncio.iscoroutine(written) else written
        self._count(len(data), 0)
        self._log.passed(file_obj, offset + len(data))
        return written

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        """Set times and modes of what was sent here; a size, within the bound."""
        self._may("in")
        self._may_change(self.map_path(path))
        self._fits(attrs)
        return super().setstat(path, attrs)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> Any:
        """Set times and modes of an open file; a size, within the bound."""
        self._may("in")
        self._fits(attrs)
        return super().fsetstat(file_obj, attrs)

    def remove(self, path: bytes) -> Any:
        """Remove what was sent here, or anything where files may be overwritten."""
        self._may("in")
        self._may_change(self.map_path(path))
        return super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        """Make a folder."""
        self._may("in")
        return super().mkdir(path, attrs)

    def rmdir(self, path: bytes) -> Any:
        """Remove an empty folder, where files may be overwritten."""
        self._may("in")
        self._may_change(self.map_path(path))
        return super().rmdir(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        """Rename what was sent here; over another file only where files may be overwritten."""
        self._renamed(oldpath, newpath)
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        """Rename what was sent here; over another file only where files may be overwritten."""
        self._renamed(oldpath, newpath)
        return super().posix_rename(oldpath, newpath)

    def readlink(self, path: bytes) -> bytes:
        """Refuse: there are no links here."""
        raise asyncssh.SFTPPermissionDenied("there are no links here")

    def symlink(self, oldpath: bytes, newpath: bytes) -> Any:
        """Refuse: there are no links here."""
        raise asyncssh.SFTPPermissionDenied("there are no links here")

    def link(self, oldpath: bytes, newpath: bytes) -> Any:
        """Refuse: there are no links here."""
        raise asyncssh.SFTPPermissionDenied("there are no links here")

    def _renamed(self, oldpath: bytes, newpath: bytes) -> None:
        self._may("in")
        old, new = self.map_path(oldpath), self.map_path(newpath)
        self._may_change(old)
        if os.path.lexists(new):
            self._may_change(new)
        self._made.add(new)

    def _may(self, way: str) -> None:
        if self._direction not in {"both", way}:
            raise asyncssh.SFTPPermissionDenied(f"files go only `{self._direction}` here")

    def _may_change(self, full: bytes) -> None:
        if not self._overwrite and full not in self._made:
            raise asyncssh.SFTPPermissionDenied("what is there is not changed here")

    def _fits(self, attrs: asyncssh.SFTPAttrs) -> None:
        if self._bytes_max is not None and attrs.size is not None and attrs.size > self._bytes_max:
            raise asyncssh.SFTPFailure(f"files may have {self._bytes_max} bytes here")
