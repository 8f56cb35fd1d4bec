"""Identities: what the registry says of devices, written down for the MQTT broker to believe.

Every process looks after the same files, and writes only what differs: whoever is first does it, and what one that died
had not written is written by the next to look.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.edge_adapter import store
from services.edge_adapter.cutting import Cutting, cut_at
from services.edge_adapter.domain.registry import Device
from services.edge_adapter.domain.topics import ENROLL, SPARKPLUG_ROOT
from shared.authority import Authority, listed_serials, write_private
from shared.contracts.catalogue import DEVICE_REGISTRY
from shared.errors import TransientError
from shared.kafka import client_settings
from shared.storage import Documents

log = structlog.get_logger()
POLL_MS: Final = 200
WHOLE_SECONDS: Final = 60
WRITE_SECONDS: Final = 2
PAUSE_SECONDS: Final = 1.0
ASSIGNMENT_SECONDS: Final = 0.02


class Identities:
    """Keeps the broker's passwords, access list and list of revoked certificates as the registry says."""

    hears = (DEVICE_REGISTRY,)

    def __init__(
        self,
        bootstrap_servers: str,
        registry: Documents,
        folder: Path,
        cutting: Cutting,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._bootstrap_servers = bootstrap_servers
        self._registry = registry
        self._folder = folder
        self._cutting = cutting
        self._authority = Authority(folder)
        self._devices: dict[str, Device] = {}
        self._whole_at = self._written_at = float("-inf")
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow the registry."""
        consumer = AIOKafkaConsumer(
            DEVICE_REGISTRY.name,
            **client_settings(self._bootstrap_servers),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
        )
        try:
            await consumer.start()
            while not consumer.assignment():  # noqa: ASYNC110 - the library tells nobody
                await asyncio.sleep(ASSIGNMENT_SECONDS)
            await consumer.seek_to_end()
            for partition in consumer.assignment():
                await consumer.position(partition)
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        self._task = asyncio.create_task(self._follow(consumer))

    async def stop(self) -> None:
        """Let it be."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._cutting.stop()
        if self._consumer is not None:
            await self._consumer.stop()
        self._task = self._consumer = None

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                heard = await consumer.getmany(timeout_ms=POLL_MS)
                keys = {record.key.decode() for records in heard.values() for record in records if record.key}
                await self._load(keys)
                if keys or time.monotonic() - self._written_at > WRITE_SECONDS:
                    await asyncio.to_thread(self._write)
                    now = self._clock()
                    for device in [device for device in self._devices.values() if cut_at(device, now)]:
                        self._cutting.cut(device, now)
            except (KafkaError, TransientError, OSError) as error:
                log.warning("identities_not_followed", reason=type(error).__name__)
                self._whole_at = float("-inf")  # something may have been missed
                await asyncio.sleep(PAUSE_SECONDS)

    async def _load(self, keys: Iterable[str]) -> None:
        if time.monotonic() - self._whole_at > WHOLE_SECONDS:
            found = await self._registry.query({})
            self._devices = {}
            self._whole_at = time.monotonic()
        else:
            found = await self._registry.find(sorted(keys))
        self._devices |= {document["_id"]: store.from_document(document) for document in found}

    def _write(self) -> None:
        self._written_at = time.monotonic()
        now = self._clock()
        devices = list(self._devices.values())
        # Passwords last: when they are read again, so is the rest.
        file = self._folder / "crl.pem"
        revoked = revocations(devices, now)
        if {serial for serial, _ in revoked} != listed_serials(file):
            write_private(file, self._authority.revocations(revoked, now=now).encode())
            log.info("revoked_certificates_listed", number=len(revoked))
        access = self._folder / "access"
        if access.exists():
            _write_if_new(self._folder / "acl", access.read_text() + "".join(access_of_nodes(devices)))
        accounts = (self._folder / "accounts").read_text()
        cuts = {_name(device): self._cutting.password(device, now) for device in devices if cut_at(device, now)}
        _write_if_new(self._folder / "passwords", accounts + "".join(passwords(devices, now, cuts)))


def passwords(devices: Iterable[Device], now: datetime, cuts: Mapping[str, str | None]) -> list[str]:
    """Return a line for each token and one-time code that is good now; `cuts` are the adapters' own, instead."""
    lines = []
    for device in devices:
        name = _name(device)
        token = cuts.get(name) or device.token
        if token is not None:
            lines.append(f"{name}:{token}\n")
        invitation = device.invitation
        if invitation is not None and invitation.expires_at > now:
            lines.append(f"{ENROLL}/{name}:{invitation.secret}\n")
    return sorted(lines)


def access_of_nodes(devices: Iterable[Device]) -> list[str]:
    """Return what each device that can be let in may say and hear as a Sparkplug B edge node: of itself alone."""
    lines = []
    for device in devices:
        if device.token is None and not device.certificates:
            continue
        group, node = device.tenant_id, device.device_id
        lines.append(
            f"user {group}/{node}\n"
            f"topic write {SPARKPLUG_ROOT}/{group}/+/{node}/#\n"
            f"topic read {SPARKPLUG_ROOT}/STATE/+\n"
            f"topic read {SPARKPLUG_ROOT}/{group}/NCMD/{node}\n"
            f"topic read {SPARKPLUG_ROOT}/{group}/DCMD/{node}/#\n"
        )
    return sorted(lines)


def revocations(devices: Iterable[Device], now: datetime) -> Sequence[tuple[str, datetime]]:
    """Return serial and time of each revoked certificate that would be good otherwise."""
    return [
        (one.serial, one.revoked_at)
        for device in devices
        for one in device.certificates
        if one.revoked_at is not None and one.not_after > now
    ]


def _write_if_new(file: Path, text: str) -> None:
    known: Any = file.read_text() if file.exists() else None
    if known != text:
        write_private(file, text.encode())
        log.info("identities_written", file=file.name, lines=text.count("\n"))


def _name(device: Device) -> str:
    return f"{device.tenant_id}/{device.device_id}"
