"""What would happen: the configuration, files, certificate, broker and triggers looked at, with nothing changed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from typing import NamedTuple

from callout_agent import allow
from callout_agent.domain.engine import Engine
from callout_agent.domain.judgement import Move
from callout_agent.domain.reading import Reading, rfc3339
from callout_agent.feeds import of_csv
from callout_agent.identity import HOST_KEY, USER_CA
from callout_agent.link import Link, NotAdmitted, Unreachable
from callout_agent.segments import Busy, locked
from callout_agent.settings import Feed, Settings
from callout_agent.tables import Misconfigured

DAY_S = 86_400.0
SOON_DAYS = 7


class Finding(NamedTuple):
    """One thing that was looked at: `ok`, `note` (worth a look) or `wrong`."""

    state: str
    what: str
    told: str


def files(settings: Settings) -> Iterator[Finding]:
    """Look at what lies on the device's disk."""
    yield Finding("ok", "device", f"{settings.tenant}/{settings.device}, a beat every {settings.interval_s:g} s")
    for trigger in settings.triggers:
        kind = type(trigger.preset).__name__.lower()
        yield Finding(
            "ok", f"trigger {trigger.name}", f"{kind} on {trigger.series}: {trigger.fault}, {trigger.severity}"
        )
    if not settings.feeds or not settings.triggers:
        yield Finding("note", "feeds", "there is no feed or no trigger: the agent will only be present")
    for feed in settings.feeds:
        if feed.path is not None and not os.access(feed.path, os.R_OK):
            yield Finding("wrong", "feed", f"{feed.path} cannot be read")
    yield _journal(settings)
    yield _allow_list(settings)
    yield from _sessions(settings)
    yield from _certificate(settings)


async def broker(settings: Settings, *, running: bool) -> Finding:
    """Try whether the broker lets the device in; not while an agent runs, which that would cut off."""
    where = f"{settings.broker.host}:{settings.broker.port}"
    if running:
        return Finding("note", "broker", f"{where} was not tried: an agent is running, and would lose its connection")
    try:
        link = Link(settings.broker, lambda _: None)
        began = time.monotonic()
        await link.open()
        took = time.monotonic() - began
        await link.end()
    except NotAdmitted as error:
        return Finding("wrong", "broker", f"{where}: {error}")
    except Unreachable as error:
        return Finding("unreachable", "broker", str(error))
    return Finding("ok", "broker", f"{where} lets the device in ({took * 1000:.0f} ms)")


def is_running(settings: Settings) -> bool:
    """Say whether an agent keeps its journal in the folder."""
    if not settings.keeping.folder.is_dir():
        return False
    try:
        os.close(locked(settings.keeping.folder))
    except (Busy, OSError):
        return True
    return False


def trial(settings: Settings, feed: Feed) -> Iterator[str]:
    """Run the triggers over a file and yield what they would say."""
    engine = Engine(settings.triggers)
    raised = cleared = read = 0
    for batch in of_csv(feed)(_never()):
        for item in batch:
            if not isinstance(item, Reading):
                yield f"not read: {getattr(item, 'why', item)}"
                continue
            read += 1
            for finding in engine.observe(item):
                word = "raise" if finding.move is Move.RAISE else "clear"
                raised += word == "raise"
                cleared += word == "clear"
                yield f"{rfc3339(finding.at)} {word} {finding.key} {finding.series}={finding.value:g}"
    ignored = "".join(f", {count} ignored ({why})" for why, count in sorted(engine.ignored.items()))
    yield f"{read} readings: {raised} raised, {cleared} cleared{ignored}"


def _journal(settings: Settings) -> Finding:
    folder = settings.keeping.folder
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
        return Finding("wrong", "journal", f"{there} is not a folder to write in")
    status = os.statvfs(there)
    free = status.f_bavail * status.f_frsize
    used = sum(path.stat().st_size for path in folder.glob("*.journal")) if folder.is_dir() else 0
    if free + used < settings.keeping.max_bytes:
        return Finding("note", "journal", f"{folder} has room for {free} bytes, less than max_bytes")
    return Finding("ok", "journal", f"{folder}, {used} of {settings.keeping.max_bytes} bytes used")


def _allow_list(settings: Settings) -> Finding:
    if settings.sessions.allow is None:
        return Finding("ok", "allow list", "none: remote sessions may reach nothing")
    try:
        read = allow.load(settings.sessions.allow)
    except Misconfigured as error:
        return Finding("wrong", "allow list", str(error))
    if read.forbid_all:
        return Finding("ok", "allow list", "forbid_all: remote sessions may reach nothing")
    now = "open now" if read.open_at(datetime.now().astimezone()) else "closed at this hour"
    told = f"{len(read.endpoints)} addresses, {len(read.roots)} folders, {len(read.terminals)} terminals, {now}"
    return Finding("ok", "allow list", told)


def _sessions(settings: Settings) -> Iterator[Finding]:
    sessions = settings.sessions
    if not sessions.relays:
        return
    missing = [name for name in (HOST_KEY, USER_CA) if not os.access(sessions.identity / name, os.R_OK)]
    if find_spec("asyncssh") is None:
        yield Finding("wrong", "remote sessions", "need the extra callout-agent[sessions], which is not installed")
    elif missing:
        yield Finding(
            "wrong",
            "remote sessions",
            f"{sessions.identity} has no {missing[0]}: callout-agent enroll makes it, if relays are known there",
        )
    elif os.path.lexists(sessions.switch):
        yield Finding("note", "remote sessions", f"are forbidden as long as there is {sessions.switch}")
    else:
        yield Finding("ok", "remote sessions", f"over {len(sessions.relays)} relays")


def _certificate(settings: Settings) -> Iterator[Finding]:
    path, key = settings.broker.certificate, settings.broker.key
    if path is None or key is None:
        yield Finding("ok", "identity", "by token")
        return
    from callout_agent.identity import Unfit, certificate

    if not path.exists():
        yield Finding("wrong", "certificate", f"{path} is not there: callout-agent enroll gets one")
        return
    try:
        read = certificate(path, key)
    except Unfit as error:
        yield Finding("wrong", "certificate", str(error))
        return
    days = (read.ends - time.time()) / DAY_S
    if read.name != f"{settings.tenant}/{settings.device}":
        yield Finding("wrong", "certificate", f"is for {read.name}, not for {settings.tenant}/{settings.device}")
    elif days <= 0 or read.begins > time.time():
        yield Finding("wrong", "certificate", f"is good from {rfc3339(read.begins)} until {rfc3339(read.ends)} only")
    else:
        state = "note" if days < SOON_DAYS else "ok"
        yield Finding(state, "certificate", f"good for {days:.1f} more days")
    if key.stat().st_mode & 0o077:
        yield Finding("note", "key", f"others may read {key}: chmod 600")


class _Never:
    def is_set(self) -> bool:
        return False


def _never() -> asyncio.Event:
    return _Never()  # type: ignore[return-value]
