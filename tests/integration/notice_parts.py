"""Receivers of webhooks that count, and what tests of notification tell and read."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contracts.catalogue import CASE_EVENTS, NOTIFICATION_RESULTS, TENANT_CONFIG
from shared.contracts.tenant import KINDS
from tests.contract.golden_cases import event

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


class Endpoint:
    """What came to one path: bodies by webhook id, and how often each came."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.counts: Counter[str] = Counter()
        self.status: Callable[[int], int] = lambda _: 204
        self.stall = False
        self.refuses_first: Callable[[str], bool] = lambda _: False

    def json(self, id_: str) -> Any:
        """Return a body by its webhook id."""
        return json.loads(self.bodies[id_])


class Receivers:
    """A server with as many endpoints as are asked for."""

    def __init__(self) -> None:
        self._paths: dict[str, Endpoint] = {}
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()

    def endpoint(self) -> tuple[str, Endpoint]:
        """Return a new endpoint and its address."""
        path = f"/{uuid4().hex[:10]}"
        self._paths[path] = Endpoint()
        return f"http://127.0.0.1:{self._port}{path}", self._paths[path]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Receivers"]:
        """Serve until the block ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._open:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {n.lower(): t.strip() for n, _, t in (line.partition(":") for line in head[1:-2])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                there, id_ = self._paths[head[0].split(" ")[1]], headers["webhook-id"]
                there.bodies[id_], there.headers[id_] = body, headers
                there.counts[id_] += 1
                if there.stall:
                    await asyncio.sleep(3600)
                refused = there.counts[id_] == 1 and there.refuses_first(id_)
                status = 503 if refused else there.status(sum(there.counts.values()))
                writer.write(f"HTTP/1.1 {status} Some\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class Teller:
    """Tells tenants' data and case events as their owners would."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True)

    async def __aenter__(self) -> "Teller":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def config(self, tenant_id: str, kind: str, name: str, body: dict[str, Any]) -> None:
        """Set something of a tenant."""
        value = json.dumps(body).encode()
        KINDS[kind].model_validate_json(value)
        await self._producer.send_and_wait(TENANT_CONFIG.name, value, key=f"{tenant_id}/{kind}/{name}".encode())

    async def happens(self, tenant_id: str, name: str = "created", **fields: Any) -> str:
        """Tell an event of a case of a tenant; return its id."""
        return (await self.all_happen([(tenant_id, name, fields)]))[0]

    async def all_happen(self, events: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
        """Tell events of cases; return their ids."""
        ids, sending = [], []
        for tenant_id, name, fields in events:
            body = event(name)
            body["case_id"] = fields.pop("case_id", None) or str(uuid4())
            body["seq"] = fields.pop("seq", body["seq"])
            body["change"] = fields.pop("change", body["change"])
            body["actor"] = fields.pop("actor", body["actor"])
            body["case"] |= {"id": body["case_id"], "tenant_id": tenant_id, **fields}
            ids.append(str(uuid4()))
            headers = {"ce_specversion": "1.0", "ce_id": ids[-1], "ce_type": f"callout.case.{name}.v1"}
            headers |= {"ce_source": "/callout/workflow", "ce_tenant": tenant_id, "content-type": "application/json"}
            sending.append(
                await self._producer.send(
                    CASE_EVENTS.name,
                    json.dumps(body).encode(),
                    key=body["case_id"].encode(),
                    headers=[(key, text.encode()) for key, text in headers.items()],
                )
            )
        await asyncio.gather(*sending)
        return ids

    async def tells(self, topic: str, type_: str, body: dict[str, Any]) -> None:
        """Tell something of a device, as the service that owns it would."""
        headers = {"ce_specversion": "1.0", "ce_id": str(uuid4()), "ce_type": type_, "ce_source": "/callout/tests"}
        headers |= {"ce_tenant": body["tenant_id"], "content-type": "application/json"}
        await self._producer.send_and_wait(
            topic,
            json.dumps(body).encode(),
            key=f"{body['tenant_id']}/{body['device_id']}".encode(),
            headers=[(key, text.encode()) for key, text in headers.items()],
        )

    async def asks(self, topic: str, key: str, body: dict[str, Any]) -> None:
        """Send something bare, as an outsider would."""
        await self._producer.send_and_wait(topic, json.dumps(body).encode(), key=key.encode())


async def results(bootstrap_servers: str, tenant_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what was told of a tenant's deliveries: type, id and body; what was told twice once, as its id says."""
    consumer = AIOKafkaConsumer(
        NOTIFICATION_RESULTS.name, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    found: dict[str, tuple[str, str, dict[str, Any]]] = {}
    try:
        while not consumer.assignment():
            await asyncio.sleep(0.02)
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    headers = {name: text.decode() for name, text in record.headers}
                    body = json.loads(record.value)
                    if body["tenant_id"] == tenant_id:
                        name = headers["ce_type"].removeprefix("callout.notification.").removesuffix(".v1")
                        found[headers["ce_id"]] = (name, headers["ce_id"], body)
    finally:
        await consumer.stop()
    return list(found.values())
