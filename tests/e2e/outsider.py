"""A stranger at the topics: sends, listens and looks into the store with plain drivers, and uses none of our code."""

import asyncio
import contextlib
import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pymongo import AsyncMongoClient

from tests.stack import PATIENCE_SECONDS, RunningStack, StackError

SIGNALS = "device.signals.v1"
COMMANDS = "case.commands.v1"
EVENTS = "case.events.v1"
OUTCOMES = "case.outcomes.v1"
DECISIONS = "intake.decisions.v1"
HEALTH = "ops.health.v1"

Headers = list[tuple[str, bytes | None]]
Place = tuple[str, int, int]


def rfc3339(at: datetime) -> str:
    """Return an instant as it stands in messages."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cloudevent(type_: str, id_: str, **extra: str) -> Headers:
    """Return the headers of a CloudEvent in binary mode."""
    named = {"ce_specversion": "1.0", "ce_id": id_, "ce_source": "/test/outsider", "ce_type": type_, **extra}
    return [(name, text.encode()) for name, text in named.items()]


def signal_headers(word: str, id_: str) -> Headers:
    """Return the headers of a signal: `raised` or `cleared`."""
    return cloudevent(f"callout.signal.{word}.v1", id_)


class Sender:
    """A pipelined, idempotent producer; what was sent is acknowledged once the context is left or `flush` returns."""

    def __init__(self, stack: RunningStack, *, compression: str | None = None) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=stack.bootstrap_servers,
            enable_idempotence=True,
            acks="all",
            max_request_size=2**21,
            compression_type=compression,
        )
        self._pending: list[asyncio.Future[Any]] = []

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.flush()
        finally:
            await self._producer.stop()

    async def send(
        self,
        topic: str,
        value: bytes | dict[str, Any] | None,
        *,
        key: str | bytes | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Hand one record over to be sent with those after it."""
        body = orjson.dumps(value) if isinstance(value, dict) else value
        name = key.encode() if isinstance(key, str) else key
        if body is None and name is None:
            await self._send_nothing(topic, list(headers), partition)
        else:
            future = await self._producer.send(topic, body, key=name, headers=list(headers), partition=partition)
            self._pending.append(future)

    async def _send_nothing(self, topic: str, headers: Headers, partition: int | None) -> None:
        """Send a record without key and value, which other clients let pass and this one only in a batch."""
        batch = self._producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=headers)
        self._pending.append(await self._producer.send_batch(batch, topic, partition=partition))

    async def flush(self) -> list[Place]:
        """Wait until all is acknowledged; return where the records lie, in the order they were sent."""
        metadata = await asyncio.gather(*self._pending)
        self._pending.clear()
        return [(m.topic, m.partition, m.offset) for m in metadata]


class Listener:
    """Hears committed records of topics from their beginning, and keeps them."""

    def __init__(self, stack: RunningStack, *topics: str) -> None:
        self.heard: dict[str, list[Any]] = defaultdict(list)
        self._consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=stack.bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=2**22,
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._consumer.stop()

    async def _listen(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    self.heard[record.topic].append(record)

    def bodies(self, topic: str) -> list[dict[str, Any]]:
        """Return the bodies heard on a topic."""
        return [orjson.loads(record.value) for record in self.heard[topic]]


async def until(condition: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS, what: str = "") -> Any:
    """Wait until something holds, which may have to be awaited, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        found = await found if inspect.isawaitable(found) else found
        if found:
            return found
        if time.monotonic() > deadline:
            raise StackError(f"It did not come about within {seconds:g} s: {what}")
        await asyncio.sleep(0.1)


async def stored_cases(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """Return the state of every stored case by its id."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(stack.mongodb_uri, tz_aware=True)
    try:
        found = client["callout_workflow"]["cases"].find({"case": {"$exists": True}}, {"case": 1})
        return {document["_id"]: document["case"] async for document in found}
    finally:
        await client.close()
