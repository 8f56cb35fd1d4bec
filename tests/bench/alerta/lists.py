"""Lists over HTTP beside Alerta's: the same number of alerts and of cases, the same questions, one client.

Alerta's workers end each connection with the answer, so that its client makes a new one; ours goes on with the one.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from pymongo import AsyncMongoClient

from services.gateway.generations import Generations
from shared.storage import connect
from tests.bench.alerta.peer import DATABASE as THEIRS
from tests.bench.alerta.peer import Alerta, alerta
from tests.bench.alerta.trials import Signal
from tests.bench.backlog import Servers
from tests.bench.export import DATABASE as OURS
from tests.bench.gateway import Door, started
from tests.bench.http_client import Times
from tests.bench.many_views import DEVICES, store
from tests.bench.report import Finding
from tests.bench.throughput import Sizes

INSERT: Final = 5_000
#: What is asked of either; the list as it comes, what is open about one machine, and the worst that is open.
QUESTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "a page of 25": ("/alerts?page-size=25", "/api/v1/cases?limit=25"),
    "a page of one device's": ("/alerts?page-size=25&resource=press-7", "/api/v1/cases?limit=25&device=press-7"),
    "a page of the critical ones": (
        "/alerts?page-size=25&severity=critical",
        "/api/v1/cases?limit=25&severity=critical",
    ),
}
SEVERITIES: Final = ("critical", "major", "minor", "warning", "informational")
Asked = dict[tuple[int, str], Times]


async def lists(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Ask both for pages among as many alerts or cases, one system at a time."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb)
    theirs: Asked = {}
    ours: Asked = {}
    try:
        async with alerta(servers) as system:
            await _ask(
                sizes,
                theirs,
                Door(system.url, {}, kept=False),
                lambda have, count: _alerts(system, client, have, count),
                0,
            )
        await client.drop_database(OURS)
        database = connect(servers.mongodb, OURS, timeout_ms=600_000)
        async with started(servers, workflow=False) as (door, _):
            views = client[OURS]["case_views_1"]
            await _ask(sizes, ours, door, lambda have, count: store(Generations(database), have, count, raw=views), 1)
        await database.close()
    finally:
        await client.drop_database(OURS)
        await client.close()
    return [_finding(count, what, ours[count, what], theirs[count, what]) for count, what in ours]


async def _ask(sizes: Sizes, found: Asked, door: Door, fill: Callable[[int, int], Awaitable[None]], side: int) -> None:
    have = 0
    for count in sizes.listed:
        await fill(have, count)
        have = count
        for what, paths in QUESTIONS.items():
            ask = door.asks("GET", paths[side])
            await ask(1, sizes.http_seconds / 4)
            found[count, what] = await ask(1, sizes.http_seconds)


async def _alerts(system: Alerta, client: Any, have: int, count: int) -> None:
    """Store alerts as Alerta stored one that it was sent, on as many devices as our cases are about."""
    alerts = client[THEIRS]["alerts"]
    if have == 0:
        why = await system.send(0, Signal("press-0", "E1", place=0), apart=False)
        assert not why, why
    pattern = await alerts.find_one({"event": "E1"})
    for start in range(max(1, have), count, INSERT):
        await alerts.insert_many(
            [_alert(pattern, number) for number in range(start, min(start + INSERT, count))], ordered=False
        )


def _alert(pattern: Mapping[str, Any], number: int) -> dict[str, Any]:
    severity = SEVERITIES[number // DEVICES % len(SEVERITIES)]
    at = {name: pattern[name] + timedelta(seconds=number) for name in ("createTime", "receiveTime", "lastReceiveTime")}
    named = {"_id": str(uuid.UUID(int=number)), "resource": f"press-{number % DEVICES}", "event": f"E{number}"}
    return {**pattern, **named, **at, "severity": severity}


def _finding(count: int, what: str, ours: Times, theirs: Times) -> Finding:
    told = {"p50_ms": round(ours.percentile_ms(0.5), 1), "p95_ms": round(ours.percentile_ms(0.95), 1)}
    peer = {"p50_ms": round(theirs.percentile_ms(0.5), 1), "p95_ms": round(theirs.percentile_ms(0.95), 1)}
    return Finding(
        measure=f"beside Alerta, {count:,}",
        what=f"p95 of {what}, Alerta : Callout",
        ratio=theirs.percentile_ms(0.95) / ours.percentile_ms(0.95),
        target=1,
        figures={**told, **{f"alerta_{name}": value for name, value in peer.items()}},
    )
