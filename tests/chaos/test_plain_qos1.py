"""What plain QoS 1 means: a device that says each thing once, without a journal, while all that hears it is killed."""

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from shared.contracts.catalogue import DEVICE_SIGNALS
from tests.chaos.reader import read_topic
from tests.mqtt_device import MqttDevice, needs_mosquitto, token_of
from tests.stack import RunningStack, wait_until

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif("CHAOS_BLOWS" not in os.environ, reason="takes minutes: `make chaos`"),
]
SECONDS_BETWEEN = 8.0
#: The broker saves what it has every 5 s; on a crowded machine a little later.
UNSAVED_SECONDS = 10.0
RATES = {"EDGE_ADAPTER_SIGNALS_PER_SECOND": "1000", "EDGE_ADAPTER_SIGNALS_BURST": "10000"}


class Plain(threading.Thread):
    """Says one thing after the other, fifty a second, and remembers when."""

    def __init__(self, device: MqttDevice) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.said: list[float] = []
        self.packets: list[int] = []
        self._enough = threading.Event()

    def run(self) -> None:
        """Speak."""
        while not self._enough.is_set():
            self.packets.append(self.device.put("signal", {"fault": "plain", "raw": {"n": len(self.said)}}))
            self.said.append(time.monotonic())
            time.sleep(0.02)

    def end(self) -> None:
        """Say nothing more; return when the broker has acknowledged all of it."""
        self._enough.set()
        self.join()
        wait_until(lambda: self.device.codes.keys() >= set(self.packets))
        self.device.close()


def connects(device: MqttDevice) -> bool:
    """Connect a device that is let in a moment after it got its token; tell whether it is in."""
    device.refused = None
    device.connect()
    return device.connected


def arrived(stack: RunningStack) -> Counter[int]:
    """Return how often each thing that was said lies in Kafka."""
    records = asyncio.run(read_topic(stack.bootstrap_servers, DEVICE_SIGNALS.name))
    bodies = [json.loads(record.value) for record in records if record.value]
    return Counter(body["raw"]["n"] for body in bodies if body.get("device_id") == "plain")


def test_plain_qos_1_loses_only_what_a_killed_broker_had_not_saved(fresh_stack: Callable[..., RunningStack]) -> None:
    needs_mosquitto()
    stack = fresh_stack("--only", "edge_adapter", "--workers", "edge_adapter=2", **RATES)
    url, token = stack.values["CALLOUT_MQTT_URL"], token_of(stack, "acme", "plain")
    device = MqttDevice(url, "acme", "plain", token, session_seconds=300)
    wait_until(lambda: connects(device))
    plain = Plain(device)
    plain.start()
    away: list[tuple[float, float]] = []
    for name in ("edge_adapter", "kafka", "mqtt"):
        time.sleep(SECONDS_BETWEEN)
        at, dead = time.monotonic(), stack.kill(name)
        stack.wait_for_restart(name, dead)
        if name == "mqtt":
            away.append((at - UNSAVED_SECONDS, time.monotonic()))
    time.sleep(SECONDS_BETWEEN)
    plain.end()
    spared = {n for n, at in enumerate(plain.said) if not any(begin < at < end for begin, end in away)}
    wait_until(lambda: spared <= arrived(stack).keys())
    found = arrived(stack)
    lost = sorted(set(range(len(plain.said))) - found.keys())
    twice = {n: count for n, count in found.items() if count > 1}
    print(f"plain QoS 1: {len(plain.said)} said and acknowledged, {len(lost)} lost, {len(twice)} more than once")  # noqa: T201
    assert not spared & set(lost)
