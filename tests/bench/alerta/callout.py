"""Callout as one side: signals go to Kafka as a device sends them; one worker each of intake and workflow."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from pymongo import AsyncMongoClient

from shared.contracts.signals import CLEARED, RAISED
from tests.bench import loads
from tests.bench.alerta.clients import COUNT_SECONDS, Recount
from tests.bench.alerta.trials import CLIENTS, Signal, Trial
from tests.bench.backlog import PARTITIONS, Servers
from tests.bench.kafka import Kafka
from tests.bench.processes import Worker
from tests.bench.throughput import SIGNALS

DECISIONS, EVENTS = "intake.decisions.v1", "case.events.v1"
#: What intake decides without a signal.
OF_ITS_OWN = {"flips", "quiet", "returned"}
#: Its decisions on signals that are no occurrence: a fault is gone, or was gone already.
NO_OCCURRENCE = {b"callout.intake.cleared.v1", b"callout.intake.refused.v1"}
TENANT = "side-by-side"


class Callout:
    """Two services, and eight devices' producers; `waits`: a client goes on when its signal is counted.

    A signal is counted when the decision on it is told; the first of a fault, when the event of its case is told too.
    """

    def __init__(self, servers: Servers, workers: Sequence[Worker], *, waits: bool) -> None:
        self.name = f"Callout, clients wait until {'counted' if waits else 'acknowledged'}"
        self._servers = servers
        self._workers = workers
        self._waits = waits
        self._producers: list[AIOKafkaProducer] = []
        self._sent: Counter[str] = Counter()
        self._decided: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._created: set[str] = set()
        self._waiting: dict[str, list[tuple[int, float, asyncio.Future[float]]]] = defaultdict(list)
        self._counted: list[asyncio.Future[float]] = []

    async def connect(self, stack: AsyncExitStack) -> None:
        """Make the clients, and listen to what is told."""
        for _ in range(CLIENTS):
            producer = AIOKafkaProducer(bootstrap_servers=self._servers.kafka, acks="all", enable_idempotence=True)
            await producer.start()
            stack.push_async_callback(producer.stop)
            self._producers.append(producer)
        consumer = AIOKafkaConsumer(
            DECISIONS, EVENTS, bootstrap_servers=self._servers.kafka, isolation_level="read_committed"
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        await consumer.seek_to_end()
        listening = asyncio.create_task(self._listen(consumer))
        stack.callback(listening.cancel)

    async def send(self, client: int, signal: Signal, *, apart: bool) -> str:
        """Send a signal; `apart`: without a key, spread over the partitions on purpose."""
        began = time.perf_counter()
        sending = loads.signal(signal.device, signal.fault, signal.place, tenant=TENANT)
        headers = loads.headers(CLEARED if signal.cleared else RAISED)
        key, partition = (None, (client + signal_number(signal)) % PARTITIONS) if apart else (sending.key, None)
        await self._producers[client].send_and_wait(
            SIGNALS.topic, sending.value, key=key, partition=partition, headers=list(headers)
        )
        name = f"{signal.device}:{signal.fault}"
        self._sent[name] += 1
        counted: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[name].append((self._sent[name], began, counted))
        self._counted.append(counted)
        self._look(name)
        if self._waits:
            await counted
        return ""

    async def settle(self) -> Sequence[float]:
        """Wait until all is counted; return how long that took for each signal."""
        done, missing = await asyncio.wait(self._counted, timeout=COUNT_SECONDS) if self._counted else ((), ())
        self._counted.clear()
        for future in missing:
            future.cancel()
        return [future.result() for future in done]

    async def recount(self, trial: Trial) -> Recount:
        """Count what the stored cases say, once intake has told them all, and the clears that it decided on."""
        raised = sum(not signal.cleared for signal in trial.signals)
        names = {f"{device}:{fault}": (device, fault) for device, fault in trial.faults}
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self._servers.mongodb)
        async with client:
            for _ in range(COUNT_SECONDS):
                found = client["callout_workflow"]["cases"].find(
                    {"tenant_id": TENANT, "dedup_key": {"$in": list(names)}}, {"dedup_key": 1, "case.signal.count": 1}
                )
                cases = [(names[case["dedup_key"]], case["case"]["signal"]["count"]) async for case in found]
                if sum(count for _, count in cases) >= raised:
                    break
                await asyncio.sleep(1)
        passed = sum(self._passed[name] for name in names)
        return Recount(Counter(fault for fault, _ in cases), sum(count for _, count in cases) + passed)

    def cpu_seconds(self) -> float:
        """Return the CPU time of both services."""
        return sum(worker.cpu_seconds for worker in self._workers)

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            self._hear(record)

    def _hear(self, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        if headers.get("ce_tenant") != TENANT.encode():
            return
        body = orjson.loads(record.value)
        if record.topic == EVENTS:
            if headers["ce_type"] == b"callout.case.created.v1":
                self._created.add(body["case"]["signal"]["dedup_key"])
                self._look(body["case"]["signal"]["dedup_key"])
        elif body["reason"] not in OF_ITS_OWN:
            name = body["dedup_key"]
            self._decided[name] += body.get("count", 1)
            self._passed[name] += headers["ce_type"] in NO_OCCURRENCE
            self._look(name)

    def _look(self, name: str) -> None:
        """Let those go on whose signals are counted by now."""
        if name not in self._created:
            return
        still, now = [], time.perf_counter()
        for number, began, counted in self._waiting[name]:
            if number > self._decided[name]:
                still.append((number, began, counted))
            elif not counted.done():
                counted.set_result(now - began)
        self._waiting[name] = still


def signal_number(signal: Signal) -> int:
    """Return a number of the signal's device, to begin counting partitions at."""
    return int(signal.device.rsplit("-", 1)[1])


@asynccontextmanager
async def callout(servers: Servers, *, waits: bool) -> AsyncIterator[Callout]:
    """Run both services, and the clients."""
    async with AsyncExitStack() as stack:
        workers = []
        for service in ("workflow", "intake"):
            log = servers.logs / f"{service}-side-by-side-{time.time_ns()}.log"
            workers.append(stack.enter_context(Worker(service, servers.environment(), log)))
            await workers[-1].ready(PARTITIONS)
        system = Callout(servers, workers, waits=waits)
        await system.connect(stack)
        yield system


async def dead_letters(servers: Servers) -> int:
    """Return how many signals nobody could read."""
    kafka = Kafka(servers.kafka)
    return sum((await kafka.ends(f"{SIGNALS.topic}.dead", partitions=1)).values())
