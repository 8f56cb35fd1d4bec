"""The configuration: one TOML file, and those it includes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from callout_agent.domain.trigger import Trigger
from callout_agent.tables import Misconfigured, Table
from callout_agent.triggers import trigger

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TENANT = r"[a-z0-9][a-z0-9-]{0,62}"
DEVICE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
MACHINE = ("serial", "model", "brand", "technology")


@dataclass(frozen=True)
class Broker:
    """Where MQTT is spoken, and by what right."""

    host: str
    port: int
    tls: bool
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    username: str | None = None
    client_id: str = ""
    session_s: int = 3600


@dataclass(frozen=True)
class Keeping:
    """How the journal is kept."""

    folder: Path
    max_bytes: int = 8 * 1024 * 1024
    when_full: str = "oldest"
    fsync_s: float = 0.0


@dataclass(frozen=True)
class Feed:
    """Where readings come from: `stdin`, `csv` or `mqtt`."""

    kind: str
    path: Path | None = None
    time_column: str = "timestamp"
    utc_offset_h: float = 0.0
    follow: bool = False
    broker: Broker | None = None
    topics: tuple[str, ...] = ()
    series: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Enrolment:
    """Where a code is changed for the first certificate, and after which part of its life the next one is asked for."""

    broker: Broker | None = None
    renew_at: float = 2 / 3


@dataclass(frozen=True)
class Sessions:
    """Remote sessions: what they may reach, and the relays that carry them; without relays there are none.

    While there is a file at `switch`, all sessions are forbidden. What terminals showed is kept in `recordings`.
    """

    switch: Path
    identity: Path
    recordings: Path
    allow: Path | None = None
    relays: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Settings:
    """All that an owner of a device may say."""

    tenant: str
    device: str
    interval_s: float
    machine: Mapping[str, str]
    broker: Broker
    keeping: Keeping
    enrolment: Enrolment
    feeds: tuple[Feed, ...]
    triggers: tuple[Trigger, ...]
    sessions: Sessions
    source: Path


def load(path: Path) -> Settings:
    """Read a configuration; paths in it are relative to its folder.

    Raises:
        Misconfigured: It cannot be used.
    """
    path = path.absolute()
    folder = path.parent
    table = Table(toml(path), path.name)
    device = table.table("device", needed=True)
    tenant, name = device.needed("tenant", pattern=TENANT), device.needed("id", pattern=DEVICE)
    interval = device.number("interval_s", 30.0, least=1, most=86400) or 30.0
    device.end()
    machine = table.table("machine")
    words = {each: said for each in MACHINE for said in [machine.text(each, most=100)] if said}
    machine.end()
    keeping = _keeping(table.table("journal"), folder)
    settings = Settings(
        tenant=tenant,
        device=name,
        interval_s=interval,
        machine=words,
        broker=broker(table.table("connection", needed=True), folder, f"{tenant}/{name}"),
        keeping=keeping,
        enrolment=_enrolment(table.table("enrolment"), folder, f"{tenant}/{name}"),
        feeds=tuple(_feed(each, folder) for each in table.tables("feed")),
        triggers=_triggers(table, folder, words.get("model")),
        sessions=_sessions(table.table("sessions"), folder, keeping.folder),
        source=path,
    )
    table.end()
    if sum(feed.kind == "stdin" for feed in settings.feeds) > 1:
        raise Misconfigured(f"{path.name}: there is one standard input, and two feeds want it")
    return settings


def toml(path: Path) -> dict[str, Any]:
    """Read a file of TOML.

    Raises:
        Misconfigured: It is not there, or none.
    """
    try:
        with path.open("rb") as file:
            return dict(tomllib.load(file))
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # what is no TOML, and what is no UTF-8
        raise Misconfigured(f"{path}: is no TOML: {error}") from error


def broker(table: Table, folder: Path, who: str | None) -> Broker:
    """Read where a broker is; `who` is the device, at ours."""
    url = urlsplit(table.needed("url", pattern=r"mqtts?://[^/\s]+/?"))
    try:
        port = url.port
    except ValueError as error:
        raise table.wrong("url", f"has no port that can be: {error}") from error
    tls = url.scheme == "mqtts"
    read = Broker(
        host=url.hostname or "",
        port=port or (8883 if tls else 1883),
        tls=tls,
        ca=_path(table, "ca", folder),
        certificate=_path(table, "certificate", folder),
        key=_path(table, "key", folder),
        token_file=_path(table, "token_file", folder),
        username=table.text("username", who, most=256),
        client_id=table.text("client_id", who, most=256) or "",
        session_s=int(table.number("session_s", 3600, least=0, most=7 * 86400) or 0),
    )
    table.end()
    if url.username or url.password:
        raise table.wrong("url", "must not hold a name or a secret: use username and token_file")
    if not read.host:
        raise table.wrong("url", "names no host")
    if (read.certificate is None) != (read.key is None):
        raise table.wrong("certificate", "and key go together")
    if read.certificate is not None and not tls:
        raise table.wrong("certificate", "needs mqtts://")
    if read.token_file is not None and not tls and read.host not in LOOPBACK:
        raise table.wrong("token_file", "would send the token in the clear: use mqtts://, or a broker on this machine")
    if who is not None and read.certificate is None and read.token_file is None:
        raise table.wrong("certificate", "is missing (or token_file): a device must say who it is")
    return read


def _keeping(table: Table, folder: Path) -> Keeping:
    where = _path(table, "folder", folder) or folder / "state"
    least = 64 * 1024
    keeping = Keeping(
        folder=where,
        max_bytes=int(table.number("max_bytes", 8 * 1024 * 1024, least=least, most=1 << 30) or least),
        when_full=table.text("when_full", "oldest", choices=("oldest", "newest")) or "oldest",
        fsync_s=table.number("fsync_s", 0.0, least=-1, most=3600) or 0.0,
    )
    table.end()
    return keeping


def _enrolment(table: Table, folder: Path, who: str) -> Enrolment:
    renew_at = table.number("renew_at", 2 / 3, least=0.1, most=0.95) or 2 / 3
    if not table.has("url"):
        table.text("url")
        table.end()
        return Enrolment(None, renew_at)
    read = broker(table, folder, None)
    if not read.tls and read.host not in LOOPBACK:
        raise table.wrong("url", "would send the code in the clear: use mqtts://, or a broker on this machine")
    return Enrolment(replace(read, username=f"enroll/{who}", client_id=f"enroll/{who}", session_s=0), renew_at)


def _sessions(table: Table, folder: Path, kept: Path) -> Sessions:
    read = Sessions(
        switch=_path(table, "switch", folder) or kept / "sessions.off",
        identity=_path(table, "identity", folder) or folder / "sessions",
        recordings=_path(table, "recordings", folder) or kept / "recordings",
        allow=_path(table, "allow", folder),
        relays=tuple(_relay(text, table) for text in table.texts("relays")),
    )
    table.end()
    return read


def _relay(text: str, table: Table) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise table.wrong("relays", f"must hold relays as relay.example:2222; not {text!r}")
    return host.strip("[]"), int(port)


def _feed(table: Table, folder: Path) -> Feed:
    kind = table.needed("kind", choices=("stdin", "csv", "mqtt"))
    if kind == "stdin":
        feed = Feed(kind)
    elif kind == "csv":
        feed = Feed(
            kind,
            path=_path(table, "path", folder),
            time_column=table.text("time_column", "timestamp", most=200) or "",
            utc_offset_h=table.number("utc_offset_h", 0.0, least=-14, most=14) or 0.0,
            follow=table.flag("follow", default=False),
            series=table.mapping("series"),
        )
        if feed.path is None:
            raise table.wrong("path", "is missing")
    else:
        topics, series = table.texts("topics"), table.mapping("series")
        feed = Feed(kind, topics=topics, series=series, broker=broker(table.table("broker", needed=True), folder, None))
        if not topics:
            raise table.wrong("topics", "is missing")
    table.end()
    return feed


def _triggers(table: Table, folder: Path, model: str | None) -> tuple[Trigger, ...]:
    tables = table.tables("trigger")
    for pattern in table.texts("include"):
        found = sorted(folder.glob(pattern)) if not Path(pattern).is_absolute() else [Path(pattern)]
        if not found and not any(sign in pattern for sign in "*?["):
            raise table.wrong("include", f"names {pattern}, which is not there")
        for path in found:
            included = Table(toml(path), path.name)
            tables += included.tables("trigger")
            included.end()
    read = [trigger(each) for each in tables]
    names = [each.name for each in read]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Misconfigured(f"{table.where}: two triggers are called {twice[0]}")
    return tuple(each for each in read if each.fits(model))


def _path(table: Table, name: str, folder: Path) -> Path | None:
    text = table.text(name)
    return folder / Path(text).expanduser() if text else None
