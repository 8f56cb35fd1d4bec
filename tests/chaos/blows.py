"""Blows to a running stack: processes killed or stopped, the database made to stall, refuse or step down."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from tests.stack import RunningStack, is_alive

SESSION_SECONDS = 3.0
WEIGHTS = {
    "kill intake": 5,
    "kill workflow": 5,
    "stop intake": 2,
    "stop workflow": 2,
    "mongodb": 1,
    "kafka": 1,
    "fail": 3,
}


class Blows:
    """Deals seeded blows one after the other, each once what it hits is there again."""

    def __init__(
        self,
        stack: RunningStack,
        *,
        seed: int,
        weights: dict[str, int] = WEIGHTS,
        frozen: tuple[float, float] = (SESSION_SECONDS + 0.5, SESSION_SECONDS + 3),
    ) -> None:
        self._stack = stack
        self._random = random.Random(seed)
        self._weights = weights
        self._frozen = frozen
        self.dealt: Counter[str] = Counter()

    async def deal(self, number: int, *, pause: tuple[float, float] = (0.2, 1.5)) -> None:
        """Deal a number of blows."""
        names = list(self._weights)
        for place in range(number):
            # Each kind at least once, then by weight.
            name = names[place] if place < len(names) else self._random.choices(names, [*self._weights.values()])[0]
            await asyncio.sleep(self._random.uniform(*pause))
            await self.deal_one(name)

    async def deal_one(self, name: str) -> None:
        """Deal one blow now; one that kills or stops hits somebody who is there."""
        service = name.partition(" ")[2]
        while service and not any(map(is_alive, self._stack.pids[service])):
            await asyncio.sleep(0.05)
        await self._deal(name)
        self.dealt[name] += 1

    async def _deal(self, name: str) -> None:
        verb, _, service = name.partition(" ")
        if verb == "kill":
            self._send(service, signal.SIGKILL)
        elif verb == "stop":
            await self._freeze(service)
        elif verb == "fail":
            await self._fail()
        else:
            dead = self._stack.kill(name)
            await asyncio.to_thread(self._stack.wait_for_restart, name, dead)
            await asyncio.to_thread(self._stack.wait_for_server, name)

    def _send(self, service: str, number: signal.Signals) -> int | None:
        there = self._stack.pids[service]
        pid = self._random.choice([pid for pid in there if is_alive(pid)] or there)
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # it was hit a moment ago and is not back yet
            return None
        return pid

    async def _freeze(self, service: str) -> None:
        """Stop a worker until others have what it had, then wake it: a zombie."""
        pid = self._send(service, signal.SIGSTOP)
        if pid is None:
            return
        await asyncio.sleep(self._random.uniform(*self._frozen))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def _fail(self) -> None:
        """Let the database stall, refuse, drop connections or step down for a while."""
        kind = self._random.choice(("stall", "refuse", "drop", "step down"))
        data: dict[str, Any] = {"failCommands": ["find", "update"]}
        mode: Any = {"times": self._random.randrange(1, 8)}
        if kind == "stall":
            data |= {"blockConnection": True, "blockTimeMS": 4000}
        elif kind == "refuse":
            data |= {"errorCode": 10107}
        elif kind == "drop":
            data |= {"closeConnection": True}
        client: AsyncMongoClient[Any] = AsyncMongoClient(self._stack.mongodb_uri, serverSelectionTimeoutMS=20_000)
        try:
            if kind == "step down":
                await client.admin.command("replSetStepDown", 2, force=True)
            else:
                await client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        except PyMongoError:
            pass  # a step-down closes the connection it came by
        finally:
            await client.close()
