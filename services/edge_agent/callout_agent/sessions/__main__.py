"""Carry remote sessions: what `callout-agent run` starts as a child of its own, by the same configuration.

A child, because its library and what passes through it are nobody's business who watches readings. It ends when its
standard input does, so that it never outlives the agent.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from callout_agent.allow import Switchboard
from callout_agent.sessions.dialler import Dialler, Identity
from callout_agent.settings import Settings, load
from callout_agent.telling import say


async def carry(settings: Settings) -> None:
    """Dial until the standard input ends."""
    sessions = settings.sessions
    rules = Switchboard(sessions.allow, sessions.switch, lambda why: say("allow_list_not_used", why=why))
    identity = Identity(settings.tenant, settings.device, sessions.identity)
    dialler = Dialler(identity, list(sessions.relays), rules, sessions.recordings)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 64) else over.set())
    dialling, ending = asyncio.ensure_future(dialler.run()), asyncio.ensure_future(over.wait())
    await asyncio.wait([dialling, ending], return_when=asyncio.FIRST_COMPLETED)
    if dialling.done():
        dialling.result()
    dialling.cancel()
    with suppress(asyncio.CancelledError):
        await dialling


if __name__ == "__main__":
    asyncio.run(carry(load(Path(sys.argv[1]))))
