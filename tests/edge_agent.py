"""The agent as a process, a mosquitto, and a stand-in for the adapter: for tests of the program on the device."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from deploy.embedded.data_folder import free_port, is_listening
from shared.authority import Authority, utc_now
from tests.stack import PATIENCE_SECONDS, PROJECT, clean_environment, wait_until

EARS = ("callout/v1/acme/+/+", "callout/v1/enroll/acme/+/csr")
AGENT = PROJECT / "services" / "edge_agent"
HOT = """
[[trigger]]
name = "hot"
preset = "zone"
series = "temp_*"
above = 90
fault = "E417"
severity = "major"
"""
#: The Python that the agent runs on: another than the tests', if one says so (`CALLOUT_AGENT_PYTHON`).
PYTHON = os.environ.get("CALLOUT_AGENT_PYTHON", sys.executable)
STDIN = '[[feed]]\nkind = "stdin"\n'


class Agent:
    """One folder with a configuration, and the processes that run on it."""

    def __init__(
        self, folder: Path, url: str, *, device: str = "press-07", token: str = "secret", more: str = ""
    ) -> None:
        self.folder = folder
        self.config = folder / "agent.toml"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(token)
        self.write(f'url = "{url}"\ntoken_file = "token"', device, more or STDIN + HOT)

    def write(self, connection: str, device: str = "press-07", more: str = STDIN + HOT, *, interval_s: int = 1) -> None:
        """Write the configuration."""
        head = f'[device]\ntenant = "acme"\nid = "{device}"\ninterval_s = {interval_s}\n'
        self.config.write_text(f"{head}[connection]\n{connection}\n{more}")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run it; what it tells is added to `agent.log`."""
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                (PYTHON, "-m", "callout_agent", "run", "--config", str(self.config), *arguments),
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment(),
            )  # fmt: skip
        return self.process

    def command(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run another command of it to its end."""
        return subprocess.run(
            (PYTHON, "-m", "callout_agent", *arguments, "--config", str(self.config)),
            input=given, capture_output=True, text=True, env=environment(), timeout=120, check=False,
        )  # fmt: skip

    def feed(self, *lines: str) -> None:
        """Give it lines on its standard input."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def stop(self) -> int:
        """End it in order; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def kill(self) -> None:
        """Kill it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def log(self) -> str:
        """What it told so far."""
        return (self.folder / "agent.log").read_text()

    def wait_for_log(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when it has told this."""
        wait_until(lambda: text in self.log, seconds=seconds)


def environment() -> dict[str, str]:
    """Return an environment in which the agent is found."""
    return {**clean_environment(), "PYTHONPATH": str(AGENT)}


class Adapter:
    """Hears all that devices say, and gives receipts while `receipting`; counts as the adapter and intake do."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        self.stored: dict[tuple[str, int], dict[str, Any]] = {}
        self.refuse: dict[str, Any] | None = None
        self.authority: Authority | None = None
        self.receipting = True
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="adapter", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set("adapter")  # the broker takes it for the client id
        self._client.on_connect = lambda client, *_: client.subscribe([(each, 1) for each in EARS])
        self._client.on_message = self._on_message
        listens = threading.Event()
        self._client.on_subscribe = lambda *_: listens.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(listens.is_set)  # what is said before that, the broker gives to nobody

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def words(self, *words: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what was said so far under these words."""
        with self._lock:
            return [(word, body) for _, word, body in self.heard if word in words]

    def send(self, device: str, word: str, body: Any) -> None:
        """Tell a device something; what it may do once at most, with QoS 0."""
        qos = 0 if body.get("command") in ("restart", "invoke") else 1
        self._client.publish(f"callout/v1/acme/{device}/{word}", json.dumps(body), qos=qos)

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        *_, device, word = message.topic.split("/")
        if word in ("receipt", "command", "certificate"):
            return
        body = json.loads(message.payload)
        if word == "csr":
            self._client.publish(message.topic.replace("/csr", "/certificate"), self._certified(device, body), qos=1)
            return
        with self._lock:
            self.heard.append((device, word, body))
        entries = body["entries"] if word == "journal" else [{"kind": word, **body}]
        if word in ("signal", "clear", "journal") and self.receipting:
            self.send(device, "receipt", {"receipts": [self._receipt(device, entry) for entry in entries]})

    def _certified(self, device: str, body: dict[str, Any]) -> str:
        if self.authority is None:
            return json.dumps({"outcome": "refused", "code": "not_invited", "reason": "no code was given out"})
        issued = self.authority.issue(body["csr"].encode(), f"acme/{device}", now=utc_now(), days=90)
        return json.dumps({"outcome": "issued", "certificate": issued.pem, "ca": self.authority.pem})

    def _receipt(self, device: str, entry: dict[str, Any]) -> dict[str, Any]:
        if self.refuse is not None:
            return {"seq": entry["seq"], "id": "x", "outcome": "refused", **self.refuse}
        before = self.stored.setdefault((device, entry["seq"]), entry)
        assert before == entry, "what is sent again is what was sent before"
        return {"seq": entry["seq"], "id": "x", "outcome": "stored"}


@contextmanager
def mosquitto(folder: Path, port: int | None = None, more: str = "") -> Iterator[int]:
    """Run a broker that lets anybody in; yields its port. `more`: of its configuration."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    port = port or free_port()
    config = folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    door = f"listener {port} 127.0.0.1\nallow_anonymous true\nuse_username_as_clientid true\n"
    config.write_text(f"per_listener_settings true\n{user}{door}{more}")
    with (folder / "mosquitto.log").open("ab") as log:
        process = subprocess.Popen((program, "-c", str(config)), stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "mosquitto.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def resident_kib(pid: int) -> int:
    """Return how much memory a process holds."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


class Closing:
    """Closes what was opened, last first."""

    def __init__(self) -> None:
        self._opened: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._opened):
            each.close()

    def add(self, each: Any) -> Any:
        """Close it at the end."""
        self._opened.append(each)
        return each
