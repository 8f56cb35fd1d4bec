"""From POST to 201 with 1, 32 and 256 clients, and pages of cases, beside a raw FastAPI over Motor in the same run."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI, Request
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, WriteConcern
from starlette.responses import Response

from deploy.embedded.issuer import DevelopmentIssuer
from tests.bench.backlog import PARTITIONS, Servers
from tests.bench.http_client import Connection, Times, timed
from tests.bench.processes import NotReady, Process, Worker, free_port
from tests.bench.report import Finding
from tests.bench.throughput import Sizes

CLIENTS = (1, 32, 256)
PAGES = "/api/v1/cases?limit=25"
#: Two hops through Kafka, three writes and what each waits for stand against one write.
POST_MAX = {1: 10.0, 32: 10.0, 256: 10.0}
PAGE_MAX = 3.0
WARM_SECONDS = 2.0
LISTEN_SECONDS = 30
DATABASE = "callout_bench_http"
CASE = {"title": "Spindle over temperature", "severity": "major", "device_id": "press-07", "description": "x" * 200}
BODY = orjson.dumps(CASE)
Measure = Callable[[int, float], Awaitable[Times]]


@dataclass(frozen=True, slots=True)
class Door:
    """Where requests go, and with which headers."""

    url: str
    headers: dict[str, str]
    kept: bool = True

    def asks(self, method: str, path: str, body: bytes = b"", *, status: int = 200) -> Measure:
        """Return a measure of one request: so many clients, for so many seconds."""
        sent: dict[str, Any] = {"method": method, "path": path, "body": body, "status": status, "kept": self.kept}
        return lambda clients, seconds: timed(self.url, self.headers, clients=clients, seconds=seconds, **sent)


async def gateway(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure both in turns, each so many seconds; the better half of two turns counts for either."""
    async with AsyncExitStack() as stack:
        ours, _ = await stack.enter_async_context(started(servers, workflow=True))
        floor = await stack.enter_async_context(_floor(servers))
        create = ours.asks("POST", "/api/v1/cases", BODY, status=201)
        insert = floor.asks("POST", "/cases", BODY, status=201)
        for measure in (create, insert):
            await measure(4, WARM_SECONDS)
        findings = [await _beside("POST to 201", create, insert, n, sizes, POST_MAX[n]) for n in CLIENTS]
        page, find = ours.asks("GET", PAGES), floor.asks("GET", "/cases")
        findings.append(await _beside("a page of 25", page, find, 1, sizes, PAGE_MAX))
    return findings


async def _beside(what: str, ours: Measure, floor: Measure, clients: int, sizes: Sizes, most: float) -> Finding:
    plain, held = [], []
    for _ in range(2):
        plain.append(await floor(clients, sizes.http_seconds))
        held.append(await ours(clients, sizes.http_seconds))
    raw = min(plain, key=lambda times: times.percentile_ms(0.5))
    told = min(held, key=lambda times: times.percentile_ms(0.5))
    return Finding(
        measure=f"HTTP, {clients} client{'s' * (clients > 1)}",
        what=f"p50 of {what} : raw FastAPI and Motor",
        ratio=told.percentile_ms(0.5) / raw.percentile_ms(0.5),
        target=most,
        limit=True,
        figures={**_figures(told), **{f"raw_{name}": value for name, value in _figures(raw).items()}},
    )


def _figures(times: Times) -> dict[str, float]:
    return {
        "p50_ms": round(times.percentile_ms(0.5), 1),
        "p99_ms": round(times.percentile_ms(0.99), 1),
        "per_second": round(times.per_second),
        "answers": len(times.seconds),
    }


@asynccontextmanager
async def started(
    servers: Servers, *, workflow: bool, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Door, Worker]]:
    """Run a gateway (and workflow) as an operator would; a door where somebody of `bench` stands, and its process."""
    issuer = DevelopmentIssuer(servers.logs / "issuer")
    issuer.prepare()
    port = free_port()
    environment = {
        **issuer.environment(),
        "GATEWAY_API_PORT": str(port),
        "GATEWAY_REQUESTS_PER_SECOND": "100000",
        "GATEWAY_REQUESTS_BURST": "1000000",
        "GATEWAY_WAIT_SECONDS": "60",
        **(settings or {}),
    }
    async with AsyncExitStack() as stack:
        if workflow:
            log = servers.logs / "workflow-http.log"
            await stack.enter_context(Worker("workflow", servers.environment(), log)).ready(PARTITIONS)
        gateway = stack.enter_context(
            Worker("gateway", servers.environment(), servers.logs / f"gateway-{port}.log", **environment)
        )
        await gateway.ready(PARTITIONS)
        token = issuer.token(tenant="bench", user="ann", role="agent", seconds=36_000)
        yield Door(f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}), gateway


@asynccontextmanager
async def _floor(servers: Servers) -> AsyncIterator[Door]:
    port = free_port()
    log = servers.logs / "raw-http.log"
    environment = {**servers.environment(), "RAW_PORT": str(port)}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb)
    try:
        await client.drop_database(DATABASE)
        await client[DATABASE]["cases"].create_index([("tenant", 1), ("n", 1)])
        with Process("-m", "tests.bench.gateway", log=log, environment=environment):
            door = Door(f"http://127.0.0.1:{port}", {})
            await _listens(door)
            yield door
    finally:
        await client.drop_database(DATABASE)
        await client.close()


async def _listens(door: Door) -> None:
    for _ in range(LISTEN_SECONDS * 10):
        try:
            async with Connection(door.url, door.headers) as connection:
                await connection.ask("GET", "/cases")
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return
    raise NotReady("the raw server does not listen")


def raw() -> FastAPI:
    """Return the floor: a case is a document, written as safely as ours are; a page is a find by an index."""
    app = FastAPI()
    client: Any = AsyncIOMotorClient(os.environ["MONGODB_URI"])
    cases = client[DATABASE].get_collection("cases", write_concern=WriteConcern(w="majority", j=True))
    numbers = iter(range(10**12))

    @app.post("/cases", status_code=201)
    async def create(request: Request) -> Response:
        document = {"tenant": "bench", "n": next(numbers), **await request.json()}
        done = await cases.insert_one(document)
        return Response(orjson.dumps({"id": str(done.inserted_id)}), 201, media_type="application/json")

    @app.get("/cases")
    async def page() -> Response:
        found = await cases.find({"tenant": "bench"}, {"_id": 0}).sort([("n", -1)]).limit(25).to_list(None)
        return Response(orjson.dumps({"items": found}), media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(raw(), port=int(os.environ["RAW_PORT"]), log_level="warning", timeout_keep_alive=75)
