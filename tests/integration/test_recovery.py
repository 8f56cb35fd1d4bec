"""The database is lost under load, and nothing else is: what the topics tell makes it again."""

import asyncio
import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient

from tests.chaos.load import TENANTS, Load, Sent
from tests.chaos.reader import Report, counts, inspect, read_topic
from tests.stack import COMMAND, PATIENCE_SECONDS, PROJECT, RunningStack, clean_environment, is_alive, wait_until
from tests.typed import typed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(480)]

OURS = ("callout_intake", "callout_workflow")
DATABASES = (*OURS, "callout_gateway")
QUIET_SECONDS = 120
#: The search for the order in which records were heard is bounded: of so many one may be left in none that was tried.
UNEXPLAINED_OF = 50
HEARD_BY_INTAKE = ("device.signals.v1", "case.events.v1", "intake.timers.v1")
TWO_EACH = ("intake,workflow,gateway", "--workers", "intake=2", "--workers", "workflow=2")


class Site:
    """Servers, and services on them that come and go."""

    def __init__(self, folder: Path, *services: str, environment: Mapping[str, str] | None = None) -> None:
        self._only = services or TWO_EACH
        self._environment = dict(environment or {})
        self.servers = RunningStack(folder / "servers", "--only", "infra")
        self._folder = folder
        self._services: RunningStack | None = None
        self._sent = Sent()
        self._doubtful: set[tuple[str, str]] = set()

    def __enter__(self) -> "Site":
        self.servers.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._services is not None:
            self._services.stop()
        self.servers.end()

    def start(self) -> None:
        """Start the services, two processes each if no others were named."""
        where = {name: self.servers.values[name] for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI")}
        settings = self._environment | where
        self._services = RunningStack(self._folder / "services", "--only", *self._only, environment=settings)
        self._services.start()

    @property
    def services(self) -> RunningStack:
        """The services that run."""
        assert self._services is not None
        return self._services

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
        wait_until(lambda: not any(map(is_alive, pids)))

    def lose(self, *databases: str) -> None:
        """Lose databases."""
        with MongoClient[dict[str, Any]](self.servers.mongodb_uri) as client:
            for name in databases:
                client.drop_database(name)

    def name_counterparts(self) -> None:
        """Let the tenants have a counterpart, so that some cases are shared with it."""
        file = self._folder / "tenants.yaml"
        file.write_text("---\n".join(f"{{tenant: {tenant}, counterpart: {{maker: {{}}}}}}\n" for tenant in TENANTS))
        self.callout("config", "apply", str(file))

    def shared_events(self) -> int:
        """Return how much counterparts were told; all of it has to be right."""
        counts = self.callout("verify", "--settle", "30")
        assert [counts[kind] for kind in ("lost", "doubled", "gaps", "edited")] == [0, 0, 0, 0], counts
        told: int = counts["shared"]["events"]
        return told

    def callout(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        """Run a command, and try again while sessions of the killed have not ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = typed("--env", str(self.servers.file), *words, "--json")
            if answer.code in codes:
                return json.loads(answer.stdout)
            assert "still run" in answer.stderr, answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.5)

    def made_again(self, *words: str) -> Any:
        """Have intake's store made again; keys of the few records that it cannot explain may count wrong after."""
        told = self.callout(*words, codes=(0, 1))
        assert len(told["unexplained"]) <= told["records"] / UNEXPLAINED_OF, told
        if told["unexplained"]:
            records = [r for topic in HEARD_BY_INTAKE for r in self.told(topic)]
            places = {f"{r.topic}-{r.partition}-{r.offset}": r for r in records}
            self._doubtful |= {key_of(places[each.rpartition("-")[0]]) for each in told["unexplained"]}
        return told

    def told(self, topic: str) -> list[Any]:
        """Return all that was told on a topic."""
        return asyncio.run(read_topic(self.servers.bootstrap_servers, topic))

    @contextmanager
    def load(self, seed: int) -> Iterator[None]:
        """Let devices report and people work while other things happen."""
        load = Load(self.servers.bootstrap_servers, seed=seed, rate=60)
        with ThreadPoolExecutor() as pool:
            running = pool.submit(asyncio.run, load.run())
            try:
                yield
            finally:
                load.stopping.set()
            sent = running.result()
        self._sent.raised.update(sent.raised)
        self._sent.commands |= sent.commands

    def refused(self, command: str, folder: Path, *, code: int) -> str:
        """Run a command that ends with this code; return what it says."""
        answer = typed("--env", str(self.servers.file), command, str(folder))
        assert answer.code == code, answer
        return answer.stderr

    def kill_in_the_middle(self, command: str, folder: Path, *, until: Callable[[], object]) -> None:
        """Run a command, a moment at a time so that it is not done before it was looked at, and kill it hard."""
        words = (*COMMAND, "--env", str(self.servers.file), command, str(folder))
        with subprocess.Popen(words, cwd=PROJECT, env=clean_environment(), stdout=subprocess.DEVNULL) as it:
            try:
                while not until():
                    assert it.poll() is None, "it ended before it could be killed"
                    it.send_signal(signal.SIGCONT)
                    let_work(it.pid)
                    it.send_signal(signal.SIGSTOP)
            finally:
                it.kill()

    def ends_told(self) -> Counter[tuple[str, str]]:
        """Return how often cases of each tenant ended or were reopened, as events tell it."""
        found: Counter[tuple[str, str]] = Counter()
        for record in self.told("case.events.v1"):
            name = dict(record.headers)["ce_type"].decode().split(".")[2]
            if name in ("closed", "cancelled", "reopened"):
                found[json.loads(record.value)["case"]["tenant_id"], name] += 1
        return found

    def ends_summed(self) -> Counter[tuple[str, str]]:
        """Return the same as workflow has summed it up."""
        found: Counter[tuple[str, str]] = Counter()
        for document in self.stored("callout_workflow", "reliability").values():
            for name in ("closed", "cancelled", "reopened"):
                found[document["tenant_id"], name] += document["total"][name]
        return found

    def inspected(self) -> Report:
        """Wait until every signal is counted, then look at everything that was ever sent."""
        deadline = time.monotonic() + QUIET_SECONDS
        while self._miscounted(asyncio.run(counts(self.servers.mongodb_uri))) and time.monotonic() < deadline:
            time.sleep(0.5)
        while True:
            time.sleep(1.5)  # for what is decided and not told yet
            report = asyncio.run(inspect(self.servers.bootstrap_servers, self.servers.mongodb_uri, self._sent))
            report.miscounted = {k: pair for k, pair in report.miscounted.items() if k not in self._doubtful}
            if report.clean or time.monotonic() > deadline:
                return report

    def _miscounted(self, counted: Counter[tuple[str, str]]) -> bool:
        keys = (counted.keys() | self._sent.raised.keys()) - self._doubtful
        return any(counted[key] != self._sent.raised[key] for key in keys)

    def stored(self, database: str, collection: str) -> dict[str, dict[str, Any]]:
        """Return all documents of a collection."""
        with MongoClient[dict[str, Any]](self.servers.mongodb_uri) as client:
            return {document["_id"]: document for document in client[database][collection].find()}


def key_of(record: Any) -> tuple[str, str]:
    """Return the tenant and the device (or shared key) that a record of intake's topics is about."""
    body = json.loads(record.value)
    if record.topic == "intake.timers.v1":
        tenant, _, key = record.key.decode().partition("/")
    elif record.topic == "case.events.v1":
        tenant, key = body["case"]["tenant_id"], body["case"]["signal"]["dedup_key"]
    else:
        tenant, key = body["tenant_id"], body.get("dedup_key") or body["device_id"]
    return tenant, key.partition(":")[0]


def let_work(pid: int) -> None:
    """Return once a process has had a moment's work: on a crowded machine it gets its turn late, and may time out."""
    process = psutil.Process(pid)
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    time.sleep(0.01)
    while sum(process.cpu_times()[:2]) == before and time.monotonic() - began < 0.2:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


def test_a_database_lost_under_load_is_restored_and_nothing_is_lost_or_doubled(site: Site, tmp_path: Path) -> None:
    folder, half = tmp_path / "backup", tmp_path / ".backup.partial"
    site.name_counterparts()
    site.start()
    with site.load(seed=1):
        wait_until(lambda: len(site.stored("callout_workflow", "cases")) > 30)
        site.kill_in_the_middle("backup", folder, until=lambda: any(half.rglob("*.gz")))
        assert not folder.exists()
        assert "no backup" in site.refused("restore", half, code=2)
        taken = site.callout("backup", str(folder))
        assert not half.exists()
        assert "is there already" in site.refused("backup", folder, code=2)
        assert "still run" in site.refused("restore", folder, code=4)
        ends = site.ends_told()
        time.sleep(3)
        wait_until(lambda: site.ends_told() != ends)
        site.kill()
    assert taken["documents"]["callout_workflow.cases"] > 20
    wait_until(lambda: "is not empty" in site.refused("restore", folder, code=4))

    site.lose(*DATABASES)
    site.kill_in_the_middle("restore", folder, until=lambda: site.stored("callout_workflow", "cases"))
    assert all(each["restoring"] for each in site.stored("callout_workflow", "sources").values())
    restored = site.made_again("restore", str(folder))
    assert restored["flaws"] == []
    assert restored["hearing_again"] == ["gateway"]
    assert min(restored["events"], restored["records"], restored["figures"]) > 0

    site.start()
    with site.load(seed=2):
        time.sleep(2)
    report = site.inspected()
    assert report.clean, report
    assert site.shared_events() > 0
    wait_until(lambda: site.ends_told() == site.ends_summed())
    site.stop()
    assert site.ends_told() == site.ends_summed()


def test_a_database_lost_without_a_backup_is_made_again_from_the_topics(site: Site) -> None:
    site.start()
    with site.load(seed=3):
        time.sleep(2)
        site.kill()
    site.lose(*OURS)
    site.callout("rebuild", "cases")
    told = site.callout("verify")["shared"]["events"]
    site.made_again("rebuild", "keys")
    site.start()
    with site.load(seed=4):
        time.sleep(2)
    report = site.inspected()
    assert report.clean, report
    assert site.shared_events() > told > 0
    site.stop()
    compared = site.callout("rebuild", "cases", "--check")
    assert (compared["differing"], compared["missing"], compared["unknown"]) == ([], [], [])
    assert compared["cases"] == report.cases > 50
