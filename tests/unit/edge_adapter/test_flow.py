"""Presence through the flow on bad days: crashes at every call, zombies, lost answers; each change is told once."""

import asyncio
import itertools
import logging
import os
import random
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import structlog

from services.edge_adapter import device_store
from services.edge_adapter.domain import presence
from services.edge_adapter.domain.device import Device
from services.edge_adapter.watching import DeviceCommands, Observations
from shared.contracts.catalogue import DEVICE_OBSERVATIONS
from shared.contracts.envelope import Message, read
from shared.contracts.fields import rfc3339
from shared.contracts.presence import DeviceWake, Observed
from tests.unit.flow.simulation import EPOCH_MS, PARTITIONS, Broker, SkippingLoop, Store, Trouble, World, run

SCHEDULES = int(os.environ.get("FLOW_SCHEDULES", "40"))
DEVICES, MESSAGES = 6, 150


@pytest.fixture(autouse=True)
def silence() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def build(seed: int) -> World:
    random.seed(seed)  # tenacity draws its jitter there
    loop = SkippingLoop()
    trouble = Trouble(random.Random(seed), crash=0.02, fail=0.02)
    rooms: dict[str, tuple[Any, Store]] = {
        "observations": (Observations(), Store(trouble)),
        "commands": (DeviceCommands(), Store(trouble)),
    }
    return World(Broker(loop), trouble, rooms)


def now(world: World) -> datetime:
    return datetime.fromtimestamp(round(EPOCH_MS / 1000 + world.broker.loop.time(), 3), UTC)


def append(world: World, topic: str, type_: str, body: dict[str, Any], id_: str) -> None:
    key = f"{body['tenant_id']}/{body['device_id']}".encode()
    headers = (("ce_type", type_.encode()), ("ce_id", id_.encode()))
    world.broker.append(Message(topic, key, orjson.dumps(body), headers))


async def speak(world: World) -> None:
    """Devices come, beat and go; somebody asks them things; they answer some."""
    r, epochs, numbers = world.trouble.random, dict.fromkeys(range(DEVICES), 1), itertools.count(1)
    asked: list[tuple[str, str]] = []
    for number in range(MESSAGES):
        which = r.randrange(DEVICES)
        of = {"tenant_id": "acme", "device_id": f"d{which}"}
        kind = r.choice(["birth", "beat", "beat", "beat", "will", "leave", "ask", "answer"])
        if kind == "ask":
            asked.append((of["device_id"], f"c-{number}"))
            append(world, "device.commands.v1", "callout.device.ping.v1", {**of, "timeout_s": 5.0}, f"c-{number}")
        elif kind == "answer" and asked:
            device, id_ = r.choice(asked)
            body = {"tenant_id": "acme", "device_id": device, "id": id_, "outcome": r.choice(["received", "done"])}
            append(world, DEVICE_OBSERVATIONS.name, "callout.device.answered.v1", body, f"a-{number}")
        elif kind != "answer":
            epochs[which] += kind == "birth"
            body = {**of, "kind": kind, "epoch": epochs[which], "n": next(numbers), "interval_s": 2.0}
            append(world, DEVICE_OBSERVATIONS.name, "callout.device.observed.v1", body, f"o-{number}")
        await asyncio.sleep(r.random() * 0.5)


async def tick(world: World) -> None:
    """The clock: wakes what is due, some of it twice."""
    _, store = world.rooms["observations"]
    while True:
        await asyncio.sleep(0.3)
        until = now(world)
        for document in list(store.stored.values()):
            if document.get("due_at") and document["due_at"] <= until:
                body = {name: document[name] for name in ("tenant_id", "device_id")}
                body |= {"due_at": rfc3339(document["due_at"]), "listened_until": rfc3339(until)}
                body |= {"listening_since": rfc3339(datetime.fromtimestamp(EPOCH_MS / 1000, UTC))}
                append(world, DEVICE_OBSERVATIONS.name, "callout.device.wake.v1", body, "wake")


async def live(world: World) -> None:
    """A bad day, then a quiet one."""
    workers = [asyncio.create_task(world.work(name, p)) for name in world.rooms for p in range(PARTITIONS)]
    clock = asyncio.create_task(tick(world))
    await speak(world)
    await asyncio.sleep(5)
    world.trouble.quiet = True
    await asyncio.sleep(200)
    for task in (*workers, clock):
        task.cancel()


def reckoned(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return the changes that follow from the log alone, device by device."""
    devices: dict[str, Device] = {}
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in world.broker.records(DEVICE_OBSERVATIONS.name):
        incoming = read(DEVICE_OBSERVATIONS, record)
        assert incoming is not None
        said = incoming.data
        if not isinstance(said, Observed | DeviceWake):
            continue
        key = device_store.document_id(said.tenant_id, said.device_id)
        device = devices.get(key, Device(tenant_id=said.tenant_id, device_id=said.device_id))
        decide = presence.observe if isinstance(said, Observed) else presence.on_silence
        devices[key], change = decide(device, said, incoming.now)  # type: ignore[operator]
        if change is not None:
            told[key].append(change)
    return told


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_each_change_and_each_state_is_told_once_whatever_dies(seed: int) -> None:
    world = build(seed)
    run(live(world), world.broker.loop)
    assert world.alarms == []
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in world.broker.records("device.presence.v1"):
        told[(record.key or b"").decode()].append(orjson.loads(record.value or b""))
    assert told == reckoned(world)
    assert all([each["change"] for each in changes] == list(range(1, len(changes) + 1)) for changes in told.values())
    states: dict[str, list[str]] = defaultdict(list)
    for record in world.broker.records("device.replies.v1"):
        body = orjson.loads(record.value or b"")
        states[body["id"]].append(body["state"])
    asked = {dict(record.headers)["ce_id"].decode() for record in world.broker.records("device.commands.v1")}
    assert set(states) == asked
    assert all(reached[0] == "queued" and len(reached) == len(set(reached)) for reached in states.values())
    attempts = [
        (body["id"], body["attempt"])
        for body in (orjson.loads(r.value or b"") for r in world.broker.records("device.deliveries.v1"))
    ]
    assert len(attempts) == len(set(attempts))
