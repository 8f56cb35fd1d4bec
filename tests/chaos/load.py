"""The load of a chaos run: devices that report, storm and repeat themselves, and people who work the cases."""

import asyncio
import random
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.people import People

TENANTS = ("acme", "globex")
#: In this one cases close, and go to the archive, by themselves so soon.
HASTY, HASTY_SECONDS = "globex", 3.6
COMMANDS_PER_TURN = 3
FAULTS = ("E1", "E2", "E3", "E4")


@dataclass
class Sent:
    """What was sent and acknowledged."""

    raised: Counter[tuple[str, str]] = field(default_factory=Counter)
    commands: set[str] = field(default_factory=set)


class Load:
    """Sends signals and commands at a steady rate until told to stop."""

    def __init__(self, bootstrap_servers: str, *, seed: int, devices: int = 40, rate: int = 150) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._random = random.Random(seed)
        self._devices = devices
        self._rate = rate
        self.people = People(seed)
        self._said: deque[dict[str, Any]] = deque(maxlen=30)
        self.sent = Sent()
        #: What has happened so far, and what of it by itself.
        self.seen: set[str] = set()
        self.stopping = asyncio.Event()

    async def run(self) -> Sent:
        """Send until stopped; return when all is acknowledged."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=True, request_timeout_ms=120_000
        )
        await producer.start()
        watching = asyncio.create_task(self._watch())
        pending: set[asyncio.Future[object]] = set()
        try:
            while not self.stopping.is_set():
                for _ in range(max(1, self._rate // 20)):
                    pending.add(await self._signal(producer))
                for _ in range(COMMANDS_PER_TURN if self.people else 0):
                    pending.add(await self._command(producer))
                await asyncio.sleep(0.05)
                done = {future for future in pending if future.done()}
                for future in done:
                    future.result()
                pending -= done
            await asyncio.gather(*pending)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await producer.stop()
        return self.sent

    async def _signal(self, producer: AIOKafkaProducer) -> "asyncio.Future[object]":
        if self._said and self._random.random() < 0.05:
            return await self._say_again(producer)
        said = self._new_signal()
        self._said.append(said)
        return await producer.send("device.signals.v1", **said)

    async def _say_again(self, producer: AIOKafkaProducer) -> "asyncio.Future[object]":
        """Send a signal a second time, now and then without a key, so that it lies on any partition."""
        said = self._random.choice(self._said)
        return await producer.send("device.signals.v1", **said | ({"key": None} if self._random.random() < 0.5 else {}))

    def _new_signal(self) -> dict[str, Any]:
        r = self._random
        tenant, device = r.choice(TENANTS), f"dev-{r.randrange(self._devices):03d}"
        cleared = r.random() < 0.08
        shared = r.random() < 0.1
        if r.random() < 0.08:
            device, shared = f"wild-{r.randrange(2)}", False
        body = {
            "tenant_id": tenant,
            "device_id": device,
            "fault": f"W{r.randrange(300)}" if device.startswith("wild") else r.choice(FAULTS),
            "severity": r.choice(("minor", "major", "critical")),
            "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        if shared:
            body["dedup_key"] = f"line-{r.randrange(6)}"
        if not cleared:
            key = body.get("dedup_key", device)
            self.sent.raised[tenant, key] += 1
        type_ = f"callout.signal.{'cleared' if cleared else 'raised'}.v1"
        headers = _headers(type_, str(uuid.uuid4()))
        return {"value": orjson.dumps(body), "key": f"{tenant}/{device}".encode(), "headers": headers}

    async def _command(self, producer: AIOKafkaProducer) -> "asyncio.Future[object]":
        case_id, name, body = self.people.command()
        command_id = str(uuid.uuid4())
        self.sent.commands.add(command_id)
        headers = _headers(f"callout.case.{name}.v1", command_id)
        return await producer.send("case.commands.v1", orjson.dumps(body), key=case_id.encode(), headers=headers)

    async def _watch(self) -> None:
        consumer = AIOKafkaConsumer(
            "case.events.v1",
            bootstrap_servers=self._bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            while True:
                try:
                    batches = await consumer.getmany(timeout_ms=500)
                except KafkaError:
                    await asyncio.sleep(0.5)
                    continue
                for records in batches.values():
                    for record in records:
                        self._see(record)
        finally:
            await consumer.stop()

    def _see(self, record: Any) -> None:
        headers, change = dict(record.headers), orjson.loads(record.value)["change"]
        name = headers["ce_type"].decode().split(".")[2]
        self.seen |= {name, f"{name} by itself"} if change.get("reason") == "by_itself" else {name}
        note_id = change["note"]["id"] if name == "note_added" else None
        self.people.see(record.key.decode(), headers["ce_tenant"].decode(), note_id)


def _headers(type_: str, id_: str) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", id_.encode()),
        ("ce_source", b"/test/chaos"),
        ("ce_type", type_.encode()),
    ]
