"""A device with nothing but an MQTT client, and one that keeps a journal: for tests of the MQTT door."""

import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.stack import PATIENCE_SECONDS, RunningStack, StackError, wait_until

REPEAT_SECONDS = 3.0
WINDOW = 90


def needs_mosquitto() -> None:
    """Skip a test where mosquitto is not installed; in CI that is a failure."""
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed: deploy/debian-packages.txt names it")
        pytest.skip("mosquitto is not installed (Debian package `mosquitto`)")


def token_of(stack: RunningStack, tenant: str, device: str) -> str:
    """Return a fresh token of a device."""
    done = stack.callout("devices", "token", tenant, device, "--json")
    assert done.code == 0, done.stderr
    token: str = json.loads(done.stdout)["token"]
    return token


class MqttDevice:
    """One connection of one device; as a context it is connected from entering to leaving."""

    def __init__(
        self,
        url: str,
        tenant: str,
        device: str,
        token: str = "",
        *,
        username: str | None = None,
        tls: Any = None,
        session_seconds: int = 0,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.root = f"callout/v1/{tenant}/{device}"
        self.refused: Any = None
        self.codes: dict[int, int] = {}
        self.heard: list[tuple[str, dict[str, Any], bytes | None]] = []
        self._where = urlsplit(url)
        self._session_seconds = session_seconds
        self._connected = threading.Event()
        self._dropped = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="whatever", protocol=MQTTProtocolVersion.MQTTv5)
        self.client.username_pw_set(username or f"{tenant}/{device}", token or None)
        if tls is not None:
            self.client.tls_set_context(tls)
        if will is not None:
            self.client.will_set(*will, qos=1)
        self.client.on_connect = self._on_connect
        # Before the broker listens for it, what it is told is told to nobody.
        self.client.on_subscribe = lambda *_: self._connected.set()
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.client.on_disconnect = self._on_disconnect
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Connect, and return when that is accepted or refused."""
        self._begin()
        wait_until(lambda: self._connected.is_set() or self.refused)

    def try_to_connect(self) -> bool:
        """Connect once, and tell whether that was accepted; who was not is left alone."""
        try:
            self._begin()
            wait_until(lambda: self._connected.is_set() or self.refused or self._dropped.is_set())
        except OSError:
            return False
        finally:
            self.client.loop_stop()
        return self.connected and not self.refused

    def _begin(self) -> None:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._session_seconds
        clean = self._session_seconds == 0
        self.client.connect(
            self._where.hostname, self._where.port, keepalive=10, clean_start=clean, properties=properties
        )
        self.client.loop_start()

    def close(self) -> None:
        """Leave in order."""
        self.client.disconnect()
        self.client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether it is in."""
        return self._connected.is_set()

    def say(self, word: str, body: Any, *, correlation: bytes | None = None, topic: str | None = None) -> int:
        """Publish, and return the broker's reason code; `body` may be bytes."""
        packet = self.put(word, body, correlation=correlation, topic=topic)
        wait_until(lambda: packet in self.codes)
        return self.codes[packet]

    def put(self, word: str, body: Any, *, correlation: bytes | None = None, topic: str | None = None) -> int:
        """Publish, and return the packet's number at once."""
        properties = Properties(PacketTypes.PUBLISH)
        if correlation is not None:
            properties.CorrelationData = correlation
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        where = topic or f"{self.root}/{word}"
        return self.client.publish(where, payload, qos=1, properties=properties).mid

    @property
    def receipts(self) -> list[dict[str, Any]]:
        """What was receipted so far."""
        return [one for topic, body, _ in list(self.heard) if topic.endswith("/receipt") for one in body["receipts"]]

    def wait_for(self, found: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
        """Return what is found, as soon as it is."""
        wait_until(found, seconds=seconds)
        return found()

    def receipt(self, seq: int, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Return the receipt of an entry."""
        return self.wait_for(lambda: next((r for r in self.receipts if r.get("seq") == seq), None), seconds=seconds)

    def _on_connect(self, client: Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self.refused = reason
            return
        client.subscribe([(f"{self.root}/{word}", 1) for word in ("receipt", "command", "certificate")])

    def _on_disconnect(self, *_: Any) -> None:
        self._connected.clear()
        self._dropped.set()

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        self.heard.append((message.topic, json.loads(message.payload), correlation))

    def _on_publish(self, _: Client, __: Any, packet: int, reason: Any, ___: Any) -> None:
        self.codes[packet] = reason.value


class JournalDevice(MqttDevice):
    """Keeps each entry until its receipt, and sends it again until then, as `docs/mqtt.md` has it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept: dict[int, tuple[str, Mapping[str, Any], float]] = {}
        self.stored: dict[int, str] = {}
        self.repeated = 0
        self.seq = 0

    def raise_fault(self, fault: str, **facts: Any) -> int:
        """Enter a signal in the journal and send it; return its `seq`. Waits while too many have no receipt."""
        while self.kept and self.seq - min(self.kept) >= WINDOW:
            self.repeat()
            time.sleep(0.01)
        self.seq += 1
        entry = {"fault": fault, "seq": self.seq, **facts}
        self.kept[self.seq] = ("signal", entry, time.monotonic())
        self.put("signal", entry)
        return self.seq

    def repeat(self) -> None:
        """Strike out what is receipted, and send again what has waited for too long."""
        for receipt in self.receipts:
            seq = receipt.get("seq")
            if seq in self.kept and receipt["outcome"] == "stored":
                self.stored[seq] = receipt["id"]
                del self.kept[seq]
        now = time.monotonic()
        for seq, (word, entry, sent_at) in list(self.kept.items()):
            if now - sent_at > REPEAT_SECONDS and self.connected:
                self.kept[seq] = (word, entry, now)
                self.repeated += 1
                self.put(word, entry)

    def settle(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when everything has its receipt."""
        deadline = time.monotonic() + seconds
        while self.kept:
            self.repeat()
            if time.monotonic() > deadline:
                raise StackError(f"{len(self.kept)} entries without a receipt: {sorted(self.kept)[:5]}")
            time.sleep(0.05)


class Reporting(threading.Thread):
    """A device that reports one fault after the other, fifty times a second, until it is told to end."""

    FAULTS = 4

    def __init__(self, device: JournalDevice) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.raised: Counter[str] = Counter()
        self._enough = threading.Event()

    def begin(self) -> None:
        """Connect, as soon as it is let in, and begin to report."""
        wait_until(self._connects)
        self.start()

    def run(self) -> None:
        """Report."""
        while not self._enough.is_set():
            fault = f"E{self.device.seq % self.FAULTS}"
            self.device.raise_fault(fault)
            self.raised[fault] += 1
            self.device.repeat()
            time.sleep(0.02)

    def end(self) -> None:
        """Report no more; return when all has its receipt."""
        self._enough.set()
        self.join()
        self.device.settle()
        self.device.close()

    def _connects(self) -> bool:
        if not self.device.connected:
            self.device.refused = None
            self.device.connect()
        return self.device.connected
