"""A record that asks a second document has one effect, whoever holds it, dies over it or sends it twice."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from shared.contracts.envelope import Message
from shared.contracts.tenant import Rules, Storm
from shared.storage import Write
from tests.unit.flow.simulation import PARTITIONS, World, run
from tests.unit.flow.test_flow import build, silence, stamp  # noqa: F401 - the fixture silences the logs here too

HERE, THERE = (TopicPartition("device.signals.v1", partition) for partition in (0, 1))
OWN, GUIDE = "acme|d:F", "acme|d:storm"
STORMY = Rules(storm=Storm(new_keys=1, quiet_minutes=60))


@pytest.fixture
def world() -> World:
    world = build(1, crash=0, fail=0, rules=STORMY)
    world.trouble.quiet = True
    world.trouble.switch = 0
    return world


def play(world: World, scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(scene(), world.broker.loop)


def raise_signal(world: World, fault: str, id_: str, partition: TopicPartition = HERE) -> None:
    body = {"tenant_id": "acme", "device_id": "d", "fault": fault, "occurred_at": stamp(world.broker.loop.time())}
    headers = (("ce_type", b"callout.signal.raised.v1"), ("ce_id", id_.encode()))
    world.broker.append(Message(HERE.topic, None, orjson.dumps(body), headers), partition.partition)


async def work(world: World, name: str, partition: TopicPartition) -> None:
    unit, consumer = world.unit(name, partition)
    await unit.own()
    for _ in range(3):
        batch = consumer.fetch(50)
        if batch:
            await unit.run(batch)


async def case_of_own_key(world: World, name: str) -> None:
    """Let somebody close or reopen the case of the key, and intake hear of it."""
    (create,) = [c for c in commands(world) if c.get("case", {}).get("signal", {}).get("dedup_key") == "d:F"]
    actor = {"id": "ann", "role": "agent", "tenant_id": "acme"}
    body = {"case_id": create["case_id"], "tenant_id": "acme", "actor": actor, "reason": "x"}
    headers = (("ce_type", f"callout.case.{name}.v1".encode()), ("ce_id", name.encode()))
    world.broker.append(Message("case.commands.v1", create["case_id"].encode(), orjson.dumps(body), headers))
    for room in ("commands", "events"):
        for partition in range(PARTITIONS):
            await work(world, room, TopicPartition(world.rooms[room][0].topic.name, partition))


def commands(world: World) -> list[dict[str, Any]]:
    return [orjson.loads(record.value or b"") for record in world.broker.records("case.commands.v1")]


def told(world: World) -> int:
    """How many signals all cases were told of, and will be told of by what is kept."""
    counts = sum(c["case"]["signal"]["count"] if "case" in c else c.get("count", 0) for c in commands(world))
    untold = sum(d.get("count", 0) - d.get("told", 0) for d in world.rooms["signals"][1].stored.values())
    return counts + untold


async def begin_a_storm(world: World) -> None:
    """One fault has a case that ended, another has one, two more make a storm: four signals."""
    raise_signal(world, "F", "1")
    await work(world, "signals", HERE)
    await case_of_own_key(world, "close")
    await asyncio.sleep(120)
    raise_signal(world, "A", "2")
    raise_signal(world, "B", "3")
    raise_signal(world, "C", "4")
    await work(world, "signals", HERE)


class Held:
    """Holds up the first write of a document until it is let go."""

    def __init__(self, world: World, id_: str) -> None:
        self._store = world.rooms["signals"][1]
        self._id = id_
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self._replace = self._store.replace
        self._store.replace = self._hold  # type: ignore[method-assign]

    async def _hold(self, writes: Sequence[Write], *, ordered: bool = False) -> frozenset[str]:
        places = [place for place, write in enumerate(writes) if write.id == self._id]
        if not places or self.reached.is_set():
            return await self._replace(writes, ordered=ordered)
        before = writes[: places[0]] if ordered else ()
        failed = await self._replace(before, ordered=True) if before else frozenset()
        self.reached.set()
        await self.go.wait()
        if failed:
            return failed | {write.id for write in writes[places[0] :]}
        return await self._replace(writes[len(before) :], ordered=ordered)


@pytest.mark.parametrize("held", [OWN, GUIDE])
def test_a_zombie_between_two_writes_counts_nothing_again(world: World, held: str) -> None:
    async def scene() -> None:
        await begin_a_storm(world)
        raise_signal(world, "F", "5")
        hold = Held(world, held)
        zombie = asyncio.create_task(work(world, "signals", HERE))
        await hold.reached.wait()
        await case_of_own_key(world, "reopen")
        await work(world, "signals", HERE)
        hold.go.set()
        await asyncio.wait([zombie], timeout=60)
        zombie.cancel()
        assert told(world) == 5

    play(world, scene)


@pytest.mark.parametrize("held", [OWN, GUIDE])
def test_two_copies_on_two_partitions_count_once_whatever_dies_in_between(world: World, held: str) -> None:
    async def scene() -> None:
        await begin_a_storm(world)
        raise_signal(world, "F", "5")
        raise_signal(world, "F", "5", THERE)
        hold = Held(world, held)
        dying = asyncio.create_task(work(world, "signals", HERE))
        await hold.reached.wait()
        dying.cancel()
        await case_of_own_key(world, "reopen")
        await work(world, "signals", THERE)
        await work(world, "signals", HERE)
        assert told(world) == 5

    play(world, scene)
