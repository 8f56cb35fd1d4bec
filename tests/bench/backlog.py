"""One measure: a service, then a raw floor, works the same backlog off; what each took."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from pymongo import AsyncMongoClient

from tests.bench.floor import Output, Task
from tests.bench.kafka import Kafka, Positions, Sending, Told
from tests.bench.processes import Process, Worker

SECONDS_MAX = 180
PARTITIONS = 12
#: A worker that is stopped while its backlog is made must not lose its partitions.
SESSION_TIMEOUT_MS = "120000"

#: What to do while workers work, given their processes.
Watch = Callable[[Sequence[Worker]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where Kafka and MongoDB are, and where logs go."""

    kafka: str
    mongodb: str
    logs: Path

    def environment(self) -> dict[str, str]:
        """Return what a service is told."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.kafka, "MONGODB_URI": self.mongodb}


@dataclass(frozen=True, slots=True)
class Work:
    """What a service hears and says in one measure."""

    service: str
    topic: str
    collection: str
    says: tuple[str, ...]
    key_fields: list[str]

    @property
    def group(self) -> str:
        """The consumer group that works the topic off."""
        return f"callout.{self.service}.{self.topic}"


@dataclass(frozen=True, slots=True)
class Run:
    """How long a backlog took, and how much CPU of the processes that worked on it."""

    count: int
    seconds: float
    cpu_seconds: float
    told: dict[str, Told]
    resident_mb: float = 0

    @property
    def per_second(self) -> float:
        """Records worked off per second."""
        return self.count / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per record."""
        return self.cpu_seconds / self.count * 1e6

    def figures(self) -> dict[str, Any]:
        """Return the figures for a report."""
        messages = sum(told.count for told in self.told.values())
        return {
            "per_second": round(self.per_second),
            "cpu_us": round(self.cpu_us, 1),
            "records": self.count,
            "messages": messages,
            "seconds": round(self.seconds, 2),
        }


def unwatched(_: Sequence[Worker]) -> AbstractContextManager[None]:
    """Let workers work in peace."""
    return nullcontext()


async def by_service(
    servers: Servers,
    work: Work,
    warm_up: Iterable[Sending],
    backlog: Sequence[Sending],
    *,
    workers: int = 1,
    watch: Watch = unwatched,
) -> tuple[Run, Positions]:
    """Let workers of a service work a backlog off; return what it took, and where the backlog begins.

    The workers are stopped (SIGSTOP) while the backlog is made; the clock runs from the moment they are woken to the
    time at which the broker appended the last message they told.
    """
    kafka = Kafka(servers.kafka)
    settings = {f"{work.service.upper()}_SESSION_TIMEOUT_MS": SESSION_TIMEOUT_MS}
    with ExitStack() as stack:
        processes = []
        for number in range(workers):
            log = servers.logs / f"{work.service}-{time.time_ns()}.log"
            processes.append(stack.enter_context(Worker(work.service, servers.environment(), log, **settings)))
            await processes[-1].ready(PARTITIONS if number == 0 else PARTITIONS // workers)
        for process in processes:
            await process.ready(PARTITIONS // workers)
        await kafka.fill(work.topic, warm_up)
        await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)
        since, before = await kafka.ends(work.topic), {topic: await kafka.ends(topic) for topic in work.says}
        for process in processes:
            process.pause()
        await kafka.fill(work.topic, backlog)
        used = sum(process.cpu_seconds for process in processes)
        started = time.time()
        for process in processes:
            process.wake()
        with watch(processes):
            await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)
        used = sum(process.cpu_seconds for process in processes) - used
        resident_mb = sum(process.resident_mb for process in processes)
    told = {topic: await kafka.told(topic, before[topic]) for topic in work.says}
    seconds = max(t.last_ms for t in told.values()) / 1000 - started
    return Run(len(backlog), seconds, used, told, resident_mb), since


async def by_floor(
    servers: Servers, work: Work, run: Run, since: Positions, *, document_bytes: int, known: Sequence[str] = ()
) -> Run:
    """Let a raw floor work the same backlog off, and tell as many messages of the same size."""
    kafka = Kafka(servers.kafka)
    topics = {topic: f"floor.{topic}.{time.time_ns()}" for topic in work.says}
    await kafka.create(*topics.values())
    task = Task(
        servers=servers.kafka,
        mongodb_uri=servers.mongodb,
        topic=work.topic,
        since=list(since.items()),
        count=run.count,
        key_fields=work.key_fields,
        document_bytes=document_bytes,
        outputs=[
            Output(topics[name], told.count / run.count, told.value_bytes // told.count, told.headers)
            for name, told in run.told.items()
            if told.count
        ],
        known=list(known),
    )
    before = {topic: await kafka.ends(topic) for topic in topics.values()}
    with Process("-m", "tests.bench.floor", log=servers.logs / "floor.log") as process:
        process.say(task.line())
        await process.hear(seconds=60)
        used = process.cpu_seconds
        process.say("go")
        answer = await process.hear(seconds=SECONDS_MAX)
        used = process.cpu_seconds - used
    told = {name: await kafka.told(topic, before[topic]) for name, topic in topics.items()}
    seconds = max(t.last_ms for t in told.values()) / 1000 - answer["started"]
    return Run(run.count, seconds, used, told)


async def document_sizes(servers: Servers, work: Work) -> tuple[int, int]:
    """Return the mean size of the service's documents: without the messages they keep for telling, and with."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb)
    try:
        found = client[f"callout_{work.service}"][work.collection].find({"tenant_id": "bench"}).limit(500)
        bare, full = [], []
        async for document in found:
            full.append(len(bson.encode(document)))
            for mark in document["marks"]:
                mark["emitted"] = []
            bare.append(len(bson.encode(document)))
    finally:
        await client.close()
    return sum(bare) // len(bare), sum(full) // len(full)


async def forget(servers: Servers, work: Work) -> None:
    """Drop a service's documents, while it does not run."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb)
    await client[f"callout_{work.service}"].drop_collection(work.collection)
    await client.close()
    await asyncio.sleep(0.1)
