"""The allow list file: what the device's owner lets remote sessions reach."""

from __future__ import annotations

import base64
import binascii
import os
import pwd
import stat
from pathlib import Path
from typing import Callable

from callout_agent.domain.allow import AllowList, Endpoint, Hours, Root, Terminal, endpoint_of, hours_of
from callout_agent.settings import toml
from callout_agent.tables import Misconfigured, Table

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
KEY_BYTES = 32


def load(path: Path) -> AllowList:
    """Read an allow list.

    Raises:
        Misconfigured: It cannot be used; then nothing is allowed.
    """
    table = Table(toml(path), path.name)
    if os.stat(path).st_mode & OTHERS_MAY_WRITE:  # noqa: PTH116
        raise Misconfigured(f"{path}: others may write it; chmod go-w")
    read = AllowList(
        forbid_all=table.flag("forbid_all", default=False),
        endpoints=tuple(_endpoint(text, table) for text in table.texts("endpoints")),
        roots=tuple(_root(each) for each in table.tables("root")),
        hours=tuple(_hours(text, table) for text in table.texts("hours")),
        owners=tuple(_owner(text, table) for text in table.texts("owners")),
        terminals=tuple(_terminal(each) for each in table.tables("terminal")),
    )
    table.end()
    return read


class Switchboard:
    """What may be reached at this moment: the list and the switch, looked at again whenever they change.

    Nothing, as long as the list cannot be used, and as long as there is a file where the switch is.
    """

    def __init__(self, path: Path | None, switch: Path, wrong: Callable[[str], None]) -> None:
        self._path = path
        self._switch = switch
        self._wrong = wrong
        self._read_of: tuple[int, int, int] | None = None
        self._list = AllowList()

    def __call__(self) -> AllowList:
        """Return it."""
        if self._path is None or os.path.lexists(self._switch):
            return AllowList()
        try:
            status = self._path.stat()
            read_of = (status.st_mtime_ns, status.st_size, status.st_ino)
            if read_of != self._read_of:
                self._read_of, self._list = read_of, AllowList()
                self._list = load(self._path)
        except (OSError, Misconfigured) as error:
            if self._list != AllowList() or not isinstance(error, OSError):
                self._wrong(str(error))
            self._list = AllowList()
        return self._list


def _endpoint(text: str, table: Table) -> Endpoint:
    try:
        return endpoint_of(text)
    except ValueError as error:
        raise table.wrong("endpoints", str(error)) from error


def _owner(text: str, table: Table) -> str:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise table.wrong("owners", f"must hold Ed25519 public keys (32 bytes, base64url); not {text!r}")
    return text


def _root(table: Table) -> Root:
    text = table.needed("path")
    root = Root(text, table.flag("writable", default=False))
    table.end()
    path = Path(text)
    if not path.is_absolute() or path == Path("/") or ".." in path.parts:
        raise table.wrong("path", f"must be a folder below /, written in full; not {text!r}")
    if not path.is_dir() or path.resolve() != path:
        raise table.wrong("path", f"must be a folder that is there, and no link; {text!r} is not")
    return root


def _terminal(table: Table) -> Terminal:
    megabytes = table.number("record_mb_max", 64, least=1, most=100_000) or 64
    terminal = Terminal(
        endpoint=table.needed("endpoint", pattern=r"[a-z0-9][a-z0-9._-]{0,62}"),
        command=table.texts("command"),
        user=table.text("user") or "",
        record=table.flag("record", default=True),
        record_bytes_max=int(megabytes * 1024 * 1024),
    )
    table.end()
    if not terminal.command or not Path(terminal.command[0]).is_absolute():
        raise table.wrong("command", "must be a program, by its full path, and its arguments")
    if not os.access(terminal.command[0], os.X_OK):
        raise table.wrong("command", f"must be a program; {terminal.command[0]!r} is none that can be run")
    if os.geteuid() == 0 and not terminal.user:
        raise table.wrong("user", "must say as whom it runs: the agent is root")
    if terminal.user:
        try:
            pwd.getpwnam(terminal.user)
        except KeyError:
            raise table.wrong("user", f"must be a user of this machine; {terminal.user!r} is none") from None
    return terminal


def _hours(text: str, table: Table) -> Hours:
    try:
        return hours_of(text)
    except ValueError as error:
        raise table.wrong("hours", str(error)) from error
