"""One program and the process that runs it; no process outlives the one that started it."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

PR_SET_PDEATHSIG: Final = 1
ROTATE_BYTES: Final = 10 * 1024 * 1024
_LIBC: Final = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, how to see that it is ready, and how patient to be."""

    #: Several programs may share one name: the workers of a service.
    name: str
    command: tuple[str, ...]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    #: Where it answers over HTTP, if it does.
    address: str = ""
    #: Lower tiers start first and end last.
    tier: int
    environment: Mapping[str, str] = field(default_factory=dict)
    working_folder: Path | None = None
    ready_seconds: float = 180
    stop_seconds: float = 10


class Child:
    """A running process of a program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self.pid = process.pid
        self.started = time.monotonic()
        self._process = process

    @classmethod
    async def spawn(cls, program: Program) -> "Child":
        """Start the program; its output goes to its log, and it dies with this process."""
        parent = os.getpid()
        with _open_log(program.log) as log:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                env={**os.environ, **program.environment},
                cwd=program.working_folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                # Ctrl-C in a terminal goes to the whole group: only the supervisor may decide the order of ending.
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
            )
        return cls(program, process)

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; none while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return await self._process.wait()

    async def end(self) -> None:
        """Ask it to end, and kill it when it does not in time."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process would not hear the request
        try:
            await asyncio.wait_for(self.wait(), self.program.stop_seconds)
        except TimeoutError:
            self.kill()
            await self.wait()

    def kill(self) -> None:
        """Kill it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _die_with(parent: int) -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _open_log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > ROTATE_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
