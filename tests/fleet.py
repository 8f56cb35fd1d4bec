"""Thousands of devices in one process: each a small MQTT 5 client of its own, with nothing between it and the wire."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.embedded.data_folder import free_port
from shared.flow.teller import partitioner
from tests.places import Place
from tests.stack import PATIENCE_SECONDS, wait_until

CONFIGURATION = """\
allow_anonymous true
max_inflight_messages 100
max_queued_messages 100000
set_tcp_nodelay true
log_dest none
"""


class Broker:
    """A mosquitto of the test's own, which lets everybody in."""

    def __init__(self, folder: Path, *places: Place) -> None:
        self.port = free_port()
        self.host = "127.0.0.1"
        listeners = "".join(f"listener {self.port} {host}\n" for host in (self.host, *(each.here for each in places)))
        self._file = folder / "mosquitto.conf"
        self._file.write_text(listeners + CONFIGURATION + _user())
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it; return when it listens."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        self.process = subprocess.Popen((program, "-c", str(self._file)), stderr=subprocess.DEVNULL)
        wait_until(self._listens)

    def kill(self) -> None:
        """Kill it: it sends no wills, and forgets everything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((self.host, self.port)) == 0


@contextmanager
def broker(folder: Path, *places: Place) -> Iterator[Broker]:
    """Run a mosquitto of one's own, which these places can reach too."""
    own = Broker(folder, *places)
    own.start()
    try:
        yield own
    finally:
        own.kill()


def _user() -> str:
    return "user root\n" if os.geteuid() == 0 else ""


class Device:
    """One device: it connects, is born, beats, and ends in any way."""

    def __init__(self, port: int, tenant: str, name: str, *, interval_s: float = 5.0, keepalive: int = 600) -> None:
        self.port, self.tenant, self.name = port, tenant, name
        self.interval_s, self.keepalive = interval_s, keepalive
        self.place: Place | None = None
        self.root = f"callout/v1/{tenant}/{name}"
        self.epoch = 0
        self.n = 0
        self.commands: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.said_at = 0.0
        self._beat_at = 0.0
        self._pause_s = 0.0
        self.answers = True
        self._packet = 0
        self._acknowledged = 0
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def key(self) -> str:
        """The key of its records."""
        return f"{self.tenant}/{self.name}"

    async def connect(
        self, *, epoch: int | None = None, will: tuple[str, bytes] | None = None, listens: str = ""
    ) -> None:
        """Connect with a will, listen for commands, and say that it is born; one with a will of its own is not."""
        self.epoch = self.epoch + 1 if epoch is None else epoch
        self.n = 0
        self._packet = self._acknowledged = 0
        for task in self._tasks:
            task.cancel()
        reached = {"sock": self.place.connected(self.port)} if self.place is not None else {}
        where_to = {} if reached else {"host": "127.0.0.1", "port": self.port}
        reader, self._writer = await asyncio.open_connection(**reached, **where_to)
        where, dying = will or (f"{self.root}/will", json.dumps({"epoch": self.epoch}).encode())
        body = _text("MQTT") + b"\x05\x0e" + self.keepalive.to_bytes(2, "big") + b"\x00"  # will QoS 1, clean start
        body += _text(f"{self.tenant}.{self.name}") + b"\x00" + _text(where) + len(dying).to_bytes(2, "big") + dying
        self._writer.write(_packet(0x10, body))
        kind, answer = await _read(reader)
        assert kind == 0x20, kind
        assert answer[1] == 0, answer
        self._writer.write(_packet(0x82, b"\x00\x01\x00" + _text(listens or f"{self.root}/command") + b"\x01"))
        while (packet := await _read(reader))[0] != 0x90:  # what was retained may come before the answer
            if packet[0] & 0xF0 == 0x30:
                self._heard(*packet)
        self._tasks = [asyncio.create_task(self._listen(reader))]
        if will is None:
            self.say("birth")

    def say(self, word: str, **facts: Any) -> None:
        """Say something; whoever is dead says nothing."""
        if self._writer is None or self._writer.is_closing():
            return
        body = facts or {"epoch": self.epoch, "n": self.n, "interval_s": self.interval_s}
        self.n += word != "reply"
        self.said_at = time.time()
        self.put(f"{self.root}/{word}", json.dumps(body).encode())

    def put(self, topic: str, payload: bytes) -> None:
        """Publish something (QoS 1)."""
        if self._writer is None:
            return
        self._packet = self._packet % 65_535 + 1
        head = _text(topic) + self._packet.to_bytes(2, "big") + b"\x00"
        self._writer.write(_packet(0x32, head + payload))

    def beat_on(self) -> None:
        """Go on beating, on time."""
        self._tasks.append(asyncio.create_task(self._beat()))

    @property
    def was_held_up(self) -> bool:
        """Whether a crowded machine kept it from beating on time: then it is rightly called silent."""
        return self._pause_s > 1.25 * self.interval_s

    async def heard(self) -> None:
        """Return once the broker has all that was said: who crashes before that may never have said it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._acknowledged < self._packet:
                await asyncio.sleep(0.01)

    def be_silent(self) -> None:
        """Say nothing more, and stay connected."""
        for task in self._tasks[1:]:
            task.cancel()
        del self._tasks[1:]

    async def leave(self) -> None:
        """Leave in order: say so, and disconnect without a will."""
        self.say("leave")
        assert self._writer is not None
        self._writer.write(_packet(0xE0, b""))
        await self._writer.drain()
        # The broker closes: a socket that is closed here while an answer is under way makes it a broken connection.
        await asyncio.wait(self._tasks[:1], timeout=30)
        self.crash(abruptly=False)

    def crash(self, *, abruptly: bool = True) -> None:
        """Die: the connection breaks, and the broker says the will."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if self._writer is not None:
            transport = self._writer.transport
            transport.abort() if abruptly else transport.close()
        self._writer = None

    @property
    def connected(self) -> bool:
        """Whether its connection lives."""
        return self._writer is not None and not self._writer.is_closing()

    async def _beat(self) -> None:
        self._beat_at = time.monotonic()
        while True:
            await asyncio.sleep(self.interval_s)
            self.say("beat")
            now = time.monotonic()
            self._pause_s, self._beat_at = max(self._pause_s, now - self._beat_at), now

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, body = await _read(reader)
                if kind & 0xF0 == 0x30:
                    self._heard(kind, body)
                self._acknowledged += kind == 0x40
        if self._writer is not None:
            self._writer.close()

    def _heard(self, kind: int, body: bytes) -> None:
        topic_end = 2 + int.from_bytes(body[:2], "big")
        qos = kind >> 1 & 3
        at = topic_end + (2 if qos else 0)
        if qos and self._writer is not None:
            self._writer.write(_packet(0x40, body[topic_end:at]))
        told = body[at + 1 + body[at] :]
        if not body[2:topic_end].endswith(b"/command"):
            self.raw.append(told)
            return
        payload = json.loads(told)
        self.commands.append(payload)
        if self.answers:
            self.say("reply", id=payload["id"], outcome="received")
            self.say("reply", id=payload["id"], outcome="done", result={"ok": True})


class Watcher:
    """All that is told on a topic of devices, by key, from when it began to look."""

    def __init__(self, bootstrap_servers: str, *topics: str) -> None:
        self.told: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.appended: dict[str, list[float]] = defaultdict(list)
        self.ids: dict[str, list[str]] = defaultdict(list)
        self._consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=bootstrap_servers, isolation_level="read_committed", auto_offset_reset="latest"
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await self._consumer.stop()

    def story(self, key: str) -> list[tuple[str, str]]:
        """Return status and cause of each change of a device."""
        return [(each["status"], each["cause"]) for each in self.told[key]]

    async def until(self, condition: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return once something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, dict(list(self.told.items())[:5])
            await asyncio.sleep(0.05)

    async def _look(self) -> None:
        async for record in self._consumer:
            key = record.key.decode()
            self.told[key].append(json.loads(record.value))
            self.appended[key].append(record.timestamp / 1000)
            self.ids[key].append(dict(record.headers).get("ce_id", b"").decode())


async def command(bootstrap_servers: str, device: Device, name: str, id_: str, **facts: Any) -> None:
    """Ask a device for something."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, partitioner=partitioner) as producer:
        body = {"tenant_id": device.tenant, "device_id": device.name, **facts}
        headers = [("ce_type", f"callout.device.{name}.v1".encode()), ("ce_id", id_.encode())]
        await producer.send_and_wait(
            "device.commands.v1", json.dumps(body).encode(), key=device.key.encode(), headers=headers
        )


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        head += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + head + body


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return kind, await reader.readexactly(length)
