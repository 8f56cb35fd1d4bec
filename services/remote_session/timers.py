"""The clock of remote sessions: devices whose sessions are due, and those of people who are not what they were."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from services.remote_session.handlers import KINDS, system_of
from shared.contracts.catalogue import SESSION_COMMANDS
from shared.contracts.envelope import Message, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id, fresh_id
from shared.contracts.session_commands import session_command_type
from shared.storage import Documents
from shared.timers import Due

SOURCE: Final = "/callout/remote_session"
FIELDS: Final = ("tenant_id", "device_id")


def wake(found: Mapping[str, Any], now: datetime) -> Message:
    """Return the wake of a device."""
    tenant_id, key, due_at = found["tenant_id"], found["_id"], found.get("due_at")
    body = {"tenant_id": tenant_id, "device_id": found["device_id"], "actor": system_of(tenant_id)}
    if due_at is not None:
        body["due_at"] = rfc3339(due_at)
    return message(
        SESSION_COMMANDS,
        type_=session_command_type("wake"),
        id_=derived_id("wake", key, body["due_at"]) if due_at is not None else fresh_id(),
        source=SOURCE,
        time=now,
        value=orjson.dumps(body),
        key=key,
        tenant=tenant_id,
    )


DEVICES_DUE: Final = Due(conditions=lambda now: {"due_at": {"$lte": now}}, sort="due_at", fields=FIELDS, wake=wake)


class People:
    """Wakes the devices to which people of a tenant have sessions, once that tenant changed its people or settings.

    A wake that gets lost costs a minute: so often every live session is looked at anyway.
    """

    def __init__(self, devices: Documents) -> None:
        self._devices = devices
        self._changed: dict[str, None] = {}

    def heard(self, tenant_id: str, kind: str) -> None:
        """Note that a tenant changed something."""
        if kind in KINDS:
            self._changed[tenant_id] = None

    async def prepare(self) -> None:
        """Make sure that the devices are found by an index."""
        await self._devices.index("staff", sparse=True)

    async def find(self, now: datetime) -> tuple[list[Message], bool]:
        """Return wakes for the devices of tenants that changed something."""
        changed, self._changed = self._changed, {}
        found = [d for tenant_id in changed for d in await self._devices.query({"staff": tenant_id}, fields=FIELDS)]
        return [wake(each, now) for each in found], False
