"""The command line of a service: one process, or several under a small parent that restarts them."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import structlog
import uvloop

from shared import garbage, logs
from shared.errors import PermanentError
from shared.service import Service
from shared.settings import ServiceSettings

log = structlog.get_logger()
FAILED, USAGE = 1, 2
FIRST_PAUSE_SECONDS, CALM_SECONDS = 0.5, 30


def main(settings_class: type[ServiceSettings], build: Callable[..., Service]) -> None:
    """Run the service named by its settings; exit 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{settings_class.service}",
        description=f"Callout's {settings_class.service} service. Settings: docs/settings.md.",
    )
    parser.add_argument("--workers", type=int, help="processes to run; they share the partitions (default: 1)")
    arguments = parser.parse_args()
    try:
        settings = settings_class.load()
    except (PermanentError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no log yet
        sys.exit(USAGE)
    logs.configure(settings.service, log_format=settings.log_format, level=settings.log_level)
    workers = arguments.workers or settings.workers
    if workers > 1:
        sys.exit(_Parent(settings.service, workers, settings.http_port).run())
    garbage.tame()
    if not uvloop.run(_run(settings, build)):
        sys.exit(FAILED)


async def _run(settings: ServiceSettings, build: Callable[..., Service]) -> bool:
    return await build(settings).run()


class _Parent:
    """Keeps a number of workers running until it is told to stop."""

    def __init__(self, service: str, workers: int, http_port: int) -> None:
        self._service = service
        self._http_port = http_port
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._workers = workers
        self._stopping = False

    def run(self) -> int:
        """Return when all workers have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        pause_seconds = FIRST_PAUSE_SECONDS
        started = time.monotonic()
        while not self._stopping:
            for slot in range(self._workers):
                child = self._children.get(slot)
                if child is not None and child.poll() is None:
                    continue
                if child is not None:
                    log.warning("worker_restarted", slot=slot, exit_code=child.returncode)
                    time.sleep(pause_seconds)
                    pause_seconds = min(10, pause_seconds * 2)
                self._children[slot] = self._spawn(slot)
                started = time.monotonic()
            if time.monotonic() - started > CALM_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            time.sleep(0.2)
        return max((abs(child.wait()) for child in self._children.values()), default=0)

    def _spawn(self, slot: int) -> subprocess.Popen[bytes]:
        port = self._http_port + slot if self._http_port else 0
        environment = os.environ | {f"{self._service.upper()}_HTTP_PORT": str(port)}
        command = [sys.executable, "-m", f"services.{self._service}", "--workers", "1"]
        return subprocess.Popen(command, env=environment)  # noqa: S603 - our own module

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for child in self._children.values():
            child.terminate()
