"""Starts programs in order, restarts what dies, ends all in order."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from deploy.embedded.child import Child, Program
from deploy.embedded.errors import StartError

__all__ = ["Program", "Restart", "Supervisor"]

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
#: A program that ran this long and then died is restarted after the first pause again.
STEADY_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.1
LOG_TAIL_BYTES: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A program died and runs again."""

    name: str
    dead_pid: int
    #: Negative for the signal that killed it.
    exit_code: int
    pid: int
    at: datetime


class Supervisor:
    """Keeps programs running until it is told to stop; `on_restart` hears of every restart."""

    def __init__(self, *, on_restart: Callable[[Restart], None] | None = None) -> None:
        self._on_restart = on_restart or (lambda _: None)
        self._stopping = asyncio.Event()
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, *programs: Program) -> None:
        """Start programs side by side and return when all are ready.

        Raises:
            StartError: one of them died or took too long; stop the supervisor then.
        """
        children = [await self._spawn(program) for program in programs]
        waits = [asyncio.create_task(_wait_until_ready(child)) for child in children]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
        self._keepers += [asyncio.create_task(self._keep(child)) for child in children]

    def pids(self) -> dict[str, list[int]]:
        """Return the processes that run, by program name."""
        pids: dict[str, list[int]] = defaultdict(list)
        for child in self._children:
            pids[child.program.name].append(child.pid)
        return dict(pids)

    async def stop(self) -> None:
        """End all programs, the last started tier first; return when no process is left."""
        self._stopping.set()
        for tier in sorted({child.program.tier for child in self._children}, reverse=True):
            await asyncio.gather(*(child.end() for child in self._children if child.program.tier == tier))
        await asyncio.gather(*self._keepers)
        self._children.clear()

    def kill(self) -> None:
        """Kill all programs at once: for a user who asks a second time."""
        for child in self._children:
            child.kill()

    async def _spawn(self, program: Program) -> Child:
        child = await Child.spawn(program)
        self._children.append(child)
        return child

    async def _keep(self, child: Child) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            await child.wait()
            if time.monotonic() - child.started >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            if await self._stops_within(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(OSError):  # the machine is short of something: the next turn may succeed
                child = await self._replace(child)

    async def _stops_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _replace(self, dead: Child) -> Child:
        child = await Child.spawn(dead.program)
        self._children[self._children.index(dead)] = child
        if self._stopping.is_set():  # told to stop while it started: nobody else would end it
            await child.end()
            return child
        self._on_restart(
            Restart(
                name=dead.program.name,
                dead_pid=dead.pid,
                exit_code=await dead.wait(),
                pid=child.pid,
                at=datetime.now(tz=UTC),
            )
        )
        return child


async def _wait_until_ready(child: Child) -> None:
    program = child.program
    try:
        async with asyncio.timeout(program.ready_seconds):
            while not await program.ready():
                if child.exit_code is not None:
                    raise StartError(f"{program.name} ended with exit code {child.exit_code}. {_last_words(program)}")
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise StartError(
            f"{program.name} was not ready within {program.ready_seconds:g} s. {_last_words(program)}"
        ) from error


def _last_words(program: Program) -> str:
    tail = program.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
    return f"Its log {program.log} ends with:\n{tail}"
