"""A fleet over MQTT: how soon silence is noticed, what an idle device costs, and what a mass drop makes."""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from tests.bench.backlog import PARTITIONS, Servers
from tests.bench.processes import Worker
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.fleet import Device, Watcher, broker

INTERVAL_S = 30.0
SILENT = 200
SILENT_INTERVAL_S = 4.0
SECONDS_MAX = 300.0
AT_ONCE = 200
KIB_PER_DEVICE_MAX = 20.0
BUCKET_S = 0.1


class Stages(NamedTuple):
    """Where the seconds beyond 1.5 intervals went: the last word on its way in, finding the silence, telling it."""

    arrived: float
    found: float
    told: float


async def fleet(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Bring a fleet in, leave it idle, let some fall silent, then let all drop together and return."""
    with ExitStack() as stack:
        own = stack.enter_context(broker(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        environment = servers.environment() | {"EDGE_ADAPTER_MQTT_URL": own.url}
        worker = stack.enter_context(Worker("edge_adapter", environment, servers.logs / "edge_adapter-fleet.log"))
        await worker.ready(PARTITIONS)
        tenant = f"t{uuid4().hex[:8]}"
        devices = [Device(own.port, tenant, f"d{n}", interval_s=INTERVAL_S) for n in range(sizes.fleet)]
        async with Watcher(servers.kafka, "device.presence.v1") as watcher:
            before_mb = worker.resident_mb
            came_s = await _come(watcher, devices, 1)
            await asyncio.sleep(INTERVAL_S)
            cpu, began = worker.cpu_seconds, time.monotonic()
            await asyncio.sleep(INTERVAL_S)
            idle_cpu = (worker.cpu_seconds - cpu) / (time.monotonic() - began)
            kib = (worker.resident_mb - before_mb) * 1e6 / 1024 / len(devices)
            dropped_s = await _drop(watcher, devices, 2)
            returned_s = await _come(watcher, devices, 3)
            changes = sum(len(watcher.told[device.key]) for device in devices)
            stages = await _fall_silent(own.port, watcher)
            for device in devices:
                device.crash()
    seconds = {"came_s": came_s, "dropped_s": dropped_s, "returned_s": returned_s}
    return [
        Finding(
            measure="fleet, idle",
            what="KiB an idle device",
            ratio=kib,
            target=KIB_PER_DEVICE_MAX,
            limit=True,
            figures={"devices": len(devices), "interval_s": INTERVAL_S, "cores": round(idle_cpu, 3)},
        ),
        Finding(
            measure="fleet, all together",
            what="changes told : changes there were",
            ratio=changes / (3 * len(devices)),
            target=1.0,
            limit=True,
            figures={"changes": changes, **{name: round(value, 1) for name, value in seconds.items()}},
        ),
        _noticed(stages),
    ]


def _noticed(stages: Sequence[Stages]) -> Finding:
    delays = [sum(each) for each in stages]
    histogram: dict[str, int] = {}
    for delay in sorted(delays):
        bucket = f"{delay // BUCKET_S * BUCKET_S:.1f}"
        histogram[bucket] = histogram.get(bucket, 0) + 1
    return Finding(
        measure="fleet, silence",
        what="longest delay beyond 1.5 intervals : 1 s",
        ratio=max(delays),
        target=1.0,
        limit=True,
        figures={
            "devices": len(delays),
            "interval_s": SILENT_INTERVAL_S,
            "seconds_beyond": histogram,
            "longest_s": {name: round(max(getattr(each, name) for each in stages), 2) for name in Stages._fields},
        },
    )


async def _come(watcher: Watcher, devices: Sequence[Device], times: int) -> float:
    began = time.monotonic()
    for begin in range(0, len(devices), AT_ONCE):
        await asyncio.gather(*(device.connect() for device in devices[begin : begin + AT_ONCE]))
        for device in devices[begin : begin + AT_ONCE]:
            device.beat_on()
    await watcher.until(lambda: all(len(watcher.told[device.key]) >= times for device in devices), seconds=SECONDS_MAX)
    return time.monotonic() - began


async def _drop(watcher: Watcher, devices: Sequence[Device], times: int) -> float:
    began = time.monotonic()
    for device in devices:
        device.crash()
    await watcher.until(lambda: all(len(watcher.told[device.key]) >= times for device in devices), seconds=SECONDS_MAX)
    return time.monotonic() - began


async def _fall_silent(port: int, watcher: Watcher) -> list[Stages]:
    """Return how much later than 1.5 intervals after its last word each device was told offline."""
    tenant = f"t{uuid4().hex[:8]}"
    silent = [Device(port, tenant, f"s{n}", interval_s=SILENT_INTERVAL_S) for n in range(SILENT)]
    for device in silent:
        await device.connect()
        device.beat_on()
        await asyncio.sleep(random.random() * 2 * SILENT_INTERVAL_S / SILENT)
    await asyncio.sleep(2 * SILENT_INTERVAL_S)
    for device in silent:
        device.be_silent()
    await watcher.until(lambda: all(_is_offline(watcher, device) for device in silent), seconds=SECONDS_MAX)
    for device in silent:
        device.crash()
    return [_stages(device, watcher.told[device.key][-1], watcher.appended[device.key][-1]) for device in silent]


def _stages(device: Device, offline: dict[str, Any], appended: float) -> Stages:
    seen, woken = (datetime.fromisoformat(offline[name]).timestamp() for name in ("last_seen", "at"))
    return Stages(seen - device.said_at, woken - seen - 1.5 * SILENT_INTERVAL_S, appended - woken)


def _is_offline(watcher: Watcher, device: Device) -> bool:
    told = watcher.told[device.key]
    return bool(told) and told[-1]["status"] == "offline"
