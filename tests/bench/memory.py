"""Whether the services' memory stays flat over a long run of signals."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.bench import loads
from tests.bench.backlog import PARTITIONS, SECONDS_MAX, Servers
from tests.bench.kafka import Kafka
from tests.bench.processes import Worker
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, SIGNALS

CHUNK = 10_000
DEVICES = 600
#: The first part of a run, in which caches fill, is left out of the slope.
WARM_SHARE = 0.4
#: What memory may grow by, per 100,000 signals, before it counts as a leak.
GROWTH_MB_MAX = 10.0


async def memory(servers: Servers, signals: int) -> list[Finding]:
    """Send signals of the same faults on and on; measure what both services hold after each chunk."""
    kafka = Kafka(servers.kafka)
    with ExitStack() as stack:
        workers = {}
        for service in ("workflow", "intake"):
            log = servers.logs / f"{service}-memory.log"
            workers[service] = stack.enter_context(Worker(service, servers.environment(), log))
            await workers[service].ready(PARTITIONS)
        held: dict[str, list[float]] = {service: [] for service in workers}
        began = time.monotonic()
        for _ in range(max(2, signals // CHUNK)):
            await kafka.fill(SIGNALS.topic, loads.repeats(DEVICES, CHUNK))
            for work in (SIGNALS, COMMANDS):
                await kafka.worked_off(work.topic, work.group, seconds=SECONDS_MAX)
            await asyncio.sleep(0)
            for service, worker in workers.items():
                held[service].append(worker.resident_mb)
        seconds = time.monotonic() - began
    return [_finding(service, samples, seconds) for service, samples in held.items()]


def _finding(service: str, samples: Sequence[float], seconds: float) -> Finding:
    warm = samples[int(len(samples) * WARM_SHARE) :]
    growth = slope(warm) * 100_000 / CHUNK
    figures = {
        "first_mb": round(samples[0], 1),
        "warm_mb": round(warm[0], 1),
        "last_mb": round(samples[-1], 1),
        "signals": len(samples) * CHUNK,
        "seconds": round(seconds, 1),
    }
    return Finding(
        measure=f"memory, {service}",
        what="MB more per 100,000 signals, once warm",
        ratio=growth,
        target=GROWTH_MB_MAX,
        limit=True,
        figures=figures,
    )


def slope(samples: Sequence[float]) -> float:
    """Return by how much samples grow from one to the next (least squares)."""
    middle = (len(samples) - 1) / 2
    mean = sum(samples) / len(samples)
    spread = sum((place - middle) ** 2 for place in range(len(samples)))
    return sum((place - middle) * (sample - mean) for place, sample in enumerate(samples)) / spread if spread else 0.0
