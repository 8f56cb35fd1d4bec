"""What a machine reports becomes a case, and the case goes its way to the end: the whole system, told as stories."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
import yaml
from aiokafka import AIOKafkaConsumer

from deploy.topic_reader import TopicReader
from tests.chaos.load import Sent
from tests.chaos.reader import Report, inspect, read_topic
from tests.contract.spoken import Contract
from tests.e2e.outsider import (
    COMMANDS,
    DECISIONS,
    EVENTS,
    HEALTH,
    OUTCOMES,
    SIGNALS,
    Listener,
    Sender,
    cloudevent,
    rfc3339,
    signal_headers,
    stored_cases,
    until,
)
from tests.stack import PROJECT, RunningStack, StackError, clean_environment

pytestmark = [pytest.mark.e2e]

TENANT = "acme"
TECHNICIAN = {"id": "tess", "role": "technician", "tenant_id": TENANT}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("story"), "--only", "intake,workflow") as stack:
        yield stack


class Plant:
    """The machines and people of a story, and what they can see."""

    def __init__(self, sender: Sender, listener: Listener) -> None:
        self.sender = sender
        self.listener = listener

    async def report(self, word: str, device: str, fault: str, at: datetime, **fields: Any) -> None:
        """Let a device report that a fault was `raised` or `cleared`."""
        body = {"tenant_id": TENANT, "device_id": device, "fault": fault, "occurred_at": rfc3339(at), **fields}
        await self.sender.send(SIGNALS, body, key=f"{TENANT}/{device}", headers=signal_headers(word, str(uuid4())))

    async def command(
        self, name: str, case_id: str, *, key: str | None = "", partition: int | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Let the technician command a case; return the outcome."""
        id_ = str(uuid4())
        body = {"case_id": case_id, "tenant_id": TENANT, "actor": TECHNICIAN, **arguments}
        headers = cloudevent(f"callout.case.{name}.v1", id_)
        await self.sender.send(COMMANDS, body, key=case_id if key == "" else key, headers=headers, partition=partition)
        await self.sender.flush()
        return dict(await until(lambda: self._outcome(id_), what=f"an outcome of {name}"))

    def _outcome(self, id_: str) -> dict[str, Any] | None:
        found = [body for body in self.listener.bodies(OUTCOMES) if body["command_id"] == id_]
        assert len(found) <= 1
        return found[0] if found else None

    def history(self, case_id: str) -> list[dict[str, Any]]:
        """Return the events of a case in order."""
        events = [body for body in self.listener.bodies(EVENTS) if body["case_id"] == case_id]
        return sorted(events, key=lambda event: event["seq"])

    def names(self, case_id: str) -> list[str]:
        """Return what happened to a case."""
        told = [r for r in self.listener.heard[EVENTS] if r.key.decode() == case_id]
        return [dict(r.headers)["ce_type"].decode().split(".")[2] for r in sorted(told, key=lambda r: r.offset)]

    async def case(self, case_id: str, **expected: Any) -> dict[str, Any]:
        """Return a case once it is as expected."""

        def found() -> dict[str, Any] | None:
            events = self.history(case_id)
            case = events[-1]["case"] if events else {}
            seen = {**case, **case.get("signal", {})}
            return case if case and all(seen.get(name) == value for name, value in expected.items()) else None

        return dict(await until(found, what=f"{expected}, but {self.history(case_id)[-1:]}"))

    async def named(self, case_id: str, *names: str) -> None:
        """Return once just that happened to a case: an outcome may be heard before its event."""
        await until(lambda: len(self.names(case_id)) >= len(names), what=f"{names}")
        assert self.names(case_id) == [*names]

    async def reasoned(self, device: str, name: str, count: int) -> list[str]:
        """Return why intake decided in one way about a device, once it has so often: an event may be heard before."""
        found = await until(lambda: len(told := [b for n, b in self.decided(device) if n == name]) >= count and told)
        return [body["reason"] for body in found]

    def decided(self, device: str) -> list[tuple[str, dict[str, Any]]]:
        """Return intake's decisions about a device."""
        told = zip(self.listener.heard[DECISIONS], self.listener.bodies(DECISIONS), strict=True)
        named = [(dict(record.headers)["ce_type"].decode().split(".")[2], body) for record, body in told]
        return [(name, body) for name, body in named if body.get("device_id") == device]


@pytest.fixture
async def plant(stack: RunningStack) -> AsyncIterator[Plant]:
    async with Sender(stack) as sender, Listener(stack, EVENTS, OUTCOMES, DECISIONS) as listener:
        yield Plant(sender, listener)


def case_of(device: str, fault: str, episode: int = 1) -> str:
    """Return the id of the case of a fault's episode, which anybody can tell."""
    return str(uuid5(uuid5(NAMESPACE_URL, "urn:callout"), f"{TENANT}|{device}:{fault}|{episode}"))


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


async def test_a_fault_comes_goes_and_comes_back_and_a_technician_sees_to_it(plant: Plant) -> None:
    start = datetime.now(UTC) - minutes(60)
    case_id = case_of("press-07", "E417")
    await plant.report("raised", "press-07", "E417", start, title="Spindle over temperature")
    await plant.case(
        case_id, state="NEW", count=1, severity="minor", condition="active", title="Spindle over temperature"
    )
    await plant.report("raised", "press-07", "E417", start + minutes(1))
    await plant.case(case_id, state="NEW", count=2, last_at=rfc3339(start + minutes(1)))
    await plant.report("raised", "press-07", "E417", start + minutes(2), severity="critical")
    await plant.case(case_id, count=3, severity="critical")
    await plant.report("cleared", "press-07", "E417", start + minutes(3))
    await plant.case(case_id, state="RESOLVED", condition="cleared", resolved_at=rfc3339(start + minutes(3)))
    assert plant.history(case_id)[-1]["actor"]["role"] == "system"
    await plant.report("raised", "press-07", "E417", start + minutes(4), severity="major")
    await plant.case(case_id, state="IN_PROGRESS", count=4, condition="active", severity="critical", resolved_at=None)

    assert (await plant.command("assign", case_id, assignee="me"))["accepted"]
    refused = await plant.command("start", case_id)
    assert (refused["accepted"], refused["code"]) == (False, "invalid_transition")
    assert "resolve" in refused["allowed"]
    assert (await plant.command("resolve", case_id, summary="bearing replaced"))["accepted"]
    assert (await plant.command("close", case_id, outcome="repaired"))["accepted"]
    closed = await plant.case(case_id, state="CLOSED", assignees=["tess"])
    assert closed["resolution"] == {"summary": "bearing replaced", "outcome": "repaired"}
    await plant.named(
        case_id,
        *("created", "occurred", "occurred", "condition_cleared", "resolved", "recurred"),
        *("assigned", "resolved", "closed"),
    )

    second = case_of("press-07", "E417", 2)
    await plant.report("raised", "press-07", "E417", datetime.now(UTC))
    await plant.case(second, state="NEW", count=1, links=[{"kind": "recurrence_of", "id": case_id}])
    assert (await plant.command("reopen", case_id, reason="the bearing was not it"))["accepted"]
    await plant.case(case_id, state="IN_PROGRESS", reopen_count=1, count=4)
    await plant.report("raised", "press-07", "E417", datetime.now(UTC))
    await plant.case(second, count=2)
    await plant.case(case_id, count=4)


async def test_a_technician_starts_resolves_and_closes_and_an_early_clear_says_no_more(plant: Plant) -> None:
    case_id = case_of("press-08", "E1")
    start = datetime.now(UTC) - minutes(10)
    await plant.report("raised", "press-08", "E1", start)
    await plant.case(case_id, state="NEW")
    assert (await plant.command("start", case_id))["accepted"]
    started = await plant.case(case_id, state="IN_PROGRESS", assignees=["tess"])
    assert started["first_response_at"] == started["updated_at"]
    await plant.report("cleared", "press-08", "E1", start + minutes(1))
    await plant.case(case_id, state="IN_PROGRESS", condition="cleared")  # a person is on it: it is theirs to resolve
    stale = await plant.command("resolve", case_id, expected_version=1, summary="tightened")
    assert (stale["accepted"], stale["code"]) == (False, "version_conflict")
    assert (await plant.command("resolve", case_id, expected_version=3, summary="tightened"))["version"] == 4
    assert (await plant.command("close", case_id))["accepted"]
    assert (await plant.command("close", case_id))["code"] == "invalid_transition"


async def test_no_case_comes_of_what_falls_into_a_maintenance_window(plant: Plant) -> None:
    start = datetime.now(UTC) - minutes(120)
    window = {
        "device": "oven-*",
        "starts_at": rfc3339(start),
        "until": rfc3339(start + minutes(30)),
        "reason": "cleaning",
    }
    await plant.sender.send("tenant.config.v1", window, key=f"{TENANT}/maintenance/ovens")

    async def is_in_force() -> bool:
        await plant.report("raised", "oven-probe", "E1", start)
        return any(name == "suppressed" for name, _ in plant.decided("oven-probe"))

    await until(is_in_force)
    await plant.report("raised", "oven-1", "E1", start)
    await plant.report("raised", "oven-1", "E1", start + minutes(29.9))
    await plant.report("raised", "oven-1", "E1", start + minutes(30))
    await plant.case(case_of("oven-1", "E1"), state="NEW", count=1, first_at=rfc3339(start + minutes(30)))
    await plant.reasoned("oven-1", "opened", 1)
    decided = plant.decided("oven-1")
    assert [name for name, _ in decided] == ["suppressed", "suppressed", "opened"]
    assert decided[0][1]["reason"] == "maintenance"
    assert decided[0][1]["details"]["reason"] == "cleaning"


async def test_a_fault_that_comes_and_goes_is_told_once_until_it_is_quiet(plant: Plant) -> None:
    start = datetime.now(UTC) - minutes(120)
    case_id = case_of("door-1", "E9")
    for minute in range(12):
        await plant.report("raised" if minute % 2 == 0 else "cleared", "door-1", "E9", start + minutes(minute))
    await plant.case(case_id, flapping=True, state="IN_PROGRESS")
    await plant.report("raised", "door-1", "E9", start + minutes(22))
    await plant.case(case_id, flapping=False, count=7, condition="active", state="IN_PROGRESS")
    changes = [
        e["change"] for e, n in zip(plant.history(case_id), plant.names(case_id), strict=True) if "flapping" in n
    ]
    assert [change["signal"]["flapping"] for change in changes] == [True, False]
    assert changes[1]["summary"].startswith("5 raised and 6 cleared between ")
    held = await plant.reasoned("door-1", "cleared", 6)
    assert held == ["condition"] * 3 + ["held"] * 3


async def test_the_twenty_first_new_fault_of_a_minute_makes_a_storm(plant: Plant) -> None:
    start = datetime.now(UTC) - minutes(60)
    for number in range(25):
        await plant.report("raised", "robot-1", f"E{number:02}", start + timedelta(seconds=number))
    storm = await plant.case(case_of("robot-1", "storm"), count=5)
    assert storm["title"] == "Storm of new faults on robot-1"

    def own() -> dict[str, dict[str, Any]]:
        cases = {e["case"]["signal"]["dedup_key"]: e["case"] for e in plant.listener.bodies(EVENTS)}
        return {key: case for key, case in cases.items() if key.startswith("robot-1:E")}

    await until(lambda: len(own()) >= 20, what="a case of each of the others")
    assert [case["signal"]["count"] for case in own().values()] == [1] * 20


async def test_commands_are_taken_wherever_a_foreign_client_puts_them(plant: Plant) -> None:
    case_id = case_of("press-09", "E1")
    await plant.report("raised", "press-09", "E1", datetime.now(UTC))
    await plant.case(case_id, state="NEW")
    home = next(record.partition for record in plant.listener.heard[EVENTS] if record.key.decode() == case_id)
    foreign = zlib.crc32(case_id.encode()) % 12  # as librdkafka chooses by default
    foreign = foreign if foreign != home else (home + 1) % 12
    assert (await plant.command("assign", case_id, assignee="me", partition=foreign))["accepted"]
    assert (await plant.command("start", case_id, key=None, partition=(home + 5) % 12))["accepted"]
    assert (await plant.command("resolve", case_id, key=None, summary="done"))["accepted"]
    await plant.named(case_id, "created", "assigned", "started", "resolved")
    told = [record for record in plant.listener.heard[EVENTS] if record.key.decode() == case_id]
    assert {record.partition for record in told} == {home}


async def test_a_worker_told_to_stop_under_load_loses_nothing(stack: RunningStack, plant: Plant) -> None:
    sent = Sent()
    stopped: list[tuple[str, int]] = []
    for number in range(1200):
        device = f"line-{number % 30}"
        await plant.report("raised", device, "E1", datetime.now(UTC))
        sent.raised[TENANT, device] += 1
        if number in {300, 600}:
            name = "intake" if number == 300 else "workflow"
            stopped.append((name, stack.kill(name, number=signal.SIGTERM)))
        await asyncio.sleep(0.005)
    for name, pid in stopped:
        await asyncio.to_thread(stack.wait_for_restart, name, pid)
    await plant.sender.flush()

    async def counted() -> bool:
        cases = (await stored_cases(stack)).values()
        count = sum(case["signal"]["count"] for case in cases if case.get("device_id", "").startswith("line-"))
        return count >= sent.raised.total()

    await until(counted, what="every signal counted")
    report = Report()

    async def told() -> bool:  # what is stored is told a moment later
        nonlocal report
        report = await inspect(stack.bootstrap_servers, stack.mongodb_uri, sent)
        report.miscounted = {key: pair for key, pair in report.miscounted.items() if key in sent.raised}
        return report.clean

    with contextlib.suppress(StackError):
        await until(told)
    assert report.clean, report

    def opened() -> int:
        return Counter(name for number in range(30) for name, _ in plant.decided(f"line-{number}"))["opened"]

    await until(lambda: opened() >= len(sent.raised), what="what was decided")
    assert opened() == len(sent.raised)


async def test_a_downstream_program_follows_every_case_through_its_own_restart(
    stack: RunningStack, plant: Plant, tmp_path: Path
) -> None:
    case_id = case_of("press-10", "E1")
    await plant.report("raised", "press-10", "E1", datetime.now(UTC))
    number = (await plant.case(case_id, state="NEW"))["number"]
    heard = {f"{body['number']} {body['seq']}" for body in plant.listener.bodies(EVENTS)}
    first = await asyncio.to_thread(example_told, stack, tmp_path, lambda said: heard <= places(said))
    assert (await plant.command("start", case_id))["accepted"]
    second = await asyncio.to_thread(example_told, stack, tmp_path, lambda said: said[-1].startswith(f"{number} 2 "))
    assert second[-1] == f"{number} 2 callout.case.started.v1 IN_PROGRESS"
    assert not places(first) & places(second)

    with contextlib.closing(sqlite3.connect(tmp_path / "cases.db")) as kept, kept:
        kept.execute("UPDATE cases SET hash = ? WHERE id = ?", ("0" * 64, case_id))
    assert (await plant.command("resolve", case_id, summary="tightened"))["accepted"]
    third = await asyncio.to_thread(example_told, stack, tmp_path, lambda _: False)
    assert third[-1] == f"lost, doubled or edited: 3 after 2 of case {case_id}"


async def test_all_that_the_services_told_is_as_the_asyncapi_document_says(stack: RunningStack, plant: Plant) -> None:
    await plant.sender.send(SIGNALS, b"{", key=f"{TENANT}/press-11", headers=signal_headers("raised", str(uuid4())))
    case_id = case_of("press-11", "E1")
    await plant.report("raised", "press-11", "E1", datetime.now(UTC))
    await plant.case(case_id, state="NEW")
    assert (await plant.command("dance", case_id))["code"] == "unknown_command"
    assert (await plant.command("start", case_id))["accepted"]
    assert (await plant.command("resolve", case_id, summary="tightened"))["accepted"]

    dead = f"{SIGNALS}.dead"
    await until(lambda: read_topic(stack.bootstrap_servers, dead), what="the one that nobody can read is dead")
    contract = Contract(yaml.load((PROJECT / "docs" / "asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader))
    records = [record for record in await everything(stack) if not contract.is_foreign(record)]
    assert sorted({fault for record in records for fault in contract.faults_of(record)})[:20] == []
    told = {(record.topic, contract.message_of(record)) for record in records}
    events = {(EVENTS, f"callout.case.{name}.v1") for name in ("created", "started", "resolved")}
    assert told >= {*events, (COMMANDS, "callout.case.create.v1"), (DECISIONS, "callout.intake.opened.v1")}
    assert {topic for topic, _ in told} >= {OUTCOMES, HEALTH, "case.snapshots.v1", dead}


async def everything(stack: RunningStack) -> list[Any]:
    """Return every committed record with a value of every topic of ours that there is."""
    async with AIOKafkaConsumer(bootstrap_servers=stack.bootstrap_servers) as asked:
        topics = [name for name in await asked.topics() if not name.startswith("__")]
    records: list[Any] = []
    async with TopicReader(stack.bootstrap_servers, *topics) as reader:
        async for batch in reader.read(await reader.ends()):
            records += [record for record in batch if record.value is not None]
    return records


def places(lines: list[str]) -> set[str]:
    """Return which events, by number of the case and seq, the example told."""
    return {" ".join(line.split()[:2]) for line in lines}


def example_told(stack: RunningStack, folder: Path, enough: Callable[[list[str]], bool]) -> list[str]:
    """Run the example of the documentation until it has said enough, then kill it, or to its end; return its lines."""
    program = (sys.executable, str(PROJECT / "docs" / "examples" / "case_events.py"), str(folder / "cases.db"))
    environment = clean_environment() | {"KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers}
    said: list[str] = []
    with subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            said.append(line.rstrip("\n"))
            if enough(said):
                break
        running.kill()
    return said
