"""How fast lists of cases are at 10,000, 100,000 and 1,000,000 of them, beside a raw Motor find; how far views lag."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient

from services.gateway.domain.access import Identity
from services.gateway.domain.query import CaseQuery
from services.gateway.generations import Generations
from services.gateway.store import Views
from shared.contracts.words import Role, State
from shared.storage import connect
from tests.bench.backlog import Servers
from tests.bench.export import DATABASE, exported
from tests.bench.many_views import DEVICES, FIRST_NUMBER, USERS, rare_word, store
from tests.bench.processes import Worker
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.view_parts import Publisher, fresh

ASKED = 100
ROUNDS = 4
EXPLAINED = 20
WARM_UP = 20
GROWTH_MAX = 1.3
FLOOR_MAX = 3.0
LAG_MAX_MS = 50
ANN = Identity("bench", "ann", Role.AGENT)
PARTITIONS = 12
#: Every question has a full page of answers already among the fewest cases (rare words and numbers: the same few).
FEWEST = 500
Ask = Callable[[random.Random], Awaitable[Any]]

#: What people ask for; each is asked with values that differ from question to question.
QUESTIONS: dict[str, Callable[[random.Random], dict[str, str]]] = {
    "list": lambda _: {},
    "open, by priority": lambda _: {"state_group": "open", "sort": "priority"},
    "state": lambda chance: {"state": chance.choice(list(State)).value},
    "device": lambda chance: {"device": f"press-{chance.randrange(DEVICES)}"},
    "assignee": lambda chance: {"assignee": f"user-{chance.randrange(USERS)}"},
    "two filters": lambda chance: {"assignee": f"user-{chance.randrange(USERS)}", "severity": "critical"},
    "search, rare": lambda chance: {"q": rare_word(chance.randrange(FEWEST))},
    "search, frequent": lambda _: {"q": "spindle"},
    "number": lambda chance: {"q": f"{FIRST_NUMBER + chance.randrange(FEWEST)}"},
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
    """Ask for pages while there are more and more cases; the raw find asks the same server for as many documents.

    In the end all of them are exported as CSV by a running gateway.
    """
    database = connect(servers.mongodb, DATABASE, timeout_ms=1_800_000)
    client: Any = AsyncIOMotorClient(servers.mongodb)
    found: list[Finding] = []
    first: dict[str, Times] = {}
    least: dict[str, float] = {}
    have = 0
    try:
        await client.drop_database(DATABASE)
        generations = Generations(database)
        await generations.start()
        for count in sizes.views:
            began = time.perf_counter()
            await store(generations, have, count, raw=client[DATABASE]["case_views_1"])
            per_second = (count - have) / (time.perf_counter() - began)
            have = count
            asked = await _ask_all(Views(generations), client)
            raw = client[DATABASE]["case_views_1"]
            looked = {name: await looked_at(Views(generations), raw, each) for name, each in QUESTIONS.items()}
            first, least = first or asked, least or looked
            found += _findings(count, asked, first, per_second)
            found += _growth_of_work(count, looked, least)
        found.append(await exported(servers, have))
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


async def looked_at(
    asked: Views, views: Any, question: Callable[[random.Random], dict[str, str]], *, limit: int = 25
) -> float:
    """Return how many keys and documents the server looks at for a page; no other work on the machine changes that."""
    chance, looked = random.Random(1), 0
    for _ in range(EXPLAINED):
        query = CaseQuery.parse({**question(chance), "count": "none", "limit": str(limit)})
        find = asked.question(ANN, query, more=1)
        cursor = views.find(dict(find.conditions), dict.fromkeys(find.fields, 1)).sort(list(find.order))
        stats = (await cursor.limit(find.limit).explain())["executionStats"]
        looked += stats["totalKeysExamined"] + stats["totalDocsExamined"]
    return looked / EXPLAINED


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
            for name in (*QUESTIONS, "total")
        ]
    return found


def _growth_of_work(count: int, looked: dict[str, float], least: dict[str, float]) -> list[Finding]:
    if looked is least:
        return []
    return [
        Finding(
            measure=f"{count:,} views",
            what=f"keys and documents looked at, {name} : at the fewest",
            ratio=looked[name] / least[name],
            target=GROWTH_MAX,
            limit=True,
            figures={"looked_at": round(looked[name], 1)},
        )
        for name in QUESTIONS
    ]


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
