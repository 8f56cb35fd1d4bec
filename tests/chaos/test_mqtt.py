"""What a device has a receipt for is in a case's count exactly once, whatever dies between it and the case."""

import json
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.mqtt_device import JournalDevice, Reporting, needs_mosquitto, token_of
from tests.stack import RunningStack, wait_until

DEVICES, SECONDS_BETWEEN = 3, 3.0
RATES = {"EDGE_ADAPTER_SIGNALS_PER_SECOND": "1000", "EDGE_ADAPTER_SIGNALS_BURST": "10000"}


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
        each.begin()
    time.sleep(1)
    for name, worker in (("edge_adapter", 0), ("mqtt", 0), ("edge_adapter", 1), ("kafka", 0), ("mqtt", 0)):
        dead = stack.kill(name, worker=worker)
        stack.wait_for_restart(name, dead)
        time.sleep(SECONDS_BETWEEN)
    for each in reporting:
        each.end()
    raised = Counter(
        {f"{each.device.root.rsplit('/', 1)[1]}:{f}": n for each in reporting for f, n in each.raised.items()}
    )
    wait_until(lambda: counted(stack).total() >= raised.total())
    time.sleep(2)
    assert counted(stack) == raised
    assert sum(each.device.repeated for each in reporting) > 0, "nothing was ever in doubt: the blows missed"
    verified = stack.callout("verify", "--settle", "60")
    assert verified.code == 0, verified.stdout
