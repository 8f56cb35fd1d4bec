"""Whose certificate it is, and what a process of its own does for it.

The library `cryptography` would add a third to the agent's memory for something that is done a few times a year: the
running agent never loads it, and has such work done by a child that gives its memory back.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from callout_agent.settings import Settings
from callout_agent.tables import Misconfigured


class Holder(NamedTuple):
    """Whose certificate it is; where it, its key, the authority's own certificate and what sessions need lie."""

    name: str
    certificate: Path
    key: Path
    ca: Path | None
    sessions: Path

    @classmethod
    def of(cls, settings: Settings) -> Holder:
        """Return what the configuration says.

        Raises:
            Misconfigured: It names no certificate and key.
        """
        certificate, key = settings.broker.certificate, settings.broker.key
        if certificate is None or key is None:
            raise Misconfigured("the configuration names no certificate and key under [connection]")
        who = f"{settings.tenant}/{settings.device}"
        return cls(who, certificate, key, settings.broker.ca, settings.sessions.identity)


class NotDone(Exception):
    """It could not be done; says why."""


async def ask(action: str, holder: Holder, said: bytes = b"") -> bytes:
    """Have it done: `span` (begin and end of the certificate), `request`, or `accept` (of an answer; its end).

    Raises:
        NotDone: It could not be.
    """
    places = (holder.certificate, holder.key, holder.ca or "", holder.sessions)
    command = (sys.executable, "-m", "callout_agent.certificates", action, holder.name, *map(str, places))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    told, wrong = await process.communicate(said)
    if process.returncode != 0:
        raise NotDone(wrong.decode("utf-8", "replace").strip().rpartition("\n")[2])
    return told
