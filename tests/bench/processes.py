"""The processes that are measured: real services and raw floors, stopped and woken from outside."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from tests.stack import PROJECT, clean_environment

READY_SECONDS = 60
STOP_SECONDS = 30


class NotReady(AssertionError):
    """A process did not get ready in time."""


class Process:
    """One process; as a context it ends when left."""

    def __init__(
        self, *arguments: str, log: Path, environment: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                (python, *arguments),
                cwd=PROJECT,
                env={**clean_environment(), **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if arguments[1] == "tests.bench.floor" else output,
                stderr=output,
            )
        self._process = psutil.Process(self._popen.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            os.kill(self._popen.pid, signal.SIGCONT)
            self._popen.terminate()
        try:
            self._popen.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.communicate()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def cpu_seconds(self) -> float:
        """The CPU time it has used."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def resident_mb(self) -> float:
        """The memory it holds."""
        return float(self._process.memory_info().rss / 1e6)

    def pause(self) -> None:
        """Stop it where it is."""
        self._process.suspend()

    def wake(self) -> None:
        """Let it go on."""
        self._process.resume()

    def kill(self) -> None:
        """End it where it is (SIGKILL)."""
        self._popen.kill()
        self._popen.wait()

    async def leave(self) -> None:
        """Ask it to end (SIGTERM), and return when it has."""
        self._popen.terminate()
        await asyncio.to_thread(self._popen.wait, STOP_SECONDS)

    def say(self, line: str) -> None:
        """Write a line to it."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    async def hear(self, *, seconds: float) -> dict[str, Any]:
        """Return the next line it writes, which is JSON.

        Raises:
            NotReady: if it ends, or writes nothing for so long.
        """
        assert self._popen.stdout is not None
        async with asyncio.timeout(seconds):
            line = await asyncio.to_thread(self._popen.stdout.readline)
        if not line:
            raise NotReady(f"it ended: {self.log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Worker(Process):
    """One worker of a service, as an operator would start it."""

    def __init__(self, service: str, servers: Mapping[str, str], log: Path, **settings: str) -> None:
        self._port = free_port()
        self._service = service
        environment = {**servers, f"{service.upper()}_HTTP_PORT": str(self._port), **settings}
        super().__init__("-m", f"services.{service}", log=log, environment=environment)

    async def ready(self, partitions: int) -> None:
        """Wait until it owns so many partitions of its first topic and says that it is ready.

        Raises:
            NotReady: if it does not within a minute.
        """
        for _ in range(READY_SECONDS * 5):
            if await asyncio.to_thread(self._answers) and self._assigned() == partitions:
                return
            await asyncio.sleep(0.2)
        raise NotReady(f"{self._service} is not ready:\n{self.log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _assigned(self) -> int:
        lines = self.log.read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if '"partitions_assigned"' in line]
        return len(found[-1]["partitions"]) if found else 0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
