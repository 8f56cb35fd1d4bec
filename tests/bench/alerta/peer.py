"""Alerta as the other side: gunicorn with two workers, as its own image runs it, on the MongoDB of this run."""

import asyncio
import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil
from pymongo import MongoClient

from tests.bench import loads
from tests.bench.alerta.clients import Recount
from tests.bench.alerta.trials import CLIENTS, Signal, Trial
from tests.bench.backlog import Servers
from tests.bench.installation import install
from tests.bench.processes import STOP_SECONDS, NotReady
from tests.stack import clean_environment

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
WORKERS = 2
READY_SECONDS = 60
ANSWER_SECONDS = 30
DATABASE = "alerta_side_by_side"
WSGI = "from alerta import create_app\n\napp = create_app()\n"
GUNICORN = """bind = "127.0.0.1:{port}"
workers = {workers}
worker_tmp_dir = "/dev/shm"
"""


class Alerta:
    """A running Alerta, and eight clients of its HTTP interface. Its answer says that the alert is stored."""

    name = "Alerta 9.1"

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        self._process = process
        self._clients = [httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS) for _ in range(CLIENTS)]

    async def close(self) -> None:
        """Close the clients' connections."""
        for client in self._clients:
            await client.aclose()

    async def send(self, client: int, signal: Signal, *, apart: bool) -> str:
        """Send an alert; return the status, or the kind of failure, if it was not taken."""
        try:
            answer = await self._clients[client].post("/alert", json=_alert(signal))
        except httpx.HTTPError as error:
            return type(error).__name__
        return "" if answer.is_success else str(answer.status_code)

    async def settle(self) -> Sequence[float]:
        """Nothing is on its way once it is answered."""
        return ()

    async def recount(self, trial: Trial) -> Recount:
        """Ask for all alerts; what comes and goes resets its count, so it cannot be counted again."""
        found: Counter[tuple[str, str]] = Counter()
        counted = 0
        for device in sorted({device for device, _ in trial.faults}):
            answer = await self._clients[0].get("/alerts", params={"resource": device, "page-size": "1000"})
            answer.raise_for_status()
            for alert in answer.json()["alerts"]:
                found[alert["resource"], alert["event"]] += 1
                counted += alert["duplicateCount"] + 1
        comes_and_goes = any(signal.cleared for signal in trial.signals)
        return Recount(found, None if comes_and_goes else counted)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all workers."""
        processes = [self._process, *self._process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


@asynccontextmanager
async def alerta(servers: Servers) -> AsyncIterator[Alerta]:
    """Run Alerta on an empty database of its own."""
    environment = await asyncio.to_thread(install, "alerta", REQUIREMENTS)
    folder = servers.logs / "alerta"
    folder.mkdir(exist_ok=True)
    port = _free_port()
    (folder / "wsgi.py").write_text(WSGI)
    (folder / "gunicorn.conf.py").write_text(GUNICORN.format(port=port, workers=WORKERS))
    (folder / "alertad.conf").write_text(f"DATABASE_URL = {json.dumps(_database_url(servers))}\n")
    variables = clean_environment() | {"ALERTA_SVR_CONF_FILE": str(folder / "alertad.conf")}
    async with AsyncExitStack() as stack:
        stack.callback(_drop, servers)
        _drop(servers)
        # Once alone: two workers that make the indexes at the same time get in each other's way.
        alone = (str(environment / "bin" / "python"), "wsgi.py")
        await asyncio.to_thread(subprocess.run, alone, cwd=folder, env=variables, check=True)
        command = (str(environment / "bin" / "gunicorn"), "wsgi:app", "-c", "gunicorn.conf.py")
        process = stack.enter_context(_running(command, folder, variables))
        system = Alerta(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        stack.push_async_callback(system.close)
        await _ready(f"http://127.0.0.1:{port}/management/gtg", folder)
        yield system


class _running:  # noqa: N801 - a context, used as a function
    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self._command, self._folder, self._environment = command, folder, environment

    def __enter__(self) -> "subprocess.Popen[bytes]":
        with (self._folder / "gunicorn.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                child.kill()
            self._process.kill()
            self._process.wait()


async def _ready(url: str, folder: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.2)
    raise NotReady(f"Alerta is not ready:\n{(folder / 'gunicorn.log').read_text()[-2000:]}")


def _alert(signal: Signal) -> dict[str, object]:
    return {
        "environment": "Production",
        "resource": signal.device,
        "event": signal.fault,
        "severity": "normal" if signal.cleared else "major",
        "service": ["press"],
        "value": str(signal.place),
        "text": "Spindle over temperature",
        "attributes": {"serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"},
        "rawData": loads.DESCRIPTION[:170],
        "origin": "bench",
    }


def _database_url(servers: Servers) -> str:
    address, _, options = servers.mongodb.partition("?")
    return f"{address.rstrip('/')}/{DATABASE}?{options}"


def _drop(servers: Servers) -> None:
    client: MongoClient[dict[str, object]] = MongoClient(servers.mongodb)
    with client:
        client.drop_database(DATABASE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
