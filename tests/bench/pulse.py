"""A steady stream of commands on cases, and when the event of each was heard."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from tests.bench import loads
from tests.bench.kafka import PARTITIONS

COMMANDS, EVENTS = "case.commands.v1", "case.events.v1"
ANSWER_SECONDS = 60


@dataclass
class Pulse:
    """Sends `occur` on cases in turn, so many a second; as a context it beats from entering to leaving.

    Times are of `time.perf_counter`. An event is heard when a reader of committed records has it.
    """

    servers: str
    cases: Sequence[str]
    per_second: float
    latencies: list[float] = field(default_factory=list)
    heard: dict[int, list[float]] = field(default_factory=lambda: {p: [] for p in range(PARTITIONS)})
    doubled: int = 0
    _sent: dict[bytes, float] = field(default_factory=dict)
    _known: set[bytes] = field(default_factory=set)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all", enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(
            EVENTS, bootstrap_servers=self.servers, auto_offset_reset="latest", isolation_level="read_committed"
        )
        await self._producer.start()
        await self._consumer.start()
        await self._consumer.seek_to_end()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._send())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._producer.stop()
        await self._consumer.stop()

    @property
    def lost(self) -> int:
        """How many commands have no event yet."""
        return len(self._sent)

    async def settle(self) -> None:
        """Send no more, and wait until every command has its event, for a minute at most."""
        self._tasks[1].cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._sent:
                    await asyncio.sleep(0.1)

    async def _send(self) -> None:
        began = time.perf_counter()
        for place in range(10**9):
            sending = loads.occurrence(self.cases[place % len(self.cases)])
            id_ = dict(sending.headers)["ce_id"]
            self._known.add(id_)
            self._sent[id_] = time.perf_counter()
            await self._producer.send(COMMANDS, sending.value, key=sending.key, headers=list(sending.headers))
            await asyncio.sleep(max(0, began + (place + 1) / self.per_second - time.perf_counter()))

    async def _listen(self) -> None:
        async for record in self._consumer:
            self._hear(record)

    def _hear(self, record: ConsumerRecord) -> None:
        cause, now = dict(record.headers).get("ce_causeid"), time.perf_counter()
        if cause not in self._known:
            return
        if cause in self._sent:
            self.latencies.append(now - self._sent.pop(cause))
            self.heard[record.partition].append(now)
        else:
            self.doubled += 1


@dataclass(frozen=True, slots=True)
class Gaps:
    """The longest silences of a while: on each partition, and on all together."""

    partitions: list[float]
    together: float

    @property
    def longest(self) -> float:
        """The longest on any partition."""
        return max(self.partitions)


def gaps(heard: dict[int, list[float]], since: float, until: float) -> Gaps:
    """Return the longest silences between two instants."""
    together = sorted(time for times in heard.values() for time in times)
    return Gaps([longest_gap(times, since, until) for times in heard.values()], longest_gap(together, since, until))


def longest_gap(times: Iterable[float], since: float, until: float) -> float:
    """Return the longest while between two instants in which nothing happened."""
    points = [since, *(time for time in times if since < time < until), until]
    return max(later - earlier for earlier, later in pairwise(points))
