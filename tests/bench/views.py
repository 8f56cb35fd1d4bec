"""How fast lists of cases are at 10,000, 100,000 and 1,000,000 of them, beside a raw Motor find; how far views lag."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from motor.motor_asyncio import AsyncIOMotorClient

from services.gateway.domain.access import Identity
from services.gateway.domain.columns import FACTORY
from services.gateway.domain.query import CaseQuery
from services.gateway.domain.view import view_document
from services.gateway.export import csv_chunks
from services.gateway.generations import Generations
from services.gateway.store import Views
from shared.contracts.fields import rfc3339
from shared.contracts.words import CaseType, Origin, Priority, Role, Severity, State
from shared.storage import connect
from tests.bench.backlog import Servers
from tests.bench.processes import Worker
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.unit.gateway.events import event, record, state
from tests.view_parts import Publisher, fresh

DATABASE = "callout_bench_views"
INSERT = 1_000
ASKED = 100
ROUNDS = 4
WARM_UP = 20
GROWTH_MAX = 1.3
FLOOR_MAX = 3.0
LAG_MAX_MS = 50
START = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Identity("bench", "ann", Role.AGENT)
PARTITIONS = 12
Ask = Callable[[random.Random], Awaitable[Any]]

#: What people ask for; each is asked with values that differ from question to question.
QUESTIONS: dict[str, Callable[[random.Random], dict[str, str]]] = {
    "list": lambda _: {},
    "open, by priority": lambda _: {"state_group": "open", "sort": "priority"},
    "state": lambda chance: {"state": chance.choice(list(State)).value},
    "device": lambda chance: {"device": f"press-{chance.randrange(1_000)}"},
    "assignee": lambda chance: {"assignee": f"user-{chance.randrange(50)}"},
    "two filters": lambda chance: {"assignee": f"user-{chance.randrange(50)}", "severity": "critical"},
    "search, rare": lambda chance: {"q": f"{chance.randrange(10**4):04d}x"},
    "search, frequent": lambda _: {"q": "spindle"},
    "number": lambda chance: {"q": f"{20_000_000 + chance.randrange(10_000)}"},
}


@dataclass(frozen=True, slots=True)
class Times:
    """How long questions took, in milliseconds."""

    p50: float
    p95: float

    def figures(self) -> dict[str, float]:
        """Return them for a report."""
        return {"p50_ms": round(self.p50, 2), "p95_ms": round(self.p95, 2)}


async def views(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Ask for pages while there are more and more cases; the raw find asks the same server for as many documents."""
    database = connect(servers.mongodb, DATABASE, timeout_ms=120_000)
    client: Any = AsyncIOMotorClient(servers.mongodb)
    found: list[Finding] = []
    first: dict[str, Times] = {}
    have = 0
    try:
        await client.drop_database(DATABASE)
        generations = Generations(database)
        await generations.start()
        for count in sizes.views:
            began = time.perf_counter()
            await _store(generations, have, count)
            per_second = (count - have) / (time.perf_counter() - began)
            have = count
            asked = await _ask_all(Views(generations), client)
            first = first or asked
            found += _findings(count, asked, first, per_second)
        found.append(await _exported(Views(generations), have))
    finally:
        await client.drop_database(DATABASE)
        client.close()
        await database.close()
    return [*found, await _lag(servers)]


async def _ask_all(asked: Views, client: Any) -> dict[str, Times]:
    times = {}
    raw = client[DATABASE]["case_views_1"]

    def page(question: Callable[[random.Random], dict[str, str]]) -> Ask:
        return lambda chance: asked.page(ANN, CaseQuery.parse({**question(chance), "count": "none"}))

    async def floor(_: random.Random) -> Any:
        return await raw.find({"listed": "bench"}).sort([("created_at", -1), ("n", -1)]).limit(25).to_list(None)

    for name, question in QUESTIONS.items():
        times[name] = await _timed(page(question))
    times["total"] = await _timed(lambda _: asked.page(ANN, CaseQuery.parse({"state": "NEW"})))
    times["raw find"] = await _timed(floor)
    return times


async def _timed(ask: Ask) -> Times:
    """Ask in some rounds; the best counts, for other work on the machine only ever makes one slower."""
    chance = random.Random(1)
    for _ in range(WARM_UP):
        await ask(chance)
    rounds = [await _round(ask, chance) for _ in range(ROUNDS)]
    return Times(min(times.p50 for times in rounds), min(times.p95 for times in rounds))


async def _round(ask: Ask, chance: random.Random) -> Times:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        await ask(chance)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return Times(took[len(took) // 2], took[int(len(took) * 0.95)])


def _findings(count: int, asked: dict[str, Times], first: dict[str, Times], per_second: float) -> list[Finding]:
    floor = asked["raw find"]
    figures = {name: times.figures() for name, times in asked.items()} | {"stored_per_second": round(per_second)}
    found = [
        Finding(
            measure=f"{count:,} views",
            what="p95 of a page : raw find",
            ratio=asked["list"].p95 / floor.p95,
            target=FLOOR_MAX,
            limit=True,
            figures=figures,
        )
    ]
    if asked is not first:
        found += [
            Finding(
                measure=f"{count:,} views",
                what=f"p95, {name} : at the fewest",
                ratio=asked[name].p95 / first[name].p95,
                target=GROWTH_MAX,
                limit=True,
            )
            for name in QUESTIONS
        ]
    return found


async def _store(generations: Generations, have: int, count: int) -> None:
    for start in range(have, count, INSERT):
        cases = [_case(number) for number in range(start, min(start + INSERT, count))]
        bodies = [event(case) for case in cases]
        documents = [view_document("bench", body, record(body).value) for body in bodies]
        await generations[1].cases.insert_new(documents)


def _case(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    words = ("Spindle", "Pump", "Door", "Robot", "Belt", "Oven", "Valve", "Axis")
    title = f"{chance.choice(words)} {chance.choice(('hot', 'loud', 'stuck'))} {chance.randrange(10**4):04d}x"
    created = rfc3339(START + timedelta(seconds=number))
    return state(
        f"bench-{number}",
        number=f"{20_000_000 + number}",
        tenant_id="bench",
        title=title,
        state=chance.choice(list(State)).value,
        priority=chance.choice(list(Priority)).value,
        severity=chance.choice(list(Severity)).value,
        case_type=chance.choice(list(CaseType)).value,
        origin=chance.choice(list(Origin)).value,
        device_id=f"press-{chance.randrange(1_000)}",
        machine={"serial": f"SN-{chance.randrange(1_000)}", "model": "X2", "brand": "B", "technology": "CNC"},
        assignees=[f"user-{chance.randrange(50)}"],
        tags=["night"],
        created_at=created,
        updated_at=created,
    )


async def _exported(asked: Views, count: int) -> Finding:
    """Export all cases; what matters is that memory does not grow with them."""
    query, held, process = CaseQuery.parse({"count": "none"}), [], psutil.Process()
    began = time.perf_counter()
    rows = 0
    async for chunk in csv_chunks(asked, ANN, query, FACTORY):
        rows += chunk.count(b"\r\n")
        held.append(process.memory_info().rss / 1e6)
    per_second = rows / (time.perf_counter() - began)
    early, late = max(held[: max(2, len(held) // 4)]), max(held[len(held) // 2 :])
    return Finding(
        measure=f"{count:,} rows of CSV",
        what="memory in the second half : in the first quarter",
        ratio=late / early,
        target=1.1,
        limit=True,
        figures={"rows": rows - 1, "per_second": round(per_second), "resident_mb": round(late, 1)},
    )


async def _lag(servers: Servers) -> Finding:
    """Publish events one by one to an idle gateway; how long until the view has each."""
    database = connect(servers.mongodb, "callout_gateway")
    asked, took = Views(Generations(database)), []
    log = servers.logs / f"gateway-lag-{time.time_ns()}.log"
    with Worker("gateway", servers.environment(), log) as worker:
        await worker.ready(PARTITIONS)
        async with Publisher(servers.kafka) as publish:
            for _ in range(2 * ASKED + WARM_UP):
                took.append(await _seen_after(asked, publish))
                await asyncio.sleep(0.01)
    await database.close()
    took = sorted(took[WARM_UP:])
    p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
    return Finding(
        measure="view lag, idle",
        what="p50 from the event's acknowledgement to its view, ms",
        ratio=p50,
        target=LAG_MAX_MS,
        limit=True,
        figures={"p50_ms": round(p50, 1), "p99_ms": round(p99, 1)},
    )


async def _seen_after(asked: Views, publish: Publisher) -> float:
    case = fresh(1, tenant_id="bench")
    await publish(case)
    began = time.perf_counter()
    while not await asked.versions("bench", [case["id"]]):
        await asyncio.sleep(0.001)
    return (time.perf_counter() - began) * 1000
