"""Remote sessions beside the rest of the agent: a child process, begun again whenever it ends."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from callout_agent.settings import Settings
from callout_agent.telling import say

PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 60.0
STEADY_S = 60.0
LEAVE_S = 5.0


async def keep(settings: Settings) -> None:
    """Carry sessions as long as there are relays to carry them; never ends, whatever fails."""
    if not settings.sessions.relays:
        await asyncio.Event().wait()
    pause = PAUSE_MIN_S
    while True:
        began = time.monotonic()
        say("sessions_ended", code=await _run(settings), again_in_s=pause)
        pause = PAUSE_MIN_S if time.monotonic() - began > STEADY_S else min(PAUSE_MAX_S, pause * 2)
        await asyncio.sleep(pause)


async def _run(settings: Settings) -> int:
    """Run the child to its end; return its exit code."""
    # A pipe that nobody writes to: it ends with this process, and so does the child, however this process ends.
    ours, theirs = os.pipe()[::-1]
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callout_agent.sessions", str(settings.source), stdin=theirs
        )
    finally:
        os.close(theirs)
    say("sessions_carried", pid=child.pid)
    try:
        return await child.wait()
    finally:
        os.close(ours)
        if child.returncode is None:
            try:
                await asyncio.wait_for(child.wait(), LEAVE_S)
            except asyncio.TimeoutError:
                child.kill()
