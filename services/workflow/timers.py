"""Workflow's clock: which cases time has something to do for, and which must be timed anew by changed settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from services.workflow.domain.tenant import TIMING, Tenant
from services.workflow.store import timed_key
from shared.contracts.catalogue import CASE_COMMANDS
from shared.contracts.commands import command_type
from shared.contracts.envelope import Message, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.words import Role
from shared.storage import Documents
from shared.tenancy import Tenancy
from shared.timers import Due, Wakes

SOURCE: Final = "/callout/workflow"
WAKE: Final = command_type("wake")
SWEPT_AT_ONCE: Final = 50


def wake(found: Mapping[str, Any], now: datetime) -> Message:
    """Return the wake of a case; its id is that of the moment, so that one sent twice is known."""
    due_at, tenant_id, case_id = found.get("due_at"), found["tenant_id"], found["_id"]
    body = {
        "case_id": case_id,
        "tenant_id": tenant_id,
        "actor": {"id": "workflow", "role": Role.SYSTEM.value, "tenant_id": tenant_id},
    }
    if due_at is not None:
        body["due_at"] = rfc3339(due_at)
    return message(
        CASE_COMMANDS,
        type_=WAKE,
        id_=derived_id("wake", case_id, body.get("due_at", found.get("timed"))),
        source=SOURCE,
        time=now,
        value=orjson.dumps(body),
        key=case_id,
        tenant=tenant_id,
        subject=case_id,
    )


CASES_DUE: Final = Due(
    conditions=lambda now: {"due_at": {"$lte": now}}, sort="due_at", fields=("tenant_id",), wake=wake
)


class Retiming:
    """Wakes the cases of tenants whose calendars, service levels or settings have changed since they were timed."""

    def __init__(self, cases: Documents) -> None:
        self._cases = cases
        self._tenancy: Tenancy[Tenant] | None = None
        self._changed: dict[str, None] = {}
        self._wakes: dict[str, tuple[datetime, Wakes]] = {}

    def follow(self, tenancy: Tenancy[Tenant]) -> None:
        """Say where changes can be looked up."""
        self._tenancy = tenancy

    def heard(self, tenant_id: str, kind: str) -> None:
        """Note that a tenant changed something."""
        if kind in TIMING:
            self._changed[tenant_id] = None

    async def prepare(self) -> None:
        """Make sure that cases timed by older settings are found by an index."""
        await self._cases.index("timed", sparse=True)

    async def find(self, now: datetime) -> tuple[list[Message], bool]:
        """Return wakes for the cases of some of the tenants; a tenant without such cases is done."""
        messages: list[Message] = []
        busy = len(self._changed) > SWEPT_AT_ONCE
        for tenant_id in list(self._changed)[:SWEPT_AT_ONCE]:
            del self._changed[tenant_id]
            wakes = self._wakes_of(tenant_id)
            found, more = ([], False) if wakes is None else await wakes.find(now)
            messages, busy = messages + found, busy or more or bool(found)
            if wakes is None or not (found or wakes.in_flight):
                self._wakes.pop(tenant_id, None)
            else:
                self._changed[tenant_id] = None  # at the end of the queue
        return messages, busy

    def _wakes_of(self, tenant_id: str) -> Wakes | None:
        changed_at = self._tenancy.changed_at(tenant_id, TIMING) if self._tenancy else None
        if changed_at is None:
            return None
        known_at, wakes = self._wakes.get(tenant_id, (None, None))
        if wakes is None or known_at != changed_at:
            wakes = Wakes(_timed_before(tenant_id, changed_at), self._cases)
            self._wakes[tenant_id] = (changed_at, wakes)
        return wakes


def _timed_before(tenant_id: str, changed_at: datetime) -> Due:
    older = {"$gte": timed_key(tenant_id, None), "$lt": timed_key(tenant_id, changed_at)}
    return Due(conditions=lambda _now: {"timed": older}, sort="timed", fields=("tenant_id",), wake=wake)
