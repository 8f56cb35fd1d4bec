"""How fast lists of cases are at 10,000, 100,000 and 1,000,000 of them, beside a raw Motor find; how far views lag."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

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
ROUNDS = 6
EXPLAINED = 20
WARM_UP = 20
GROWTH_MAX = 1.3
FLOOR_MAX = 3.0
LAG_MAX_MS = 50
ANN = Identity("bench", "ann", Role.AGENT)
PARTITIONS = 12
#: Every question has a full page of answers already among the fewest cases (rare words and numbers: the same few).
FEWEST = 500
#: MongoDB's own default is half of the memory; the embedded one is as small as a demonstration needs.
CACHE, CACHE_OF_EMBEDDED = "4G", "256M"
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


class Listed(NamedTuple):
    """Cases that are asked for: as a gateway asks, and the driver's collection."""

    views: Views
    raw: Any


async def views(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Ask for pages among fewer and more cases in turns; the raw find asks the same server for as many documents.

    Each number of cases has a database of its own. In the end most of them are exported as CSV by a running gateway.
    """
    client: Any = AsyncIOMotorClient(servers.mongodb)
    names = {count: f"{DATABASE}_{count}" for count in sizes.views} | {max(sizes.views): DATABASE}
    kept = {count: connect(servers.mongodb, name, timeout_ms=1_800_000) for count, name in names.items()}
    per_second, listed = {}, {}
    try:
        await _cache(client, CACHE)
        for count, database in kept.items():
            await client.drop_database(names[count])
            generations = Generations(database)
            await generations.start()
            began = time.perf_counter()
            await store(generations, 0, count, raw=client[names[count]]["case_views_1"])
            per_second[count] = count / (time.perf_counter() - began)
            listed[count] = Listed(Views(generations), client[names[count]]["case_views_1"])
        await client.admin.command("fsync")
        asked = await _ask_all(listed)
        looked = {
            count: {name: await looked_at(*each, question) for name, question in QUESTIONS.items()}
            for count, each in listed.items()
        }
        found = [
            finding
            for count in sizes.views
            for finding in (*_findings(count, asked, per_second[count]), *_growth_of_work(count, looked))
        ]
        found.append(await exported(servers, max(sizes.views)))
    finally:
        for count, database in kept.items():
            await client.drop_database(names[count])
            await database.close()
        await _cache(client, CACHE_OF_EMBEDDED)
        client.close()
    return [*found, await _lag(servers)]


async def _cache(client: Any, size: str) -> None:
    await client.admin.command({"setParameter": 1, "wiredTigerEngineRuntimeConfig": f"cache_size={size}"})


async def _ask_all(listed: dict[int, Listed]) -> dict[int, dict[str, Times]]:
    """Ask everything everywhere; what is asked of fewer and of more cases goes by turns, on the same machine."""

    def page(each: Listed, question: Callable[[random.Random], dict[str, str]]) -> Ask:
        return lambda chance: each.views.page(ANN, CaseQuery.parse({**question(chance), "count": "none"}))

    def total(each: Listed) -> Ask:
        return lambda _: each.views.page(ANN, CaseQuery.parse({"state": "NEW"}))

    def floor(each: Listed) -> Ask:
        newest = each.raw.find({"listed": "bench"}).sort([("created_at", -1), ("n", -1)]).limit(25)
        return lambda _: newest.clone().to_list(None)

    questions: dict[str, Callable[[Listed], Ask]] = {
        **{name: lambda each, question=question: page(each, question) for name, question in QUESTIONS.items()},  # type: ignore[misc]
        "total": total,
        "raw find": floor,
    }
    times: dict[int, dict[str, Times]] = {count: {} for count in listed}
    for name, of in questions.items():
        for count, each in (await _timed({count: of(each) for count, each in listed.items()})).items():
            times[count][name] = each
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


async def _timed(asks: dict[int, Ask]) -> dict[int, Times]:
    """Ask in some rounds; the best counts, for other work on the machine only ever makes one slower."""
    chances = {count: random.Random(1) for count in asks}
    for count, ask in asks.items():
        for _ in range(WARM_UP):
            await ask(chances[count])
    rounds: dict[int, list[Times]] = {count: [] for count in asks}
    for _ in range(ROUNDS):
        for count, ask in asks.items():
            rounds[count].append(await _round(ask, chances[count]))
    return {
        count: Times(min(times.p50 for times in each), min(times.p95 for times in each))
        for count, each in rounds.items()
    }


async def _round(ask: Ask, chance: random.Random) -> Times:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        await ask(chance)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return Times(took[len(took) // 2], took[int(len(took) * 0.95)])


def _findings(count: int, all_asked: dict[int, dict[str, Times]], per_second: float) -> list[Finding]:
    asked, fewest = all_asked[count], all_asked[min(all_asked)]
    figures = {name: times.figures() for name, times in asked.items()} | {"stored_per_second": round(per_second)}
    found = [
        Finding(
            measure=f"{count:,} views",
            what="p95 of a page : raw find",
            ratio=asked["list"].p95 / asked["raw find"].p95,
            target=FLOOR_MAX,
            limit=True,
            figures=figures,
        )
    ]
    if asked is not fewest:
        found += [
            Finding(
                measure=f"{count:,} views",
                what=f"p95, {name} : at the fewest",
                ratio=asked[name].p95 / fewest[name].p95,
                target=GROWTH_MAX,
                limit=True,
            )
            for name in (*QUESTIONS, "total")
        ]
    return found


def _growth_of_work(count: int, all_looked: dict[int, dict[str, float]]) -> list[Finding]:
    looked, least = all_looked[count], all_looked[min(all_looked)]
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
