"""How long it takes from starting to the first event: of one service, and of the whole embedded stack on old data."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import loads
from tests.bench.backlog import PARTITIONS, SECONDS_MAX, Servers, Work
from tests.bench.floor import Output, Task
from tests.bench.kafka import Kafka, Sending
from tests.bench.processes import Process, Worker
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, SIGNALS, Sizes
from tests.stack import RunningStack

TURNS = 3
#: As a service has it by default.
SESSION_SECONDS = 6
DOCUMENT_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from starting a process to the first message it told, and to the one on the last partition."""

    first: float
    last: float

    def figures(self) -> dict[str, Any]:
        """Return the figures for a report."""
        return {"first_ms": round(self.first * 1000), "last_ms": round(self.last * 1000)}


async def restart(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure a service's start beside a floor's, its start after a crash, and the start of everything."""
    findings = []
    for work, make in ((COMMANDS, _creations), (SIGNALS, _signals)):
        ours, floors = [], []
        for _ in range(TURNS):
            ours.append(await _by_service(servers, work, make()))
            floors.append(await _by_floor(servers, work, make()))
        ours, floors = ours[1:], floors[1:]  # the first has to make group, documents and caches
        findings.append(_beside_floor(f"restart, {work.service}", _best(ours), _best(floors)))
    crashed = await _by_service(servers, COMMANDS, _creations(), after_crash=True)
    findings.append(
        Finding(
            measure="restart, workflow after kill -9",
            what="first event on the last partition : session timeout",
            ratio=crashed.last / SESSION_SECONDS,
            target=1.5,
            limit=True,
            figures={"service": crashed.figures()},
        )
    )
    return [*findings, await _whole_stack(servers.logs / "restart", sizes)]


async def _by_service(servers: Servers, work: Work, lying: Sequence[Sending], *, after_crash: bool = False) -> Start:
    """Start a service that finds a record on every partition."""
    kafka = Kafka(servers.kafka)
    if after_crash:
        with Worker(work.service, servers.environment(), _log(servers, work.service)) as worker:
            await worker.ready(PARTITIONS)
            worker.kill()
    before = {topic: await kafka.ends(topic) for topic in work.says}
    await kafka.fill(work.topic, lying)
    started = time.time()
    with Worker(work.service, servers.environment(), _log(servers, work.service)):
        await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)
    told = await kafka.told(work.says[0], before[work.says[0]])
    return Start(told.first_ms / 1000 - started, told.last_ms / 1000 - started)


async def _by_floor(servers: Servers, work: Work, lying: Sequence[Sending]) -> Start:
    """Start a plain loop that finds a record on every partition."""
    kafka = Kafka(servers.kafka)
    said = f"floor.restart.{time.time_ns()}"
    await kafka.create(said)
    before, since = await kafka.ends(said), await kafka.ends(work.topic)
    await kafka.fill(work.topic, lying)
    task = Task(
        servers=servers.kafka,
        mongodb_uri=servers.mongodb,
        topic=work.topic,
        since=list(since.items()),
        count=len(lying),
        key_fields=work.key_fields,
        document_bytes=DOCUMENT_BYTES,
        outputs=[Output(said, 1, DOCUMENT_BYTES, [])],
    )
    started = time.time()
    with Process("-m", "tests.bench.floor", log=servers.logs / "floor.log") as process:
        process.say(task.line())
        await process.hear(seconds=60)
        process.say("go")
        await process.hear(seconds=SECONDS_MAX)
    told = await kafka.told(said, before)
    return Start(told.first_ms / 1000 - started, told.last_ms / 1000 - started)


async def _whole_stack(folder: Path, sizes: Sizes) -> Finding:
    """Start everything on data that is there, with signals that lie there."""
    with RunningStack(folder) as stack:
        kafka = Kafka(stack.bootstrap_servers)
        await kafka.fill(SIGNALS.topic, loads.distinct(sizes.restart_signals, prefix="old"))
        for work in (SIGNALS, COMMANDS):
            await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)
    with _started(folder, "--only", "infra") as servers_seconds:
        before = await kafka.ends(COMMANDS.says[0])
        lying = _signals()
        await kafka.fill(SIGNALS.topic, lying)
    began = time.time()
    with _started(folder) as seconds:
        told = await kafka.told(COMMANDS.says[0], before)
        while told.count < len(lying):
            await asyncio.sleep(0.1)
            told = await kafka.told(COMMANDS.says[0], before)
    whole = Start(told.first_ms / 1000 - began, told.last_ms / 1000 - began)
    return Finding(
        measure="restart, whole embedded stack",
        what="first event : Kafka and MongoDB ready",
        ratio=whole.first / servers_seconds,
        target=2.5,
        limit=True,
        figures={
            "stack": whole.figures(),
            "servers_ready_ms": round(servers_seconds * 1000),
            "all_ready_ms": round(seconds * 1000),
            "cases_there": sizes.restart_signals,
        },
    )


@contextmanager
def _started(folder: Path, *arguments: str) -> Iterator[float]:
    """Run a stack, and tell how long its start took."""
    stack = RunningStack(folder, *arguments)
    began = time.monotonic()
    stack.start()
    try:
        yield time.monotonic() - began
    finally:
        stack.stop()


def _creations() -> list[Sending]:
    return list(loads.creations(loads.spread_cases(1)))


def _signals() -> list[Sending]:
    return [loads.signal(device, "E1", 0) for device in loads.spread_devices(1)]


def _log(servers: Servers, service: str) -> Path:
    return servers.logs / f"{service}-restart-{time.time_ns()}.log"


def _best(starts: Sequence[Start]) -> Start:
    return min(starts, key=lambda start: start.first)


def _beside_floor(measure: str, ours: Start, floor: Start) -> Finding:
    return Finding(
        measure=measure,
        what="start to first message told : floor",
        ratio=ours.first / floor.first,
        target=8.0,
        limit=True,
        figures={"service": ours.figures(), "floor": floor.figures()},
    )
