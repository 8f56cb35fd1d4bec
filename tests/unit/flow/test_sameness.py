"""For a fixed order per dedup key, batch sizes, workers and restarts change nothing that intake decides."""

import asyncio
import random
import zlib
from collections import Counter
from typing import Any

import orjson
import pytest

from shared.contracts.envelope import Message
from tests.unit.flow.simulation import PARTITIONS, World, run
from tests.unit.flow.test_flow import build, silence, stamp, tick  # noqa: F401 - the fixture silences the logs here too

SIGNALS = 250


def preload(world: World, seed: int) -> None:
    """Put signals on their topic: repeats, clears, faults that come and go, and a device that breaks all over."""
    r = random.Random(seed)
    at, flips = 0.0, 0
    for number in range(SIGNALS):
        at += r.random() * 12
        device, fault, kind = f"d{r.randrange(5)}", f"F{r.randrange(3)}", "raised"
        if r.random() < 0.25:
            device, fault, kind, flips = "flapper", "F", ("raised", "cleared")[flips % 2], flips + 1
        elif 100 < number < 140:
            device, fault, at = "storming", f"S{number}", at - 11
        elif r.random() < 0.1:
            kind = "cleared"
        body = {"tenant_id": "acme", "device_id": device, "fault": fault, "occurred_at": stamp(at)}
        body["severity"] = r.choice(("minor", "major", "critical"))
        headers = (("ce_type", f"callout.signal.{kind}.v1".encode()), ("ce_id", str(r.randrange(240)).encode()))
        message = Message("device.signals.v1", f"acme/{device}".encode(), orjson.dumps(body), headers)
        world.broker.append(message, zlib.crc32(device.encode()) % PARTITIONS)


async def work_off(world: World) -> None:
    """Work the signals off, on bad days until all is told, then let the clock bring everything to rest."""
    workers = [asyncio.create_task(world.work(name, p)) for name in world.rooms for p in range(PARTITIONS)]
    await asyncio.sleep(60)
    world.trouble.quiet = True
    await asyncio.sleep(60)
    clock = asyncio.create_task(tick(world))
    await asyncio.sleep(800)
    for task in (*workers, clock):
        task.cancel()


def outcome(world: World) -> dict[str, Any]:
    """Return what must be the same: decisions (joined ones summed), cases, states and counts."""
    decisions: Counter[tuple[str, str, str, str]] = Counter()
    for record in world.broker.records("intake.decisions.v1"):
        kind = dict(record.headers)["ce_type"].decode().split(".")[2]
        body = orjson.loads(record.value or b"")
        at = "" if kind == "joined" else body["at"]
        decisions[kind, body["dedup_key"], body["reason"], at] += body["count"]
    cases = {}
    for record in world.broker.records("case.snapshots.v1"):
        state = orjson.loads(record.value or b"")
        kept = {name: state[name] for name in ("state", "severity", "title", "signal")}
        cases[state["id"]] = kept
    # What only time decides, wall time of the simulation included, is no decision on a signal.
    timed = {d for d in decisions if d[2] == "quiet"}
    return {"decisions": {d: n for d, n in decisions.items() if d not in timed}, "cases": cases}


@pytest.mark.parametrize("seed", range(3))
def test_batches_workers_and_restarts_change_nothing(seed: int) -> None:
    seen = []
    for trouble_seed, crash, fail in ((1, 0.0, 0.0), (2, 0.0, 0.0), (3, 0.03, 0.04), (4, 0.06, 0.02)):
        world = build(trouble_seed, crash=crash, fail=fail)
        preload(world, seed)
        run(work_off(world), world.broker.loop)
        assert world.alarms == []
        seen.append(outcome(world))
    reasons = {reason for _, _, reason, _ in seen[0]["decisions"]}
    assert {"first", "open_case", "storm", "flips", "duplicate", "condition"} <= reasons
    assert all(other == seen[0] for other in seen[1:])
