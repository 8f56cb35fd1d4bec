"""Whether a case costs more the more cases are stored: 1,000 to 1,000,000 real documents, the same work on 1,000."""

import asyncio
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.write_concern import WriteConcern

from shared.flow.teller import home_partition
from tests.bench import loads
from tests.bench.backlog import PARTITIONS, Run, Servers, by_service, forget
from tests.bench.processes import Worker
from tests.bench.pulse import Pulse
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, TURNS, Sizes

#: The cases that are worked on, whatever number is stored.
WORKED_ON = 1_000
PATTERNS = 500
INSERT = 5_000
INSERTS_AT_ONCE = 3
PER_SECOND = 20
GROWTH_MAX = 1.3
FIRST_NUMBER = 20_000_000

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """What a number of stored cases makes of speed."""

    stored: int
    run: Run
    p50_ms: float
    p99_ms: float

    def figures(self) -> dict[str, Any]:
        """Return the figures for a report."""
        speed = {"per_second": round(self.run.per_second), "cpu_us": round(self.run.cpu_us, 1)}
        return {"stored": self.stored, **speed, "p50_ms": round(self.p50_ms, 1), "p99_ms": round(self.p99_ms, 1)}


async def stored(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure commands per second and the latency of single commands while more and more cases are stored."""
    patterns = await _patterns(servers)
    await forget(servers, COMMANDS)
    points: list[Point] = []
    ids: list[str] = []
    for count in sizes.stored:
        ids += await store_copies(servers, patterns, len(ids), count)
        points.append(await _measure(servers, ids, sizes))
    # What the machine was doing at the beginning it may not do at the end: the smallest case is measured twice.
    await forget(servers, COMMANDS)
    again = await _measure(servers, await store_copies(servers, patterns, 0, sizes.stored[0]), sizes)
    await forget(servers, COMMANDS)
    base = _better(points[0], again)
    return [finding for point in points[1:] for finding in _findings(point, base)]


async def _patterns(servers: Servers) -> list[Document]:
    """Let the service make some cases and work on them; return their documents."""
    cases = loads.case_ids(PATTERNS, seed=time.time_ns())
    await by_service(servers, COMMANDS, loads.creations(cases), list(loads.commands(cases, PATTERNS * 4)))
    client: AsyncMongoClient[Document] = AsyncMongoClient(servers.mongodb)
    async with client:
        found = client["callout_workflow"]["cases"].find({"_id": {"$in": cases}})
        return [document async for document in found]


async def store_copies(servers: Servers, patterns: Sequence[Document], have: int, count: int) -> list[str]:
    """Store cases like these until there are so many; return the ids of the new ones."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(servers.mongodb)
    ids: list[str] = []
    async with client:
        cases = client["callout_workflow"].get_collection("cases", write_concern=WriteConcern(w=1, j=False))
        turns: set[asyncio.Task[Any]] = set()
        for chunk in _chunks(_copies(patterns, have, count)):
            ids += [document["_id"] for document in chunk]
            turns.add(asyncio.create_task(cases.insert_many(chunk, ordered=False)))
            if len(turns) >= INSERTS_AT_ONCE:
                done, turns = await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        await asyncio.gather(*turns)
        await client.admin.command("fsync")
    return ids


def _chunks(documents: Iterator[Document]) -> Iterator[list[Document]]:
    chunk: list[Document] = []
    for document in documents:
        chunk.append(document)
        if len(chunk) == INSERT:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _copies(patterns: Sequence[Document], since: int, until: int) -> Iterator[Document]:
    """Return documents as the service would have left them, each with an id, a number and a device of its own."""
    chosen = random.Random(since)
    for place in range(since, until):
        pattern = patterns[place % len(patterns)]
        case_id = str(uuid.UUID(int=chosen.getrandbits(128), version=4))
        number, device_id = str(FIRST_NUMBER + place), f"stored-{place // 10}"
        home = home_partition(case_id.encode(), PARTITIONS)
        mark = {"source": f"{COMMANDS.topic}/{home}", "generation": 0, "offset": 0, "floor": 0, "emitted": []}
        own = {"_id": case_id, "number": number, "device_id": device_id, "marks": [mark]}
        state = pattern["case"] | {"id": case_id, "number": number, "device_id": device_id}
        yield pattern | own | {"case": state}


async def _measure(servers: Servers, ids: Sequence[str], sizes: Sizes) -> Point:
    """Work on the same number of cases, picked evenly from all that are stored: first many commands, then single."""
    chosen = random.Random(len(ids))
    worked_on, others = chosen.sample(ids, WORKED_ON), chosen.sample(ids, min(len(ids), WORKED_ON))
    runs = []
    for turn in range(TURNS):
        backlog = list(loads.commands(worked_on, sizes.commands, seed=turn))
        runs.append((await by_service(servers, COMMANDS, loads.commands(worked_on, 500, seed=-1), backlog))[0])
    run = max(runs, key=lambda run: run.per_second)
    log = servers.logs / f"workflow-stored-{time.time_ns()}.log"
    with Worker(COMMANDS.service, servers.environment(), log) as worker:
        await worker.ready(PARTITIONS)
        async with Pulse(servers.kafka, others, PER_SECOND) as pulse:
            await asyncio.sleep(sizes.warm_seconds)
            pulse.latencies.clear()
            await asyncio.sleep(sizes.steady_seconds)
            await pulse.settle()
    ordered = sorted(pulse.latencies)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    return Point(len(ids), run, p50, p99)


def _better(one: Point, other: Point) -> Point:
    """Return the best of two runs of the same."""
    faster = max(one, other, key=lambda point: point.run.per_second)
    return replace(faster, p50_ms=min(one.p50_ms, other.p50_ms), p99_ms=min(one.p99_ms, other.p99_ms))


def _findings(point: Point, base: Point) -> list[Finding]:
    figures = {"more": point.figures(), "fewest": base.figures()}
    measure = f"{point.stored:,} stored cases"
    return [
        Finding(
            measure=measure,
            what=f"time per command : at {base.stored:,}",
            ratio=base.run.per_second / point.run.per_second,
            target=GROWTH_MAX,
            limit=True,
            figures=figures,
        ),
        Finding(
            measure=measure,
            what=f"p50, command to event : at {base.stored:,}",
            ratio=point.p50_ms / base.p50_ms,
            target=GROWTH_MAX,
            limit=True,
            figures=figures,
        ),
    ]
