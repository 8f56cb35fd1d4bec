"""A running stack for tests: `callout up` in a process of its own, and hands to hurt it with."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar, Self

import psutil
import pytest

from tests.typed import Answer, typed

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "deploy.cli.main")
#: The first start on a machine downloads Kafka.
START_SECONDS = 400
STOP_SECONDS = 120
#: Kafka looks through all its logs after a kill: a few seconds, on a crowded machine a minute.
RESTART_SECONDS = 120
#: How long something may take that nobody promised to be quick; waiting costs nothing when it comes at once.
PATIENCE_SECONDS = 60
POLL_SECONDS = 0.05
#: A command is answered with 202 after this; only tests of that wait for it.
ANSWERED_SECONDS = 12
#: What every stack of tests is told, if nothing else is said.
PATIENT = {"CALLOUT_MONGODB_TEST_COMMANDS": "1", "GATEWAY_WAIT_SECONDS": str(ANSWERED_SECONDS)}
SERVERS = ("KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI")


class StackError(AssertionError):
    """The stack did not do what it was told to."""


class RunningStack:
    """A `callout up` on one folder, `inside` a network of its own if need be; as a context it runs while that lasts."""

    #: Runs the servers of a stack that names none (`tests/conftest.py` decides); nothing: each starts its own.
    servers: ClassVar[Callable[[Path], AbstractContextManager[dict[str, str]]] | None] = None

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.file = folder / "env"
        self.output = folder / "up.log"
        self._arguments = arguments
        self._inside = inside
        self._environment = dict(environment or {})
        self._containers = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        # Whom we hurt -> its place among the workers, which its heir takes.
        self._places: dict[int, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Start it and return when all is ready."""
        self.file.unlink(missing_ok=True)  # of one that was killed
        where = ("--data-dir", str(self.data), "--write-env", str(self.file))
        self.folder.mkdir(parents=True, exist_ok=True)
        if RunningStack.servers is not None and not {*SERVERS} & {*self._environment}:
            self._environment |= self._containers.enter_context(RunningStack.servers(self.folder))
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                (*self._inside, *COMMAND, "up", *where, *self._arguments),
                cwd=PROJECT,
                env={**clean_environment(), **PATIENT, **self._environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: self.file.exists() or self._process.poll() is not None, seconds=START_SECONDS)
        except StackError:
            self.stop()
        if not self.file.exists():
            self._containers.close()
            raise StackError(f"The stack did not start:\n{self.output.read_text()[-4000:]}")

    def stop(self) -> int:
        """End it in order and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def end(self) -> None:
        """Stop it for good: what its servers kept goes, its logs stay."""
        with self._containers:
            self.stop()
        for store in ("kafka", "mongodb"):
            shutil.rmtree(self.data / store, ignore_errors=True)

    def kill_supervisor(self) -> None:
        """Kill `callout up` itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def supervisor_pid(self) -> int:
        """The process of `callout up`."""
        assert self._process is not None
        return self._process.pid

    @property
    def values(self) -> dict[str, str]:
        """What the stack wrote about itself, as it is now."""
        return dict(line.split("=", 1) for line in self.file.read_text().splitlines())

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is."""
        return self.values["KAFKA_BOOTSTRAP_SERVERS"]

    @property
    def mongodb_uri(self) -> str:
        """Where MongoDB is."""
        return self.values["MONGODB_URI"]

    @property
    def http_urls(self) -> list[str]:
        """The base addresses of the gateway's processes."""
        urls: list[str] = json.loads(self.values["CALLOUT_HTTP_URLS"])
        return urls

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes that run now, by name."""
        pids: dict[str, list[int]] = json.loads(self.values["CALLOUT_PIDS"])
        return pids

    @property
    def health_urls(self) -> dict[str, list[str]]:
        """The base addresses of the services' workers."""
        urls: dict[str, list[str]] = json.loads(self.values["CALLOUT_HEALTH_URLS"])
        return urls

    def kill(self, name: str, *, worker: int = 0, number: signal.Signals = signal.SIGKILL) -> int:
        """Send one process a signal, by default the deadly one; return its number."""
        if name in ("kafka", "mongodb"):
            needs_own_servers()
        pid = self.pids[name][worker]
        self._places[pid] = worker
        os.kill(pid, number)
        return pid

    def kill_kafka(self) -> int:
        """Kill the broker; the supervisor restarts it."""
        return self.kill("kafka")

    def kill_mongodb(self) -> int:
        """Kill the database; the supervisor restarts it."""
        return self.kill("mongodb")

    def wait_for_restart(self, name: str, dead: int, *, seconds: float = RESTART_SECONDS) -> int:
        """Wait until a new process runs in a dead one's stead; return its number."""
        wait_until(lambda: dead not in self.pids[name], seconds=seconds)
        return self.pids[name][self._places.get(dead, 0)]

    def wait_for_server(self, name: str, *, seconds: float = RESTART_SECONDS) -> None:
        """Wait until `kafka` or `mongodb` takes connections again."""
        address = self.bootstrap_servers if name == "kafka" else self.mongodb_uri.split("/")[2]
        wait_until(lambda: _takes_connections(address), seconds=seconds)

    def callout(self, *words: str) -> Answer:
        """Type another command of `callout` against this stack."""
        return typed("--env", str(self.file), *words)


def _takes_connections(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def callout(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of `callout` to its end."""
    return subprocess.run(
        (*COMMAND, *arguments),
        cwd=PROJECT,
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would lead to another stack."""
    foreign = (*SERVERS, "CALLOUT_MQTT_URL", "CALLOUT_ENV")
    return {key: value for key, value in os.environ.items() if key not in foreign}


def needs_own_servers() -> None:
    """Skip a test that reaches into Kafka or MongoDB itself, where these are in containers."""
    if RunningStack.servers is not None:
        pytest.skip("it reaches into servers that a stack starts by itself; these are in containers")


def wait_until(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"It did not come about within {seconds:g} s.")
        time.sleep(POLL_SECONDS)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def nothing_left(*pids: int) -> Iterator[None]:
    """Check that these processes are gone soon after the block."""
    yield
    wait_until(lambda: not any(map(is_alive, pids)))
