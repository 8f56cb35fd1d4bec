"""How long events pause when the workers of a service change: one joins, leaves, dies, is stopped and wakes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from tests.bench import loads
from tests.bench.backlog import PARTITIONS, SECONDS_MAX, Servers
from tests.bench.kafka import Kafka
from tests.bench.processes import Worker
from tests.bench.pulse import Gaps, Pulse, gaps
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, Sizes

#: As a service has it by default: after this silence the others get a worker's partitions.
SESSION_SECONDS = 6
PER_PARTITION = 10
CASES_PER_PARTITION = 4
SETTLE_SECONDS = 2
WHAT = "longest gap in a partition's events : session timeout"


@dataclass
class Crew:
    """The workers of workflow, one of which stays from first to last."""

    servers: Servers
    stack: AsyncExitStack
    workers: list[Worker] = field(default_factory=list)

    async def join(self) -> None:
        """Let one more worker come, and wait until the partitions are shared."""
        log = self.servers.logs / f"workflow-rebalance-{time.time_ns()}.log"
        self.workers.append(self.stack.enter_context(Worker("workflow", self.servers.environment(), log)))
        await self.shared()

    async def leave(self) -> None:
        """Let the last one go in order."""
        await self.workers.pop().leave()
        await self.shared()

    async def die(self) -> None:
        """Kill the last one."""
        self.workers.pop().kill()
        await self.shared()

    async def stall(self) -> None:
        """Stop the last one until its partitions are another's, then wake it."""
        last = self.workers.pop()
        last.pause()
        await self.shared()
        last.wake()
        self.workers.append(last)
        await self.shared()

    async def shared(self) -> None:
        """Wait until all workers that are there have a fair share."""
        for worker in self.workers:
            await worker.ready(PARTITIONS // len(self.workers))


async def rebalance(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Send a steady stream of commands while the workers change; return the longest gaps in the events."""
    kafka = Kafka(servers.kafka)
    async with AsyncExitStack() as stack:
        crew = Crew(servers, stack)
        await crew.join()
        cases = loads.spread_cases(CASES_PER_PARTITION)
        await kafka.fill(COMMANDS.topic, loads.creations(cases))
        await kafka.worked_off(COMMANDS.topic, COMMANDS.group, seconds=SECONDS_MAX)
        pulse = await stack.enter_async_context(Pulse(servers.kafka, cases, PER_PARTITION * PARTITIONS))
        await asyncio.sleep(SETTLE_SECONDS)
        steady = await _watch(pulse, lambda: asyncio.sleep(sizes.steady_seconds))
        seen = {"joins": await _watch(pulse, crew.join), "leaves (SIGTERM)": await _watch(pulse, crew.leave)}
        await crew.join()
        seen["dies (SIGKILL)"] = await _watch(pulse, crew.die)
        await crew.join()
        seen["is stopped and wakes (SIGSTOP)"] = await _watch(pulse, crew.stall)
        await pulse.settle()
    exact = {"commands": len(pulse.latencies), "lost": pulse.lost, "doubled": pulse.doubled}
    return [_finding(name, found, steady, exact) for name, found in seen.items()]


async def _watch(pulse: Pulse, change: Callable[[], Awaitable[None]]) -> Gaps:
    since = time.perf_counter()
    await change()
    await asyncio.sleep(SETTLE_SECONDS)
    return gaps(pulse.heard, since, time.perf_counter())


def _finding(name: str, found: Gaps, steady: Gaps, exact: dict[str, int]) -> Finding:
    orderly = name.startswith(("joins", "leaves"))
    figures = {
        "longest_ms": round(found.longest * 1000),
        "least_touched_ms": round(min(found.partitions) * 1000),
        "all_partitions_ms": round(found.together * 1000),
        "undisturbed_ms": round(steady.longest * 1000),
        **exact,
    }
    return Finding(
        measure=f"rebalance, a worker {name}",
        what=WHAT,
        ratio=found.longest / SESSION_SECONDS,
        target=0.5 if orderly else 1.5,
        limit=True,
        figures=figures,
    )
