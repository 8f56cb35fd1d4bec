"""The MQTT door on a real mosquitto: a device with nothing but an MQTT client raises and clears a case."""

import json
from collections.abc import Iterator

import pytest

from tests.mqtt_device import MqttDevice, needs_mosquitto, token_of
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration
NOT_AUTHORISED = 0x87


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Devices, signals and cases; one device may say little."""
    needs_mosquitto()
    with RunningStack(
        tmp_path_factory.mktemp("mqtt"),
        *("--only", "intake,workflow,edge_adapter", "--workers", "edge_adapter=2"),
        environment={"EDGE_ADAPTER_SIGNALS_PER_SECOND": "20", "EDGE_ADAPTER_SIGNALS_BURST": "100"},
    ) as stack:
        yield stack


def device(stack: RunningStack, name: str) -> MqttDevice:
    return MqttDevice(stack.values["CALLOUT_MQTT_URL"], "acme", name, token_of(stack, "acme", name))


def cases_of(stack: RunningStack, name: str) -> list[dict[str, object]]:
    listed = stack.callout("cases", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [case for case in json.loads(listed.stdout) if case.get("device_id") == name]


def test_a_device_raises_and_clears_a_case_and_is_told_so(stack: RunningStack) -> None:
    with device(stack, "press-07") as press:
        press.say("signal", {"fault": "E417", "severity": "major", "seq": 1})
        assert press.receipt(1)["outcome"] == "stored"
        wait_until(lambda: cases_of(stack, "press-07"), seconds=20)
        press.say("clear", {"fault": "E417", "seq": 2})
        assert press.receipt(2)["outcome"] == "stored"
        wait_until(lambda: cases_of(stack, "press-07")[0]["state"] == "RESOLVED", seconds=20)
    [case] = cases_of(stack, "press-07")
    assert (case["tenant_id"], case["severity"]) == ("acme", "major")
