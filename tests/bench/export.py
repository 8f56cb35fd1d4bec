"""A whole list as CSV out of a running gateway: whether its memory grows with the rows."""

import time
from typing import Any

import httpx
from pymongo import AsyncMongoClient

from services.gateway.generations import VIEW_INDEXES, Generations
from shared.storage import connect
from tests.bench.backlog import Servers
from tests.bench.gateway import Door, started
from tests.bench.many_views import store
from tests.bench.memory import slope
from tests.bench.processes import Worker
from tests.bench.report import Finding
from tests.bench.throughput import Sizes

#: The gateway's own: what is written here a running gateway serves.
DATABASE = "callout_gateway"
PATH = "/api/v1/cases/export.csv"
SAMPLE_ROWS = 2_000
#: What a million rows may cost more than the first of them.
GROWTH_MB_MAX = 50.0
ALL_ROWS = 1_000_000


async def export(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Write views where a running gateway finds them, and export them all.

    A whole list is read from one index, so that of all the others none is kept: they take longer than all the rest.
    """
    database = connect(servers.mongodb, DATABASE, timeout_ms=600_000)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb)
    try:
        await client.drop_database(DATABASE)
        async with started(servers, workflow=False) as (door, process):
            views, [order] = client[DATABASE]["case_views_1"], [i for i in VIEW_INDEXES if i.name == "created_at"]
            await views.drop_indexes()
            await store(Generations(database), 0, sizes.exported)
            await views.create_index([(name, 1) for name in order.fields], name=order.name)
            return [await _finding(door, process, sizes.exported)]
    finally:
        await client.drop_database(DATABASE)
        await client.close()
        await database.close()


async def exported(servers: Servers, count: int) -> Finding:
    """Have a gateway export the cases that are there, all of the tenant `bench`."""
    async with started(servers, workflow=False) as (door, process):
        return await _finding(door, process, count)


async def _finding(door: Door, process: Worker, count: int) -> Finding:
    """Download all cases, and look at the gateway's memory all the while."""
    await _download(door, process, most=5 * SAMPLE_ROWS)  # what it loads once
    began = time.perf_counter()
    rows, held = await _download(door, process)
    took = time.perf_counter() - began
    assert rows == count, f"{rows} rows of {count}"
    per_million = slope(held) * ALL_ROWS / SAMPLE_ROWS if len(held) > 1 else 0.0
    return Finding(
        measure=f"{count:,} rows of CSV over HTTP",
        what="MB more per 1,000,000 rows (the slope over these)",
        ratio=max(0.0, per_million),
        target=GROWTH_MB_MAX,
        limit=True,
        figures={
            "rows": rows,
            "per_second": round(rows / took),
            "first_mb": round(held[0], 1),
            "highest_mb": round(max(held), 1),
            "last_mb": round(held[-1], 1),
        },
    )


async def _download(door: Door, process: Worker, *, most: int | None = None) -> tuple[int, list[float]]:
    """Return how many rows came, and what the gateway held after every few of them."""
    lines, held = -1, [process.resident_mb]  # the first line names the columns
    async with (
        httpx.AsyncClient(base_url=door.url, headers=door.headers, timeout=60) as http,
        http.stream("GET", PATH) as answer,
    ):
        answer.raise_for_status()
        async for piece in answer.aiter_bytes():
            lines += piece.count(b"\n")
            if lines >= SAMPLE_ROWS * len(held):
                held.append(process.resident_mb)
            if most is not None and lines >= most:
                break
    return lines, held
