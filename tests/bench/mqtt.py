"""Signals per second through the MQTT door, beside the same library and aiokafka alone: the same messages, one run.

Both have sessions at one mosquitto and are stopped; the signals are published; then one is woken, works its sessions
off and is stopped again, and then the other.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer

from tests.bench.backlog import Servers
from tests.bench.processes import Process
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.mqtt_device import needs_mosquitto, token_of
from tests.stack import RunningStack, wait_until

TOPIC: Final = "device.signals.v1"
DEVICES: Final = 4
TURNS: Final = 2
SECONDS_MAX: Final = 300
RATES: Final = {"EDGE_ADAPTER_SIGNALS_PER_SECOND": "100000", "EDGE_ADAPTER_SIGNALS_BURST": "1000000"}
SIGNAL: Final = (
    '{"fault": "E%d", "severity": "major", "title": "Spindle over temperature", "seq": %d, '
    '"occurred_at": "2026-03-02T10:15:00.000Z", "machine": {"serial": "SN-1", "model": "X2", "brand": "B"}, '
    '"measurements": {"temp_c": 91.4, "load": 0.7, "rpm": 4200}, "description": "It is hotter than it may be."}'
)


async def mqtt(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure one adapter and the floor in turns; the best of each counts."""
    needs_mosquitto()
    if shutil.which("mosquitto_pub") is None:
        raise AssertionError("mosquitto_pub publishes the load: apt-get install mosquitto-clients")
    folder = servers.logs / "mqtt"
    # The stack's own Kafka and MongoDB: nothing else works on what is told.
    with RunningStack(folder, "--only", "edge_adapter", environment=RATES) as stack:
        secret = (stack.data / "mqtt" / "identity" / "adapter.secret").read_text()
        url = stack.values["CALLOUT_MQTT_URL"]
        arguments = ("-m", "tests.bench.mqtt_floor", url, secret, stack.bootstrap_servers, TOPIC)
        with Process(*arguments, log=folder / "floor.log") as floor:
            tokens = await asyncio.to_thread(_tokens, stack, url)
            connected = stack.data / "logs" / "mqtt.log"
            wait_until(lambda: f"callout-edge-adapter-{40 + 11} (" in connected.read_text(), seconds=60)
            await asyncio.sleep(1)
            adapter, pids = stack.pids["edge_adapter"][0], (stack.pids["edge_adapter"][0], floor.pid)
            best: dict[int, dict[str, float]] = {}
            for turn in range(TURNS):
                _all(pids, signal.SIGSTOP)
                await asyncio.to_thread(_publish, tokens, url, sizes.mqtt, turn * sizes.mqtt)
                for pid in pids:
                    run = await _work_off(stack.bootstrap_servers, pid, sizes.mqtt)
                    if pid not in best or run["per_second"] > best[pid]["per_second"]:
                        best[pid] = run
            _all(pids, signal.SIGCONT)
    ours, bare = best[adapter], best[floor.pid]
    figures: dict[str, Any] = {
        "signals": sizes.mqtt,
        "per_second": round(ours["per_second"]),
        "floor_per_second": round(bare["per_second"]),
        "cpu_us": round(ours["cpu_us"]),
        "floor_cpu_us": round(bare["cpu_us"]),
    }
    what = "signals/s through MQTT, receipted : paho-mqtt + aiokafka alone"
    return [
        Finding(measure="mqtt", what=what, ratio=ours["per_second"] / bare["per_second"], target=0.5, figures=figures)
    ]


def _tokens(stack: RunningStack, url: str) -> dict[str, str]:
    """Return a token of each device, which counts already: once the adapter stands still, nobody gives any."""
    tokens = {name: token_of(stack, "acme", name) for name in (f"bench-{number}" for number in range(DEVICES))}
    port = urlsplit(url).port or 0
    wait_until(lambda: all(_accepted(port, name, token) for name, token in tokens.items()), seconds=30)
    return tokens


def _publish(tokens: dict[str, str], url: str, count: int, first_seq: int) -> None:
    where = urlsplit(url)
    publishers = []
    for name, token in tokens.items():
        command = ("mosquitto_pub", "-h", "127.0.0.1", "-p", str(where.port), "-V", "5", "-q", "1", "-l")
        login = ("-u", f"acme/{name}", "-P", token, "-t", f"callout/v1/acme/{name}/signal")
        publishers.append(subprocess.Popen((*command, *login), stdin=subprocess.PIPE, text=True))
    share = count // DEVICES
    for publisher in publishers:
        lines = (SIGNAL % (seq % 20, seq) for seq in range(first_seq, first_seq + share))
        publisher.communicate("\n".join(lines) + "\n", timeout=SECONDS_MAX)
        assert publisher.returncode == 0


def _accepted(port: int, name: str, token: str) -> bool:
    command = (
        "mosquitto_pub",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-V",
        "5",
        "-q",
        "1",
        "-u",
        f"acme/{name}",
        "-P",
        token,
    )
    beat = ("-t", f"callout/v1/acme/{name}/beat", "-m", "{}")
    return subprocess.run((*command, *beat), capture_output=True, check=False).returncode == 0


async def _work_off(servers: str, pid: int, count: int) -> dict[str, float]:
    """Wake a process until it has moved so many messages to Kafka; return how fast that was, and its CPU each."""
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=servers)
    await consumer.start()
    try:
        partitions = list(consumer.assignment())
        before = sum((await consumer.end_offsets(partitions)).values())
        cpu, began = _cpu(pid), time.perf_counter()
        os.kill(pid, signal.SIGCONT)
        moved = 0
        while moved < count:
            await asyncio.sleep(0.02)
            moved = sum((await consumer.end_offsets(partitions)).values()) - before
            if time.perf_counter() - began > SECONDS_MAX:
                raise AssertionError(f"{moved} of {count} after {SECONDS_MAX} s")
        seconds = time.perf_counter() - began
        await asyncio.sleep(1)  # receipts and acknowledgements
        used = _cpu(pid) - cpu
    finally:
        os.kill(pid, signal.SIGSTOP)
        await consumer.stop()
    return {"per_second": count / seconds, "cpu_us": used / count * 1e6}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _all(pids: tuple[int, ...], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)
