"""Where mosquitto is not installed, `callout up` runs a stand-in: it carries devices, and says what it does not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.fleet import Watcher, command
from tests.mqtt_device import MqttDevice
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stack(infra: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """An edge adapter on the stand-in."""
    environment = {"KAFKA_BOOTSTRAP_SERVERS": infra.bootstrap_servers, "MONGODB_URI": infra.mongodb_uri}
    environment["CALLOUT_MQTT_STAND_IN"] = "1"
    folder = tmp_path_factory.mktemp("stand-in")
    with RunningStack(folder, "--only", "edge_adapter", environment=environment) as running:
        yield running


@contextmanager
def device(stack: RunningStack) -> Iterator[MqttDevice]:
    """A device that no other test has, with a will."""
    tenant = f"t{uuid4().hex[:8]}"
    will = (f"callout/v1/{tenant}/press/will", b'{"epoch": 1}')
    with MqttDevice(stack.values["CALLOUT_MQTT_URL"], tenant, "press", will=will) as connected:
        yield connected


def key(device: MqttDevice) -> str:
    return device.root.removeprefix("callout/v1/")


def test_what_the_stand_in_does_not_do_is_said_when_it_starts(stack: RunningStack) -> None:
    said = stack.output.read_text()
    for limit in ("mqtt: LIMITED", "speak for any", "no tokens", "keeps nothing", "apt-get install mosquitto"):
        assert limit in said
    assert "CALLOUT_MQTTS_URL" not in stack.values


async def test_a_device_is_known_as_there_signals_gets_receipts_and_commands_and_is_known_as_gone(
    stack: RunningStack,
) -> None:
    servers = stack.bootstrap_servers
    async with Watcher(servers, "device.presence.v1") as presence, Watcher(servers, "device.replies.v1") as replies:
        with device(stack) as press:
            name = key(press)
            press.say("birth", {"epoch": 1, "n": 0, "interval_s": 60})
            await presence.until(lambda: presence.story(name) == [("online", "birth")])
            press.say("beat", {"epoch": 1, "n": 1, "interval_s": 60})
            press.say("signal", {"fault": "E417", "seq": 1}, correlation=b"mine")
            assert press.receipt(1)["outcome"] == "stored"
            assert press.say("signal", {"fault": 7, "seq": 2}) == 0
            assert press.receipt(2)["code"] == "invalid_data"
            tenant, _, device_id = name.partition("/")
            there = type("There", (), {"tenant": tenant, "name": device_id, "key": name})
            await command(servers, there, "ping", f"{tenant}-1")  # type: ignore[arg-type]
            asked = press.wait_for(lambda: [body for topic, body, _ in press.heard if topic.endswith("/command")])[0]
            for outcome in ("received", "done"):
                press.say("reply", {"id": asked["id"], "outcome": outcome})
            await replies.until(lambda: len(replies.told[name]) == 4)
            assert [each["state"] for each in replies.told[name]] == ["queued", "sent", "delivered", "done"]
            sock = press.client.socket()
            assert sock is not None
            press.client.reconnect_delay_set(min_delay=30, max_delay=30)
            sock.shutdown(2)
            await presence.until(lambda: presence.story(name)[1:] == [("offline", "will")])


def test_what_the_adapter_had_not_taken_when_it_died_comes_again_and_the_stand_in_is_started_again(
    stack: RunningStack,
) -> None:
    with device(stack) as press:
        press.say("signal", {"fault": "E1", "seq": 1})
        assert press.receipt(1)["outcome"] == "stored"
        dead = stack.kill("edge_adapter")
        press.say("signal", {"fault": "E1", "seq": 2})
        stack.wait_for_restart("edge_adapter", dead)
        assert press.receipt(2)["outcome"] == "stored"
        dead = stack.kill("mqtt")
        stack.wait_for_restart("mqtt", dead)
        wait_until(lambda: press.connected)

        def told_again() -> bool:  # the adapter may come back after the device
            press.put("signal", {"fault": "E1", "seq": 3})
            return bool(press.receipts[-1]["seq"] == 3)

        wait_until(told_again)
