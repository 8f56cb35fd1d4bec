"""The flow on bad days: crashes at every step, zombies, lost answers, races; real rooms, simulated broker and store."""

import asyncio
import hashlib
import logging
import os
import random
import zlib
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import structlog

from services.intake.handlers import CaseEvents, Signals, Timers
from services.intake.policies import Policies
from services.workflow.handlers import Commands
from shared.contracts.envelope import Message
from shared.contracts.tenant import Rules, Storm
from shared.testing import MemoryDocuments
from tests.unit.flow.simulation import EPOCH_MS, PARTITIONS, Broker, Record, SkippingLoop, Store, Trouble, World, run

SCHEDULES = int(os.environ.get("FLOW_SCHEDULES", "40"))
START = datetime.fromtimestamp(EPOCH_MS / 1000, UTC)
SIGNALS, COMMANDS = 120, 40


@pytest.fixture(autouse=True)
def silence() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def build(seed: int, *, crash: float, fail: float, rules: Rules | None = None) -> World:
    random.seed(seed)  # tenacity draws its jitter there
    loop = SkippingLoop()
    trouble = Trouble(random.Random(seed), crash=crash, fail=fail)
    policies = Policies()
    if rules is not None:
        policies.hear("acme", "rules", "all", rules.model_dump_json().encode(), START)
    signals, cases = Store(trouble), Store(trouble)
    return World(
        Broker(loop),
        trouble,
        {
            "signals": (Signals(policies), signals),
            "events": (CaseEvents(policies), signals),
            "timers": (Timers(policies), signals),
            "commands": (Commands(MemoryDocuments()), cases),
        },
    )


def stamp(seconds: float) -> str:
    at = datetime.fromtimestamp(EPOCH_MS / 1000, UTC) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def report(world: World, sent: Counter[str]) -> None:
    """Devices report; some share a key, so that several partitions write one document."""
    r = world.trouble.random
    for number in range(SIGNALS):
        device = f"d{r.randrange(4)}"
        shared = r.random() < 0.3
        body = {"tenant_id": "acme", "device_id": device, "fault": f"F{r.randrange(2)}"}
        body["occurred_at"] = stamp(world.broker.loop.time())
        if shared:
            body["dedup_key"] = f"s{r.randrange(2)}"
        kind = "cleared" if r.random() < 0.1 else "raised"
        if kind == "raised":
            sent[body.get("dedup_key") or device] += 1
        headers = (("ce_type", f"callout.signal.{kind}.v1".encode()), ("ce_id", f"{number}".encode()))
        message = Message("device.signals.v1", None, orjson.dumps(body), headers)
        world.broker.append(
            message, zlib.crc32(device.encode()) % PARTITIONS if not shared else r.randrange(PARTITIONS)
        )
        await asyncio.sleep(r.random() * 0.3)


async def storm(world: World, sent: Counter[str]) -> None:
    """Devices raise one new fault after the other, and say many things again, through any partition."""
    r = world.trouble.random
    said: list[Message] = []
    for number in range(SIGNALS):
        if said and r.random() < 0.4:
            message = r.choice(said[-20:])
        else:
            body = {"tenant_id": "acme", "device_id": f"d{r.randrange(2)}", "fault": f"F{r.randrange(12)}"}
            body["occurred_at"] = stamp(world.broker.loop.time())
            if r.random() < 0.3:
                body["dedup_key"] = f"s{r.randrange(2)}"
            headers = (("ce_type", b"callout.signal.raised.v1"), ("ce_id", f"{number}".encode()))
            message = Message("device.signals.v1", None, orjson.dumps(body), headers)
            said.append(message)
            sent["all"] += 1
        world.broker.append(message, r.randrange(PARTITIONS))
        await asyncio.sleep(r.random() * 0.5)


async def act(world: World, sent: set[str]) -> None:
    """People work the cases they see; now and then through a client that puts commands on a foreign partition."""
    r = world.trouble.random
    arguments = {
        "assign": {"assignee": "me"},
        "resolve": {"summary": "x"},
        "cancel": {"reason": "x"},
        "reopen": {"reason": "x"},
    }
    for number in range(COMMANDS):
        await asyncio.sleep(r.random())
        cases = [record.key.decode() for record in world.broker.records("case.events.v1") if record.key]
        if not cases:
            continue
        case_id, name = r.choice(cases), r.choice(("assign", "start", "resolve", "close", "close", "cancel", "reopen"))
        actor = {"id": "ann", "role": "agent", "tenant_id": "acme"}
        body = {"case_id": case_id, "tenant_id": "acme", "actor": actor, **arguments.get(name, {})}
        headers = (("ce_type", f"callout.case.{name}.v1".encode()), ("ce_id", f"command-{number}".encode()))
        message = Message("case.commands.v1", case_id.encode(), orjson.dumps(body), headers)
        world.broker.append(message, r.randrange(PARTITIONS) if r.random() < 0.2 else None)
        sent.add(f"command-{number}")


async def tick(world: World) -> None:
    """The clock of intake."""
    _, store = world.rooms["timers"]
    while True:
        await asyncio.sleep(1)
        now = datetime.fromtimestamp(EPOCH_MS / 1000 + world.broker.loop.time(), UTC)
        for document in list(store.stored.values()):
            if document.get("wake_at") and document["wake_at"] <= now:
                body = {"tenant_id": document["tenant_id"], "dedup_key": document["dedup_key"]}
                body["due_at"] = stamp(world.broker.loop.time())
                key = f"{body['tenant_id']}/{body['dedup_key']}".encode()
                world.broker.append(Message("intake.timers.v1", key, orjson.dumps(body), ()))


async def live(world: World, raised: Counter[str], commands: set[str], speak: Any = report, work: Any = act) -> None:
    """A bad day, then a quiet one."""
    workers = [asyncio.create_task(world.work(name, p)) for name in world.rooms for p in range(PARTITIONS)]
    clock = asyncio.create_task(tick(world))
    await asyncio.gather(speak(world, raised), work(world, commands))
    await asyncio.sleep(5)
    world.trouble.quiet = True
    await asyncio.sleep(120)
    for task in (*workers, clock):
        task.cancel()


def wrong(world: World, raised: Counter[str], commands: set[str]) -> list[str]:
    """Return what an independent look at the topics finds wrong."""
    found = list(world.alarms)
    for (group, partition), position in world.broker.committed.items():
        if position != len(world.broker.logs[partition]):
            found.append(f"{group} {partition} stuck at {position}")
    events = defaultdict(list)
    causes = defaultdict(set)
    for record in world.broker.records("case.events.v1"):
        body = orjson.loads(record.value or b"")
        events[body["case_id"]].append((record, body))
        causes[body["cause"]["id"]].add((body["cause"]["partition"], body["cause"]["offset"]))
    for case_id, told in events.items():
        found += wrong_in(case_id, told)
    counted: Counter[str] = Counter()
    for told in events.values():
        signal = told[-1][1]["case"]["signal"]
        counted["all" if "all" in raised else signal["dedup_key"].split(":")[0]] += signal["count"]
    if counted != raised:
        found.append(f"counted {dict(counted)}, sent {dict(raised)}")
    found += [f"{cause} took effect at {places}" for cause, places in causes.items() if len(places) > 1]
    outcomes = Counter(orjson.loads(r.value or b"")["command_id"] for r in world.broker.records("case.outcomes.v1"))
    found += [f"{command}: {outcomes[command]} outcomes" for command in commands if outcomes[command] != 1]
    found += [f"dead: {r.value!r}" for r in world.broker.records("device.signals.v1.dead")]
    if decided(world) != sum(raised.values()):
        found.append(f"decided {decided(world)}, sent {sum(raised.values())}")
    return found


def wrong_in(case_id: str, told: list[tuple[Record, Any]]) -> list[str]:
    """Return what is wrong with one case's events: their order, or the chain."""
    found = []
    if [body["seq"] for _, body in told] != list(range(1, len(told) + 1)):
        found.append(f"{case_id}: {[body['seq'] for _, body in told]}")
    previous = "0" * 64
    for record, _ in told:
        headers = dict(record.headers)
        digest = hashlib.sha256((previous + hashlib.sha256(record.value or b"").hexdigest()).encode()).hexdigest()
        if headers["ce_prevhash"].decode() != previous or headers["ce_hash"].decode() != digest:
            found.append(f"{case_id}: chain")
        previous = headers["ce_hash"].decode()
    return found


def decided(world: World) -> int:
    """Return how many signals intake says it counted."""
    total = 0
    for record in world.broker.records("intake.decisions.v1"):
        kind = dict(record.headers)["ce_type"].decode().split(".")[2]
        body = orjson.loads(record.value or b"")
        if kind in ("opened", "joined", "recurred") and body["reason"] != "returned":
            total += body["count"]
    return total


def day(seed: int, *, crash: float = 0.02, fail: float = 0.03) -> list[str]:
    world = build(seed, crash=crash, fail=fail)
    raised: Counter[str] = Counter()
    commands: set[str] = set()
    run(live(world, raised, commands), world.broker.loop)
    return wrong(world, raised, commands)


def stormy_day(seed: int) -> list[str]:
    rules = Rules(storm=Storm(new_keys=2, window_seconds=20, quiet_minutes=0.1))
    world = build(seed, crash=0.02, fail=0.03, rules=rules)
    raised: Counter[str] = Counter()
    commands: set[str] = set()
    run(live(world, raised, commands, storm), world.broker.loop)
    assert any(b'"reason":"storm"' in (r.value or b"") for r in world.broker.records("intake.decisions.v1"))
    return wrong(world, raised, commands)


@pytest.mark.parametrize("seed", range(SCHEDULES // 2))
def test_a_stormy_day_on_which_senders_repeat_themselves_loses_nothing_and_doubles_nothing(seed: int) -> None:
    assert stormy_day(seed) == []


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_bad_day_loses_nothing_and_doubles_nothing(seed: int) -> None:
    assert day(seed) == []


def test_a_quiet_day_loses_nothing_and_doubles_nothing() -> None:
    assert day(-1, crash=0, fail=0) == []
