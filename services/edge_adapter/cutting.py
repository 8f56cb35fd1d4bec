"""Cutting: who may come in no longer is out at once, with whatever the MQTT broker kept for it.

The broker looks at certificates only when a connection begins. So for a moment the adapters alone have a password for
that user, take its session over, and end it.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.edge_adapter.domain.registry import Device
from services.edge_adapter.mqtt_client import Login, take_over
from shared.device_secrets import hash_of

log = structlog.get_logger()
CUT_FOR: Final = timedelta(seconds=30)
AGAIN_SECONDS: Final = 0.5


class Cutting:
    """Ends sessions of devices whose certificate or token was taken away just now."""

    def __init__(self, login: Login, *, mine: Callable[[str], bool], forget: Callable[[Device], None]) -> None:
        self._login = login
        self._mine = mine
        self._forget = forget
        self._done: dict[str, datetime] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def password(self, device: Device, now: datetime) -> str | None:
        """Return the hash of our own password for a device that is to be cut; every adapter has the same."""
        return hash_of(self._secret(_name(device)), salt=self._salt(device)) if cut_at(device, now) else None

    def cut(self, device: Device, now: datetime) -> None:
        """Begin to cut a device, once for each time that it is to be; returns at once."""
        at, name = cut_at(device, now), _name(device)
        if at is None or self._done.get(name) == at or not self._mine(name):
            return
        self._done[name] = at
        task = asyncio.create_task(self._cut(device, at + CUT_FOR - now))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Leave off."""
        for task in self._tasks:
            task.cancel()

    async def _cut(self, device: Device, time_left: timedelta) -> None:
        login = replace(self._login, username=_name(device), password=self._secret(_name(device)))
        try:
            async with asyncio.timeout(time_left.total_seconds()):
                while not await asyncio.to_thread(take_over, login):  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(AGAIN_SECONDS)
        except TimeoutError:
            log.warning("device_not_cut", device=_name(device))
        else:
            log.info("device_cut", device=_name(device))
        self._forget(device)

    def _secret(self, name: str) -> str:
        return hmac.new(self._login.password.encode(), f"cut|{name}".encode(), hashlib.sha256).hexdigest()

    def _salt(self, device: Device) -> bytes:
        return hashlib.sha256(self._secret(f"salt|{_name(device)}").encode()).digest()[:12]


def cut_at(device: Device, now: datetime) -> datetime | None:
    """Return when something that a connection may rest on was taken away, if that was just now."""
    taken = [one.revoked_at for one in device.certificates if one.revoked_at is not None]
    if device.decommissioned_at is not None:
        taken.append(device.decommissioned_at)
    latest = max(taken, default=None)
    return latest if latest is not None and now - latest < CUT_FOR else None


def _name(device: Device) -> str:
    return f"{device.tenant_id}/{device.device_id}"
