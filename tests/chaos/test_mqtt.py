"""What a device has a receipt for is in a case's count exactly once, whatever dies between it and the case."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.mqtt_device import JournalDevice, needs_mosquitto, token_of
from tests.stack import RunningStack, wait_until

DEVICES, FAULTS, SECONDS_BETWEEN = 3, 4, 3.0
RATES = {"EDGE_ADAPTER_SIGNALS_PER_SECOND": "1000", "EDGE_ADAPTER_SIGNALS_BURST": "10000"}


class Reporting(threading.Thread):
    """A device that reports one fault after the other until it is told to stop."""

    def __init__(self, device: JournalDevice) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.raised: Counter[str] = Counter()
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            fault = f"E{self.device.seq % FAULTS}"
            self.device.raise_fault(fault)
            self.raised[fault] += 1
            self.device.repeat()
            time.sleep(0.02)


def counted(stack: RunningStack) -> Counter[str]:
    listed = stack.callout("cases", "list", "--limit", "1000", "--json")
    assert listed.code == 0, listed.stderr
    counts: Counter[str] = Counter()
    for case in json.loads(listed.stdout):
        counts[case["signal"]["dedup_key"]] += case["signal"]["count"]
    return counts


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_every_receipted_signal_is_counted_exactly_once(fresh_stack: Callable[..., RunningStack]) -> None:
    needs_mosquitto()
    stack = fresh_stack("--only", "intake,workflow,edge_adapter", "--workers", "edge_adapter=2", **RATES)
    url = stack.values["CALLOUT_MQTT_URL"]
    reporting = [
        Reporting(JournalDevice(url, "acme", f"d{n}", token_of(stack, "acme", f"d{n}"), session_seconds=300))
        for n in range(DEVICES)
    ]
    for each in reporting:
        wait_until(lambda device=each.device: try_connect(device))
        each.start()
    time.sleep(1)
    for name, worker in (("edge_adapter", 0), ("mqtt", 0), ("edge_adapter", 1), ("kafka", 0), ("mqtt", 0)):
        dead = stack.kill(name, worker=worker)
        stack.wait_for_restart(name, dead)
        time.sleep(SECONDS_BETWEEN)
    for each in reporting:
        each.enough.set()
        each.join()
        each.device.settle(seconds=60)
        each.device.close()
    raised = Counter(
        {f"{each.device.root.rsplit('/', 1)[1]}:{f}": n for each in reporting for f, n in each.raised.items()}
    )
    wait_until(lambda: counted(stack).total() >= raised.total())
    time.sleep(2)
    assert counted(stack) == raised
    assert sum(each.device.repeated for each in reporting) > 0, "nothing was ever in doubt: the blows missed"
    verified = stack.callout("verify", "--settle", "60")
    assert verified.code == 0, verified.stdout


def try_connect(device: JournalDevice) -> bool:
    if not device.connected:
        device.refused = None
        device.connect()
    return device.connected
