"""How fast the whole chain, signal to case, works off a backlog that lies there; beside the same two hops plain."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench import loads
from tests.bench.backlog import PARTITIONS, SECONDS_MAX, SESSION_TIMEOUT_MS, Run, Servers, Work, document_sizes
from tests.bench.floor import Output, Task
from tests.bench.kafka import Kafka, Positions, Sending, Told
from tests.bench.processes import Process, Worker
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, SIGNALS, TURNS, Sizes

#: Each fault comes so often in the backlog; a power of two, so that no count waits to be told.
TIMES = 4
WARM_UP = 1_000
HOPS = (SIGNALS, COMMANDS)


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of the plain chain: where it reads from, how much, and what it tells on which topics."""

    work: Work
    topic: str
    since: Positions
    count: int
    told: Mapping[str, Told]
    topics: Mapping[str, str]

    @property
    def outputs(self) -> list[Output]:
        """What it tells of each record, of the size and as often as the service did."""
        return [
            Output(self.topics[name], told.count / self.count, told.value_bytes // told.count, told.headers)
            for name, told in self.told.items()
            if told.count
        ]


async def drain(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Let signals pile up while both services are stopped; measure from waking them until all is quiet."""
    runs, floors = [], []
    for turn in range(TURNS):
        warm_up = list(loads.recurring(WARM_UP, TIMES, prefix=f"warm-{time.time_ns()}"))
        backlog = list(loads.recurring(sizes.drain, TIMES, prefix=f"drain-{turn}-{time.time_ns()}"))
        run, since = await _by_services(servers, warm_up, backlog)
        runs.append(run)
        floors.append(await _by_floors(servers, run, since))
    best, floor = (max(side, key=lambda run: run.per_second) for side in (runs, floors))
    return [
        Finding(
            measure="backlog drain",
            what="signals/s until quiet, both hops : plain chain",
            ratio=best.per_second / floor.per_second,
            target=0.5,
            figures={"service": best.figures(), "floor": floor.figures(), "new_faults": len(backlog) // TIMES},
        )
    ]


async def _by_services(
    servers: Servers, warm_up: Iterable[Sending], backlog: Sequence[Sending]
) -> tuple[Run, Positions]:
    kafka = Kafka(servers.kafka)
    with ExitStack() as stack:
        workers = []
        for work in HOPS:
            log = servers.logs / f"{work.service}-drain-{time.time_ns()}.log"
            patience = {f"{work.service.upper()}_SESSION_TIMEOUT_MS": SESSION_TIMEOUT_MS}
            workers.append(stack.enter_context(Worker(work.service, servers.environment(), log, **patience)))
            await workers[-1].ready(PARTITIONS)
        await kafka.fill(SIGNALS.topic, warm_up)
        await _quiet(kafka)
        since = await kafka.ends(SIGNALS.topic)
        before = {topic: await kafka.ends(topic) for work in HOPS for topic in work.says}
        for worker in workers:
            worker.pause()
        await kafka.fill(SIGNALS.topic, backlog)
        used = sum(worker.cpu_seconds for worker in workers)
        started = time.time()
        for worker in workers:
            worker.wake()
        await _quiet(kafka)
        used = sum(worker.cpu_seconds for worker in workers) - used
        told = {topic: await kafka.told(topic, ends) for topic, ends in before.items()}
    seconds = max(t.last_ms for t in told.values()) / 1000 - started
    return Run(len(backlog), seconds, used, told), since


async def _quiet(kafka: Kafka) -> None:
    """Wait until every signal is counted and every command that this made is carried out."""
    for work in HOPS:
        await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)


async def _by_floors(servers: Servers, run: Run, since: Positions) -> Run:
    """Let two plain loops, one per hop, work the same backlog off side by side."""
    kafka = Kafka(servers.kafka)
    topics = {topic: f"floor.{topic}.{time.time_ns()}" for topic in run.told}
    await kafka.create(*topics.values())
    first = Hop(SIGNALS, SIGNALS.topic, since, run.count, {t: run.told[t] for t in SIGNALS.says}, topics)
    commands = made(run.told[COMMANDS.topic].count / run.count, run.count)
    starts = dict.fromkeys(range(PARTITIONS), 0)
    second = Hop(COMMANDS, topics[COMMANDS.topic], starts, commands, {t: run.told[t] for t in COMMANDS.says}, topics)
    with ExitStack() as stack:
        processes = []
        for hop in (first, second):
            processes.append(stack.enter_context(Process("-m", "tests.bench.floor", log=servers.logs / "floor.log")))
            processes[-1].say((await _task(servers, hop)).line())
            await processes[-1].hear(seconds=60)
        used = sum(process.cpu_seconds for process in processes)
        for process in processes:
            process.say("go")
        answers = await asyncio.gather(*(process.hear(seconds=SECONDS_MAX) for process in processes))
        used = sum(process.cpu_seconds for process in processes) - used
    told = {name: await kafka.told(topic, starts) for name, topic in topics.items()}
    seconds = max(t.last_ms for t in told.values()) / 1000 - min(answer["started"] for answer in answers)
    return Run(run.count, seconds, used, told)


async def _task(servers: Servers, hop: Hop) -> Task:
    return Task(
        servers=servers.kafka,
        mongodb_uri=servers.mongodb,
        topic=hop.topic,
        since=list(hop.since.items()),
        count=hop.count,
        key_fields=hop.work.key_fields if hop.topic == hop.work.topic else ["id"],
        document_bytes=(await document_sizes(servers, hop.work))[0],
        outputs=hop.outputs,
    )


def made(per_record: float, count: int) -> int:
    """Return how many messages a plain loop tells of so many records: it adds up fractions as this does."""
    due, made = 0.0, 0
    for _ in range(count):
        due += per_record
        while due >= 1:
            due -= 1
            made += 1
    return made
