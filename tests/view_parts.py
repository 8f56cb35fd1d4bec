"""The gateway's own parts for tests: run in this process, its database, and events to feed it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.gateway.app import build
from services.gateway.settings import GatewaySettings
from shared.contracts.catalogue import CASE_EVENTS
from shared.service import Service
from tests.stack import PATIENCE_SECONDS, RunningStack
from tests.unit.gateway.events import event, record, state


async def eventually(condition: Any, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Return what a question answers once it answers something."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


class Publisher:
    """Publishes the events of states of cases."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")

    async def __aenter__(self) -> "Publisher":
        await self.producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.producer.stop()

    async def __call__(self, *states: dict[str, Any], topic: str = CASE_EVENTS.name) -> list[Any]:
        """Publish events, in their order; return where they lie."""
        futures = []
        for each in (record(event(case)) for case in states):
            sending = self.producer.send(topic, each.value, key=each.key, headers=list(each.headers))
            futures.append(await sending)
        return [await future for future in futures]


@asynccontextmanager
async def gateway(infra: RunningStack, **settings: Any) -> AsyncIterator[Service]:
    """Run the gateway's own parts in this process, without its doors."""
    servers = {"kafka_bootstrap_servers": infra.bootstrap_servers, "mongodb_uri": infra.mongodb_uri}
    service = build(GatewaySettings(**servers, session_timeout_ms=3_000, **settings))
    await service._start()
    try:
        yield service
    finally:
        await service._stop("the test is over")


def fresh(number: int, **fields: Any) -> dict[str, Any]:
    """Return the state of a case, of a tenant, that no other test has."""
    run = uuid4().hex[:12]
    return state(f"{run}-{number}", number=f"{uuid4().int % 10**8:08d}", **{"tenant_id": f"t{run}", **fields})


async def serving(database: Any, name: str) -> Any:
    """Return the collection of views or of histories that serves."""
    standing = await database.generations.find_one({"_id": "case_views"})
    return database[f"{name}_{standing['serving'] if standing else 1}"]


async def views(database: Any, cases: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the views of some cases, by case."""
    found = (await serving(database, "case_views")).find({"case_id": {"$in": [case["id"] for case in cases]}})
    return {document["case_id"]: document async for document in found}


async def entries(database: Any, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the history of a case."""
    pattern = {"$regex": f"^{case['tenant_id']}/{case['id']}:"}
    found: list[dict[str, Any]] = await (
        (await serving(database, "case_history")).find({"_id": pattern}).sort("_id").to_list()
    )
    return found


async def is_past(infra: RunningStack, sent: Sequence[Any]) -> bool:
    """Tell whether the gateway has committed some records."""
    group = f"callout.gateway.{CASE_EVENTS.name}"
    consumer = AIOKafkaConsumer(bootstrap_servers=infra.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [(TopicPartition(each.topic, each.partition), each.offset) for each in sent]
        return all([(await consumer.committed(place) or 0) > offset for place, offset in places])
    finally:
        await consumer.stop()
