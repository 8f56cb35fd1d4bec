"""An adapter with a password that the MQTT broker does not take, beside one that hears devices."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from deploy.embedded.data_folder import free_port
from tests.mqtt_device import needs_mosquitto
from tests.stack import PROJECT, RunningStack, clean_environment, wait_until


def readiness(url: str) -> tuple[int, str]:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=10)
    except httpx.TransportError:
        return 0, ""
    return answer.status_code, answer.text


@contextmanager
def adapter(stack: RunningStack, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = clean_environment() | {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "MONGODB_URI": stack.mongodb_uri,
        "EDGE_ADAPTER_MQTT_URL": stack.values["CALLOUT_MQTT_URL"],
        "EDGE_ADAPTER_MQTT_PASSWORD": "wrong",
        "EDGE_ADAPTER_SEAT_GONE_SECONDS": "1",
        "EDGE_ADAPTER_SESSION_TIMEOUT_MS": "3000",
        "EDGE_ADAPTER_HTTP_PORT": str(port),
    }
    process = subprocess.Popen((sys.executable, "-m", "services.edge_adapter"), cwd=PROJECT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.integration
def test_it_leaves_all_sessions_to_others_and_when_begun_anew_takes_none_and_says_why(
    fresh_stack: Callable[..., RunningStack],
) -> None:
    needs_mosquitto()
    stack, port = fresh_stack("--only", "edge_adapter"), free_port()
    [other] = stack.health_urls["edge_adapter"]
    with adapter(stack, port) as first:
        wait_until(lambda: first.poll() is not None)
        assert first.returncode == 1
    with adapter(stack, port) as second:
        wait_until(lambda: "EDGE_ADAPTER_MQTT_PASSWORD" in readiness(f"http://127.0.0.1:{port}")[1])
        wait_until(lambda: readiness(other)[0] == 200)
        assert second.poll() is None
        assert "did not let us in" in readiness(f"http://127.0.0.1:{port}")[1]
