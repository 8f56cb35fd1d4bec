"""The database is lost under load, and nothing else is: what the topics tell makes it again."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.chaos.load import COUNTERPARTS, Load, Sent
from tests.chaos.reader import Report, counts, inspect
from tests.integration.test_cli_running import typed
from tests.stack import RunningStack, is_alive, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

DATABASES = ("callout_intake", "callout_workflow")
QUIET_SECONDS = 40


class Site:
    """Servers, and services on them that come and go."""

    def __init__(self, folder: Path) -> None:
        self.servers = RunningStack(folder / "servers", "--only", "infra")
        self._folder = folder
        self._services: RunningStack | None = None

    def __enter__(self) -> "Site":
        self.servers.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._services is not None:
            self._services.stop()
        self.servers.stop()

    def start(self) -> None:
        """Start the services, two processes each."""
        where = {name: self.servers.values[name] for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI")}
        two = ("--workers", "intake=2", "--workers", "workflow=2")
        self._services = RunningStack(self._folder / "services", *two, environment=where)
        self._services.start()

    def stop(self) -> None:
        """Stop the services in order."""
        assert self._services is not None
        self._services.stop()
        self._services = None

    def kill(self) -> None:
        """Kill the services, all at once."""
        assert self._services is not None
        pids = [pid for pids in self._services.pids.values() for pid in pids]
        self._services.kill_supervisor()
        self._services = None
        wait_until(lambda: not any(map(is_alive, pids)), seconds=10)

    def lose(self, *databases: str) -> None:
        """Lose databases."""
        with MongoClient[dict[str, Any]](self.servers.mongodb_uri) as client:
            for name in databases:
                client.drop_database(name)

    def name_counterparts(self) -> None:
        """Let the tenants have a counterpart, so that some cases are shared with it."""
        file = self._folder / "tenants.yaml"
        file.write_text(COUNTERPARTS)
        self.callout("config", "apply", str(file))

    def shared_events(self) -> int:
        """Return how much counterparts were told; all of it has to be right."""
        counts = self.callout("verify", "--settle", "30")
        assert [counts[kind] for kind in ("lost", "doubled", "gaps", "edited")] == [0, 0, 0, 0], counts
        told: int = counts["shared"]["events"]
        return told

    def callout(self, *words: str, code: int = 0) -> Any:
        """Run a command, and try again while sessions of the killed have not ended."""
        deadline = time.monotonic() + 20
        while True:
            answer = typed("--env", str(self.servers.file), *words, "--json")
            if answer.code == code:
                return json.loads(answer.stdout)
            assert "still run" in answer.stderr, answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.5)

    def load(self, seconds: float, seed: int) -> Sent:
        """Let devices report and people work for a while."""
        return asyncio.run(self._load(seconds, seed))

    async def _load(self, seconds: float, seed: int) -> Sent:
        load = Load(self.servers.bootstrap_servers, seed=seed)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(seconds)
        load.stopping.set()
        return await running

    def inspected(self, *sent: Sent) -> Report:
        """Wait until every signal is counted, then look at everything that was ever sent."""
        return asyncio.run(self._inspected(*sent))

    async def _inspected(self, *parts: Sent) -> Report:
        sent = Sent()
        for part in parts:
            sent.raised.update(part.raised)
            sent.commands |= part.commands
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            if sum((await counts(self.servers.mongodb_uri)).values()) == sum(sent.raised.values()):
                await asyncio.sleep(1.5)  # for what is decided and not told yet
                break
            await asyncio.sleep(0.5)
        return await inspect(self.servers.bootstrap_servers, self.servers.mongodb_uri, sent)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as site:
        yield site


def test_cases_that_were_lost_are_made_again_from_their_events_byte_for_byte(site: Site) -> None:
    site.name_counterparts()
    site.start()
    first = site.load(4, seed=1)
    site.kill()
    site.lose("callout_workflow")
    site.callout("rebuild", "cases")
    told = site.callout("verify")["shared"]["events"]
    site.start()
    second = site.load(3, seed=2)
    report = site.inspected(first, second)
    assert report.clean, report
    assert site.shared_events() > told > 0
    site.stop()
    compared = site.callout("rebuild", "cases", "--check")
    assert (compared["differing"], compared["missing"], compared["unknown"]) == ([], [], [])
    assert compared["cases"] == report.cases > 50
