"""Intake's clock: which keys time has something to do for, and the wake that is sent to them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from shared.contracts.catalogue import INTAKE_TIMERS
from shared.contracts.envelope import Message, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.intake import WAKE
from shared.timers import Due

SOURCE: Final = "/callout/intake"


def wake(found: Mapping[str, Any], now: datetime) -> Message:
    """Return the wake of a key; one that is sent twice finds nothing left to do."""
    tenant_id, dedup_key, due_at = found["tenant_id"], found["dedup_key"], found["wake_at"]
    return message(
        INTAKE_TIMERS,
        type_=WAKE,
        id_=derived_id("wake", tenant_id, dedup_key, rfc3339(due_at), rfc3339(now)),
        source=SOURCE,
        time=now,
        value=orjson.dumps({"tenant_id": tenant_id, "dedup_key": dedup_key, "due_at": rfc3339(due_at)}),
        key=f"{tenant_id}/{dedup_key}",
        tenant=tenant_id,
    )


KEYS_DUE: Final = Due(
    conditions=lambda now: {"wake_at": {"$lte": now}}, sort="wake_at", fields=("tenant_id", "dedup_key"), wake=wake
)
