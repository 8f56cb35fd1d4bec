"""Notification: what finding who is told costs among many who are not, and webhooks against a raw client."""

import asyncio
import json
import time
from uuid import uuid4

import httpx

from services.notification.domain.book import Book
from services.notification.domain.planning import planned
from shared.contracts.tenant import CONFIG
from shared.contracts.tenant_data import TenantData
from tests.bench import loads
from tests.bench.backlog import Servers
from tests.bench.kafka import Kafka, Sending
from tests.bench.processes import Worker
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.contract.golden_cases import event
from tests.unit.notification.news_of import told

FEW, MANY = 100, 100_000
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
RECEIVERS, AT_ONCE = 8, 16
SECONDS_MAX = 240


async def notices(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure events matched per second among few and among many subscriptions, and webhooks delivered per second."""
    return [_matching(sizes), await _webhooks(servers, sizes)]


def _matching(sizes: Sizes) -> Finding:
    news = [told("created", device_id="press-07", seq=number) for number in range(sizes.notices)]
    rates: dict[int, list[float]] = {FEW: [], MANY: []}
    books = {count: _book(count) for count in rates}
    for book in books.values():
        planned(news[0], book)  # the index is made when it is first asked for
    for _ in range(3):
        for count, book in books.items():
            began = time.perf_counter()
            made = sum(len(planned(each, book)) for each in news)
            rates[count].append(len(news) / (time.perf_counter() - began))
            assert made == len(news), "one subscription is concerned"
    few, many = (sorted(rates[count])[1] for count in (FEW, MANY))
    figures = {"few_per_second": round(few), "many_per_second": round(many)}
    return Finding(
        measure="notices, matching",
        what="events/s, 100,000 subscriptions : 100",
        ratio=many / few,
        target=0.8,
        figures=figures,
    )


def _book(count: int) -> Book:
    def hook(device: str) -> bytes:
        return json.dumps({"url": "https://x.example", "secrets": [SECRET], "devices": [device]}).encode()

    others = {f"s{number}": hook(f"lathe-{number}") for number in range(count - 1)}
    return Book(TenantData({"subscription": {**others, "mine": hook("press-07")}}))


class Receiver:
    """Counts posts, and answers at once."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.first = self.last = 0.0
        self.port = 0

    async def start(self) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                await reader.readexactly(int(fields[b"content-length"]))
                self.last = time.perf_counter()
                self.first = self.first or self.last
                self.ids.add(fields[b"webhook-id"])
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    @property
    def rate(self) -> float:
        """How many came in a second."""
        return len(self.ids) / (self.last - self.first)


async def _webhooks(servers: Servers, sizes: Sizes) -> Finding:
    """Let Callout deliver a backlog of events, and a raw client post as many bodies as large, in turns."""
    rates: dict[str, list[float]] = {"raw": [], "callout": []}
    for _ in range(2):
        rates["raw"].append(await _raw(sizes.webhooks))
        rates["callout"].append(await _callout(servers, sizes.webhooks))
    raw, ours = (max(rates[name]) for name in ("raw", "callout"))
    figures = {"raw_per_second": round(raw), "callout_per_second": round(ours), "webhooks": sizes.webhooks}
    return Finding(
        measure="notices, webhooks", what="webhooks/s : raw httpx", ratio=ours / raw, target=0.5, figures=figures
    )


async def _raw(count: int) -> float:
    receiver = Receiver()
    server = await receiver.start()
    body = json.dumps({"type": "case.created", "data": event("created")}).encode()
    numbers = iter(range(count))

    async def post(client: httpx.AsyncClient) -> None:
        for number in numbers:
            await client.post(f"http://127.0.0.1:{receiver.port}/", content=body, headers={"webhook-id": str(number)})

    async with httpx.AsyncClient(timeout=60) as client:  # on a busy machine a place in its pool takes long
        await asyncio.gather(*(post(client) for _ in range(AT_ONCE * RECEIVERS)))
    server.close()
    return receiver.rate


async def _callout(servers: Servers, count: int) -> float:
    receiver, tenant = Receiver(), f"b{uuid4().hex[:10]}"
    server = await receiver.start()
    url = f"http://127.0.0.1:{receiver.port}/"
    hooks = [
        Sending(
            f"{tenant}/subscription/h{number}".encode(),
            json.dumps({"url": url, "secrets": [SECRET]}).encode(),
            loads.headers(CONFIG),
        )
        for number in range(RECEIVERS)
    ]
    kafka = Kafka(servers.kafka)
    await kafka.fill("tenant.config.v1", hooks)
    await kafka.fill("case.events.v1", [_event(tenant) for _ in range(count // RECEIVERS)])
    log, local = servers.logs / f"{tenant}.log", {"NOTIFICATION_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with Worker("notification", servers.environment(), log, **local):
        async with asyncio.timeout(SECONDS_MAX):
            while len(receiver.ids) < count // RECEIVERS * RECEIVERS:
                await asyncio.sleep(0.1)
    server.close()
    return receiver.rate


def _event(tenant: str) -> Sending:
    body = event("created")
    body["case_id"] = body["case"]["id"] = str(uuid4())
    body["case"]["tenant_id"] = tenant
    headers = loads.headers("callout.case.created.v1")
    return Sending(body["case_id"].encode(), json.dumps(body).encode(), headers)
