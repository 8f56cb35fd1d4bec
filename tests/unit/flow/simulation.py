"""A broker, a store and a clock that only exist in memory, to run the real units through thousands of bad days.

Time skips ahead whenever everybody waits. Every call to the broker or the store is a place where a worker may die,
where its answer may get lost, or where another worker may come in between.
"""

import asyncio
import contextlib
import random
import selectors
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from shared.contracts.envelope import Message
from shared.errors import OwnershipLost, TransientError
from shared.flow import FlowSettings, Room, Unit
from shared.flow.teller import Fenced, home_partition
from shared.storage import Document, Write
from shared.testing import MemoryDocuments

PARTITIONS = 3
EPOCH_MS = 1_767_225_600_000


class Crash(BaseException):
    """The worker is dead, at this very place."""


@dataclass(frozen=True)
class Record:
    """A record as the broker hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class _Selector(selectors.SelectSelector):
    loop: "SkippingLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout:
            self.loop.skipped += timeout
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next thing to do."""

    def __init__(self) -> None:
        self.skipped = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.skipped


@dataclass
class Trouble:
    """How often things go wrong, per call."""

    random: random.Random
    crash: float = 0.0
    fail: float = 0.0
    switch: float = 0.5
    quiet: bool = False

    async def strike(self) -> None:
        """Let others in between, fail or die."""
        while self.random.random() < self.switch:
            await asyncio.sleep(self.random.random() * 0.2)
        if self.quiet:
            return
        if self.random.random() < self.crash:
            raise Crash

    def fails(self) -> bool:
        """Tell whether an answer gets lost now."""
        return not self.quiet and self.random.random() < self.fail


@dataclass
class Broker:
    """Topics of three partitions; what is appended is committed."""

    loop: SkippingLoop
    logs: dict[TopicPartition, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, TopicPartition], int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    owners: dict[TopicPartition, object] = field(default_factory=dict)

    def append(self, message: Message, partition: int | None = None) -> None:
        """Append a message where its key belongs, or where somebody wants it."""
        if partition is None:
            partition = home_partition(message.key or b"", PARTITIONS)
        log = self.logs[TopicPartition(message.topic, partition)]
        now = EPOCH_MS + int(self.loop.time() * 1000)
        log.append(Record(message.topic, partition, len(log), now, message.key, message.value, message.headers))

    def records(self, topic: str) -> Iterable[Record]:
        """Return all records of a topic, each partition in order."""
        return [r for p in range(PARTITIONS) for r in self.logs[TopicPartition(topic, p)]]


class Teller:
    """The transactional producer of one unit."""

    def __init__(self, broker: Broker, partition: TopicPartition, group: str, trouble: Trouble) -> None:
        self._broker, self._id, self._trouble = broker, f"{group}-{partition.partition}", trouble
        self._place = (group, partition)
        self._promised: int | None = None
        self._epoch = -1

    async def start(self) -> None:
        await self._trouble.strike()
        self._broker.epochs[self._id] += 1
        self._epoch = self._broker.epochs[self._id]
        await self._trouble.strike()

    async def partitions_of(self, topic: str) -> int:
        return PARTITIONS

    async def promise(self, position: int, messages: Sequence[Message] = ()) -> None:
        if self._promised != position:
            await self.withdraw()
            await self._trouble.strike()
            self._promised = position

    async def withdraw(self) -> None:
        if self._promised is not None:
            self._promised = None
            await self._trouble.strike()
            if self._broker.epochs[self._id] != self._epoch:
                raise Fenced("another producer has the partition")

    async def tell(self, messages: Sequence[Message], position: int) -> None:
        await self.promise(position)
        self._promised = None
        await self._trouble.strike()
        if self._trouble.fails():
            raise OwnershipLost("nothing was told")
        if self._broker.epochs[self._id] != self._epoch:
            raise Fenced("another producer has the partition")
        for message in messages:
            self._broker.append(message)
        self._broker.committed[self._place] = position
        if self._trouble.fails():
            raise OwnershipLost("told, but the answer was lost")
        await self._trouble.strike()

    async def stop(self) -> None:
        return None


class Consumer:
    """One worker's consumer of one partition."""

    def __init__(self, broker: Broker, partition: TopicPartition, group: str, trouble: Trouble) -> None:
        self._broker, self._partition, self._group, self._trouble = broker, partition, group, trouble
        self._position = broker.committed.get((group, partition), 0)
        self.assigned = True

    async def committed(self, partition: TopicPartition) -> int | None:
        await self._trouble.strike()
        return self._broker.committed.get((self._group, partition))

    async def position(self, partition: TopicPartition) -> int:
        return self._position

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._position = offset

    def assignment(self) -> set[TopicPartition]:
        return {self._partition} if self.assigned else set()

    def lose(self) -> None:
        """Learn at last that the partition is somebody else's."""
        self.assigned = False

    def fetch(self, most: int) -> list[Record]:
        """Return the next records and move on."""
        log = self._broker.logs[self._partition]
        batch = log[self._position : self._position + most]
        self._position += len(batch)
        return batch


class Store(MemoryDocuments):
    """Documents that fail, lose answers, and write only a part before a worker dies."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self._trouble = trouble

    async def find(self, ids: Sequence[str]) -> list[Document]:
        await self._trouble.strike()
        if self._trouble.fails():
            raise TransientError("no answer")
        return await super().find(ids)

    async def replace(self, writes: Sequence[Write], *, ordered: bool = False) -> frozenset[str]:
        await self._trouble.strike()
        dies = not self._trouble.quiet and self._trouble.random.random() < self._trouble.crash
        if dies or self._trouble.fails():
            some = [w for w in writes if self._trouble.random.random() < 0.5]
            if ordered:
                some = list(writes)[: self._trouble.random.randrange(len(writes) + 1)]
            await super().replace(some, ordered=ordered)
            raise Crash if dies else TransientError("no answer")
        conflicts = await super().replace(writes, ordered=ordered)
        await self._trouble.strike()
        return conflicts


SETTINGS = FlowSettings(bootstrap_servers="", session_timeout_seconds=0.5, retry_for_seconds=5, remembered_documents=20)


@dataclass
class World:
    """Rooms with their stores, worked on by workers that come and go."""

    broker: Broker
    trouble: Trouble
    rooms: dict[str, tuple[Room[Any], Store]]
    alarms: list[str] = field(default_factory=list)
    sources: MemoryDocuments = field(default_factory=MemoryDocuments)

    async def alarm(self, *, kind: str, reason: str | None = None, **_: Any) -> None:
        """Note an alarm."""
        self.alarms.append(f"{kind}: {reason}")

    def unit(self, name: str, partition: TopicPartition) -> tuple[Unit[Any], Consumer]:
        """Return a new worker's unit of a partition."""
        room, store = self.rooms[name]
        group = f"callout.{room.service}.{room.topic.name}"
        consumer = Consumer(self.broker, partition, group, self.trouble)
        unit: Unit[Any] = Unit(
            partition,
            consumer=consumer,
            room=room,
            documents=store,
            sources=self.sources,
            settings=SETTINGS,
            leaving=asyncio.Event(),
            alarm=self.alarm,
            new_teller=lambda tp: Teller(self.broker, tp, group, self.trouble),  # type: ignore[arg-type, return-value]
        )
        return unit, consumer

    async def work(self, name: str, number: int) -> None:
        """Own a partition and work on it until death; then a heir does, sometimes before the dead knows."""
        partition = TopicPartition(self.rooms[name][0].topic.name, number)
        zombies: list[asyncio.Task[None]] = []
        try:
            while True:
                unit, consumer = self.unit(name, partition)
                life = asyncio.create_task(self._live(unit, consumer))
                turns = 1 if self.trouble.quiet or self.trouble.random.random() > 0.3 else 0
                if turns:
                    await asyncio.wait([life])
                else:
                    await asyncio.wait([life], timeout=self.trouble.random.random() * 2)
                    zombies.append(life)
                    self.broker.loop.call_later(self.trouble.random.uniform(0, 6), consumer.lose)
        finally:
            for zombie in [*zombies, life]:
                zombie.cancel()

    async def _live(self, unit: Unit[Any], consumer: Consumer) -> None:
        """Work like a subscription does: own, then fetch and run, until death; a zombie learns of its loss late."""
        ends_at = self.broker.loop.time() + self.trouble.random.uniform(0.5, 20)
        try:
            with contextlib.suppress(TransientError):
                await unit.own()
            while consumer.assigned and (self.trouble.quiet or self.broker.loop.time() < ends_at):
                batch = consumer.fetch(self.trouble.random.choice((1, 2, 3, 7, 50)))
                if batch and not self.trouble.quiet and self.trouble.random.random() < 0.2:
                    await self._rebalance(unit, consumer, batch)
                elif batch:
                    await unit.run(batch)
                else:
                    await unit.flush()
                    await asyncio.sleep(2 if self.trouble.quiet else 0.1)
        except Crash:
            return

    async def _rebalance(self, unit: Unit[Any], consumer: Consumer, batch: list[Record]) -> None:
        """Let a rebalance begin during one round, and end while the records of the next are on their way."""
        unit._leaving.set()
        await unit.run(batch)
        on_their_way = consumer.fetch(3)
        unit._leaving.clear()
        with contextlib.suppress(TransientError):
            await unit.own()
        if on_their_way:
            await unit.run(on_their_way)


def run(coroutine: Coroutine[Any, Any, None], loop: SkippingLoop) -> None:
    """Run a simulation to its end."""
    try:
        loop.run_until_complete(coroutine)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
