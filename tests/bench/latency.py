"""How long an idle system takes from a signal to the event of its case, beside the same two hops written plainly.

Plainly means twice: without transactions, as most would write it, and with one transaction for each hop, without which
messages and position cannot count together.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench import loads
from tests.bench.backlog import PARTITIONS, SECONDS_MAX, Servers
from tests.bench.floor import Output, Task
from tests.bench.kafka import Kafka
from tests.bench.processes import Process, Worker
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, SIGNALS

PER_SECOND = 5
#: What comes first and is not counted: an idle system has run for a while, and so has Kafka's just-in-time compiler.
WARM_UP, WARM_UP_PER_SECOND = 500, 25
ANSWER_SECONDS = 20
DOCUMENT_BYTES = {"intake": 850, "workflow": 2400}
COMMAND_BYTES, EVENT_BYTES = 800, 2000


@dataclass
class Probe:
    """Sends signals on one topic and waits for what comes of each on another."""

    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    topic: str
    key_of: Callable[[bytes, bytes], str]
    seconds: list[float] = field(default_factory=list)
    _sent: dict[str, float] = field(default_factory=dict)

    async def send(self, name: str, place: int) -> None:
        """Send one signal of a new fault."""
        sending = loads.signal(f"{name}-{place}", "E1", place)
        self._sent[f"{loads.TENANT}|{name}-{place}|E1"] = time.perf_counter()
        await self.producer.send(self.topic, sending.value, key=sending.key, headers=list(sending.headers))

    async def listen(self) -> None:
        """Note when something comes of the signals."""
        async for record in self.consumer:
            began = self._sent.pop(self.key_of(record.key, record.value), None)
            if began is not None:
                self.seconds.append(time.perf_counter() - began)

    async def answered(self) -> None:
        """Wait until something came of every signal."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while self._sent:
                await asyncio.sleep(0.05)

    def percentile_ms(self, share: float) -> float:
        """Return the latency that this share of the signals stayed within."""
        ordered = sorted(self.seconds)
        return round(ordered[int(len(ordered) * share)] * 1000, 1)


async def idle(servers: Servers, seconds: float) -> list[Finding]:
    """Measure both chains in turns, so that both meet the same noise."""
    async with AsyncExitStack() as stack:
        for service in ("workflow", "intake"):
            log = servers.logs / f"{service}-idle.log"
            worker = stack.enter_context(Worker(service, servers.environment(), log))
            await worker.ready(PARTITIONS)
        kafka = Kafka(servers.kafka)
        for work in (SIGNALS, COMMANDS):
            await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)
        await kafka.worked_off("case.events.v1", "callout.intake.case.events.v1", seconds=SECONDS_MAX)
        probes = {
            "service": await stack.enter_async_context(_probe(servers, SIGNALS.topic, "case.events.v1", _dedup_key))
        }
        for name, transactional in (("plain", False), ("plain, transactions", True)):
            heard, said = await _plain_chain(stack, servers, kafka, transactional=transactional)
            probes[name] = await stack.enter_async_context(_probe(servers, heard, said, lambda key, _: key.decode()))
        run = time.time_ns()
        for place in range(WARM_UP + int(seconds * PER_SECOND)):
            if place == WARM_UP:
                for probe in probes.values():
                    await probe.answered()
                    probe.seconds.clear()
            for probe in probes.values():
                await probe.send(f"idle-{run}", place)
                await asyncio.sleep(1 / (PER_SECOND if place >= WARM_UP else WARM_UP_PER_SECOND) / len(probes))
        for probe in probes.values():
            await probe.answered()
    ours = probes.pop("service")
    return [
        Finding(
            measure="idle latency",
            what=f"p50, signal to case event : {name} chain",
            ratio=ours.percentile_ms(0.5) / floor.percentile_ms(0.5),
            target=1.5,
            limit=True,
            figures={"service": _figures(ours), "floor": _figures(floor)},
        )
        for name, floor in probes.items()
    ]


def _figures(probe: Probe) -> dict[str, float]:
    return {"p50_ms": probe.percentile_ms(0.5), "p99_ms": probe.percentile_ms(0.99), "signals": len(probe.seconds)}


async def _plain_chain(
    stack: AsyncExitStack, servers: Servers, kafka: Kafka, *, transactional: bool
) -> tuple[str, str]:
    topics = [f"floor.idle.{hop}.{time.time_ns()}" for hop in ("signals", "commands", "events")]
    await kafka.create(*topics)
    headers = [(f"ce_header{number}", "x" * 30) for number in range(10)]
    hops = (
        (topics[0], topics[1], SIGNALS.key_fields, COMMAND_BYTES, DOCUMENT_BYTES["intake"]),
        (topics[1], topics[2], ["id"], EVENT_BYTES, DOCUMENT_BYTES["workflow"]),
    )
    for heard, said, key_fields, value_bytes, document_bytes in hops:
        task = Task(
            servers=servers.kafka,
            mongodb_uri=servers.mongodb,
            topic=heard,
            since=list((await kafka.ends(heard)).items()),
            count=-1,
            key_fields=key_fields,
            document_bytes=document_bytes,
            outputs=[Output(said, 1, value_bytes, headers)],
            linger_ms=0,
            transactional=transactional,
        )
        hop = stack.enter_context(Process("-m", "tests.bench.floor", log=servers.logs / "floor.log"))
        hop.say(task.line())
        await hop.hear(seconds=60)
        hop.say("go")
    return topics[0], topics[2]


@asynccontextmanager
async def _probe(
    servers: Servers, heard: str, said: str, key_of: Callable[[bytes, bytes], str]
) -> AsyncIterator[Probe]:
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        said, bootstrap_servers=servers.kafka, auto_offset_reset="latest", isolation_level="read_committed"
    )
    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()
    probe = Probe(producer, consumer, heard, key_of)
    listening = asyncio.create_task(probe.listen())
    try:
        yield probe
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await producer.stop()
        await consumer.stop()


def _dedup_key(_: bytes, value: bytes) -> str:
    event = orjson.loads(value)["case"]
    return f"{event['tenant_id']}|" + event["signal"]["dedup_key"].replace(":", "|")
