"""The store is lost on a bad day, with or without a backup of it, and the day still ends well."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition

from deploy.recovery.echo import Echo, by_time
from deploy.recovery.histories import Histories
from deploy.recovery.memory import document_of
from deploy.recovery.stubs import Stubs
from services.intake.handlers import CaseEvents, Signals, Timers
from services.intake.policies import Policies
from services.workflow.handlers import Commands
from services.workflow.store import from_document, to_document
from shared.contracts.tenant import Rules, Storm
from shared.testing import MemoryDocuments
from tests.unit.flow.simulation import PARTITIONS, Record, Store, World, run
from tests.unit.flow.test_flow import act, build, report, silence, storm, tick, wrong  # noqa: F401 - silences the logs here too

SCHEDULES = int(os.environ.get("RECOVERY_SCHEDULES", "12"))
HEARD = {"signals": "device.signals.v1", "events": "case.events.v1", "timers": "intake.timers.v1"}
COMMANDS, EVENTS = "case.commands.v1", "case.events.v1"
TOLD = ("intake.decisions.v1", COMMANDS)


@dataclass
class Backup:
    """What was taken while the day went on."""

    told: dict[str, int] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, Any] = field(default_factory=dict)


def ends(world: World, *topics: str) -> dict[str, int]:
    return {f"{t}/{p}": len(world.broker.logs[TopicPartition(t, p)]) for t in topics for p in range(PARTITIONS)}


def positions(world: World) -> dict[str, int]:
    """Return the committed positions of intake's and workflow's sources."""
    found = dict.fromkeys((f"{t}/{p}" for t in (*HEARD.values(), COMMANDS) for p in range(PARTITIONS)), 0)
    for (group, partition), position in world.broker.committed.items():
        assert group.endswith(partition.topic)
        found[f"{partition.topic}/{partition.partition}"] = position
    return found


def between(
    world: World, topic: str, first: Mapping[str, int], end: Mapping[str, int] | None = None
) -> list[list[Record]]:
    logs = {p: world.broker.logs[TopicPartition(topic, p)] for p in range(PARTITIONS)}
    return [
        log[first.get(f"{topic}/{p}", 0) : end[f"{topic}/{p}"] if end is not None else len(log)]
        for p, log in logs.items()
    ]


async def take(world: World) -> Backup:
    """Take a backup while the day goes on, in the order that makes it whole."""
    pause = world.trouble.random
    backup = Backup(told=ends(world, *TOLD, EVENTS))
    await asyncio.sleep(pause.random())
    backup.positions = positions(world)
    await asyncio.sleep(pause.random())
    backup.keys = deepcopy(world.rooms["signals"][1].stored)
    backup.cases = deepcopy(world.rooms["commands"][1].stored)
    return backup


def restored_keys(world: World, backup: Backup) -> tuple[dict[str, Any], list[str]]:
    """Return the documents of intake, brought forward from a backup, and what could not be explained."""
    policies, now = policies_of(world), positions(world)
    rooms = {room.topic.name: room for room in (Signals(policies), CaseEvents(policies), Timers(policies))}
    echo = Echo(rooms, now)
    heard = [
        echo.listen(record) for record in by_time(b for topic in rooms for b in between(world, topic, backup.positions))
    ]
    ids = echo.unknown(incoming for incoming in heard if incoming)
    echo.know(ids, [backup.keys[id_] for id_ in ids if id_ in backup.keys])
    for incoming in heard:
        if incoming:
            echo.take(incoming)
    for record in by_time(batch for topic in TOLD for batch in between(world, topic, backup.told)):
        echo.told(record)
    echo.hear()
    documents = deepcopy(backup.keys)
    for id_, memory in echo.finish():
        documents[id_] = document_of(id_, memory, now, {}) | {"revision": 10**9}
    return documents, echo.unexplained


def mark(source: str, position: int) -> dict[str, Any]:
    return {"source": source, "generation": 0, "offset": position - 1, "floor": position, "emitted": []}


async def restored_cases(world: World, backup: Backup) -> tuple[dict[str, Any], int]:
    """Return the documents of workflow, brought forward from a backup, and the last number."""
    histories, now = Histories(), positions(world)
    histories.know(map(from_document, backup.cases.values()))
    for records in between(world, "case.events.v1", backup.told):
        for record in records:
            histories.take(record)
    assert histories.flaws == []
    for (topic, partition), offset in histories.causes.items():
        assert offset < now[f"{topic}/{partition}"]
    documents = deepcopy(backup.cases)
    made = {case.id: case for case in histories.finish()}
    stubs = Stubs(PARTITIONS, lambda ids: exist(ids, {i for i, d in documents.items() if "case" in d} | made.keys()))
    stubs.know([d for d in documents.values() if "case" not in d and d["_id"] not in made])
    for records in between(world, COMMANDS, backup.positions, now):
        await stubs.take(records)
    for case in [*made.values(), *stubs.changed()]:
        marks = [mark(f"{COMMANDS}/{home(case.id)}", now[f"{COMMANDS}/{home(case.id)}"])]
        documents[case.id] = to_document(case) | {"revision": 10**9, "marks": marks}
    return documents, max(
        [histories.last_number, *(int(d["number"]) for d in documents.values() if "case" in d)], default=0
    )


def home(case_id: str) -> int:
    from shared.flow.teller import home_partition

    return home_partition(case_id.encode(), PARTITIONS)


async def exist(ids: Set[str], known: Iterable[str]) -> Set[str]:
    return ids & set(known)


def policies_of(world: World) -> Policies:
    """Return what tenants set; that is not lost."""
    room = world.rooms["signals"][0]
    assert isinstance(room, Signals)
    assert isinstance(room._tenants, Policies)
    return room._tenants


async def day(
    world: World, raised: Counter[str], commands: set[str], *, with_backup: bool, speak: Any = report
) -> None:
    """A bad day on which the store is lost."""
    chance = world.trouble.random
    work = start(world)
    sending = asyncio.gather(speak(world, raised), act(world, commands))
    backup = Backup()
    if with_backup:
        await asyncio.sleep(chance.uniform(1, 12))
        backup = await take(world)
    await asyncio.sleep(chance.uniform(0.5, 12))
    await end(work)
    policies = policies_of(world)
    signals, cases, counters = Store(world.trouble), Store(world.trouble), MemoryDocuments()
    signals.stored, unexplained = restored_keys(world, backup)
    assert unexplained == []
    cases.stored, last_number = await restored_cases(world, backup)
    counters.stored["case_number"] = {"_id": "case_number", "value": last_number + 1}
    world.sources = MemoryDocuments()
    world.rooms = {
        "signals": (Signals(policies), signals),
        "events": (CaseEvents(policies), signals),
        "timers": (Timers(policies), signals),
        "commands": (Commands(counters), cases),
    }
    work = start(world)
    await sending
    await asyncio.sleep(5)
    world.trouble.quiet = True
    await asyncio.sleep(120)
    await end(work)


def start(world: World) -> list[asyncio.Task[None]]:
    workers = [asyncio.create_task(world.work(name, p)) for name in world.rooms for p in range(PARTITIONS)]
    return [*workers, asyncio.create_task(tick(world))]


async def end(work: list[asyncio.Task[None]]) -> None:
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


@pytest.mark.parametrize("with_backup", [True, False])
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_day_on_which_the_store_is_lost_ends_as_any_other(seed: int, *, with_backup: bool) -> None:
    world = build(seed, crash=0.02, fail=0.03)
    raised: Counter[str] = Counter()
    commands: set[str] = set()
    run(day(world, raised, commands, with_backup=with_backup), world.broker.loop)
    assert wrong(world, raised, commands) == []


@pytest.mark.parametrize("with_backup", [True, False])
@pytest.mark.parametrize("seed", range(SCHEDULES // 3))
def test_so_does_a_stormy_day_on_which_senders_repeat_themselves(seed: int, *, with_backup: bool) -> None:
    rules = Rules(storm=Storm(new_keys=2, window_seconds=20, quiet_minutes=0.1))
    world = build(seed, crash=0.02, fail=0.03, rules=rules)
    raised: Counter[str] = Counter()
    commands: set[str] = set()
    run(day(world, raised, commands, with_backup=with_backup, speak=storm), world.broker.loop)
    assert wrong(world, raised, commands) == []
