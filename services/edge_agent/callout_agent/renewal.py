"""A new certificate before the old one ends."""

from __future__ import annotations

import asyncio
import time
from typing import Callable

from callout_agent.connection import Connection
from callout_agent.domain.reading import rfc3339
from callout_agent.holder import Holder, NotDone, ask
from callout_agent.link import Unreachable
from callout_agent.settings import Settings
from callout_agent.telling import say

LOOK_S = 3600.0
AGAIN_S = 600.0
ONLINE_S = 0.5


async def keep(settings: Settings, connection: Callable[[], Connection | None]) -> None:
    """Ask for the next certificate when it is time; never ends, whatever fails."""
    if settings.broker.certificate is None:
        await asyncio.Event().wait()
    holder = Holder.of(settings)
    while True:
        wait = await _look(settings, holder, connection)
        await asyncio.sleep(wait)


async def _look(settings: Settings, holder: Holder, connection: Callable[[], Connection | None]) -> float:
    """Renew if it is time; return after how many seconds to look again."""
    try:
        begins, ends = map(float, (await ask("span", holder)).split())
        due_in = begins + settings.enrolment.renew_at * (ends - begins) - time.time()
        if due_in > 0:
            return min(LOOK_S, due_in)
        request = await ask("request", holder)
        while (held := connection()) is None:  # noqa: ASYNC110 - it is looked at for days, if need be
            await asyncio.sleep(ONLINE_S)
        answer = await held.certify(request)
        ends = float(await ask("accept", holder, answer))
    except (NotDone, Unreachable, OSError) as error:
        say("certificate_not_renewed", why=error)
        return AGAIN_S
    say("certificate_renewed", until=rfc3339(ends))
    return 1.0
