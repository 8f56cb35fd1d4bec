"""The allow list file: what the device's owner lets remote sessions reach."""

from __future__ import annotations

import os
import stat
from ipaddress import ip_address
from pathlib import Path

from callout_agent.domain.allow import AllowList, Endpoint, Hours, Root, hours_of
from callout_agent.settings import toml
from callout_agent.tables import Misconfigured, Table

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


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
    )
    table.end()
    return read


def _endpoint(text: str, table: Table) -> Endpoint:
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError as error:
        raise table.wrong("endpoints", f"must hold addresses, never names, as 192.168.0.10:22; not {text!r}") from error
    if address.is_multicast or address.is_unspecified:
        raise table.wrong("endpoints", f"must hold addresses of one machine; not {text!r}")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise table.wrong("endpoints", f"must hold a port from 1 to 65535; not {text!r}")
    return Endpoint(address, int(port))


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


def _hours(text: str, table: Table) -> Hours:
    try:
        return hours_of(text)
    except ValueError as error:
        raise table.wrong("hours", str(error)) from error
