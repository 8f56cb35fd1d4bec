"""Many timers that are due at once: how fast they are worked off, and how long people wait meanwhile."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient

from tests.bench import loads
from tests.bench.backlog import PARTITIONS, SESSION_TIMEOUT_MS, Servers, by_service, forget
from tests.bench.kafka import Kafka
from tests.bench.processes import Worker
from tests.bench.pulse import Pulse
from tests.bench.report import Finding
from tests.bench.stored import Document, store_copies
from tests.bench.throughput import COMMANDS, Sizes

SLA = "ops.sla.v1"
PATTERNS = 200
PER_SECOND = 20
SECONDS_MAX = 600
#: Half of the time for the first response (8 hours) is used up, and no more.
AGE = timedelta(hours=5)
PROMPT_SECONDS = 2.0
TIMERS_PER_COMMAND = 0.25


@dataclass(frozen=True, slots=True)
class Burst:
    """How many timers went off, in which time, and how long commands took: before, and meanwhile."""

    timers: int
    told: int
    seconds: float
    cpu_seconds: float
    before: list[float]
    meanwhile: list[float]

    @property
    def per_second(self) -> float:
        """Timers worked off per second."""
        return self.timers / self.seconds

    def figures(self) -> dict[str, Any]:
        """Return the figures for a report."""
        return {
            "timers": self.timers,
            "told": self.told,
            "seconds": round(self.seconds, 1),
            "per_second": round(self.per_second),
            "cpu_us": round(self.cpu_seconds / self.timers * 1e6),
            "before_ms": _percentiles(self.before),
            "meanwhile_ms": _percentiles(self.meanwhile),
        }


async def due(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure the timers per second, beside the commands per second of the same service, and commands meanwhile."""
    await forget(servers, COMMANDS)
    cases = loads.case_ids(PATTERNS, seed=time.time_ns())
    warm_up = [*loads.creations(cases)]
    backlog = list(loads.commands(cases, sizes.commands))
    run, _ = await by_service(servers, COMMANDS, warm_up, backlog)
    burst = await burst_of(servers, sizes.due, sizes)
    figures = burst.figures() | {"commands_per_second": round(run.per_second)}
    return [
        Finding(
            measure=f"{burst.timers:,} timers due at once",
            what="timers/s : commands/s",
            ratio=burst.per_second / run.per_second,
            target=TIMERS_PER_COMMAND,
            figures=figures,
        ),
        Finding(
            measure=f"{burst.timers:,} timers due at once",
            what="p95 of commands meanwhile, command to event : 2 s",
            ratio=sorted(burst.meanwhile)[int(len(burst.meanwhile) * 0.95)] / PROMPT_SECONDS,
            target=1.0,
            limit=True,
            figures=figures,
        ),
    ]


async def burst_of(servers: Servers, count: int, sizes: Sizes) -> Burst:
    """Let so many timers be due at once while people go on; each is to tell one share of its case's time."""
    await forget(servers, COMMANDS)
    others = loads.case_ids(PATTERNS, seed=time.time_ns())
    kafka, client = Kafka(servers.kafka), AsyncMongoClient[Document](servers.mongodb, tz_aware=True)
    log = servers.logs / f"workflow-due-{time.time_ns()}.log"
    settings = {"WORKFLOW_SESSION_TIMEOUT_MS": SESSION_TIMEOUT_MS}
    async with client:
        stored = client["callout_workflow"]["cases"]
        with Worker(COMMANDS.service, servers.environment(), log, **settings) as worker:
            await worker.ready(PARTITIONS)
            await kafka.fill(COMMANDS.topic, loads.creations(others))
            await kafka.worked_off(COMMANDS.topic, COMMANDS.group, seconds=180)
            patterns = [aged(document) async for document in stored.find({"_id": {"$in": others}})]
            async with Pulse(servers.kafka, others, PER_SECOND) as pulse:
                await asyncio.sleep(sizes.warm_seconds)
                pulse.latencies.clear()
                await asyncio.sleep(sizes.steady_seconds)
                await pulse.settle()
            before, ends = pulse.latencies, await kafka.ends(SLA)
            worker.pause()
            await store_copies(servers, patterns, 0, count)
            used, began = worker.cpu_seconds, time.perf_counter()
            worker.wake()
            async with Pulse(servers.kafka, others, PER_SECOND) as pulse:
                async with asyncio.timeout(SECONDS_MAX):
                    while await stored.count_documents({"due_at": {"$lte": datetime.now(UTC)}}, limit=1):
                        await asyncio.sleep(0.2)
                seconds, used = time.perf_counter() - began, worker.cpu_seconds - used
                await pulse.settle()
            await kafka.worked_off(COMMANDS.topic, COMMANDS.group, seconds=180)
    told = await kafka.told(SLA, ends)
    return Burst(count, told.count, seconds, used, before, pulse.latencies)


def aged(value: Any) -> Any:
    """Return a document, or a part of it, as if all had happened earlier."""
    match value:
        case datetime():
            return value - AGE
        case dict():
            return {name: aged(part) for name, part in value.items()}
        case list():
            return [aged(part) for part in value]
    return value


def _percentiles(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {f"p{p}": round(ordered[int(len(ordered) * p / 100)] * 1000, 1) for p in (50, 95)} if ordered else {}
