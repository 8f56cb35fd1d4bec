"""Refused signals: counted by device and dedup key, and told in sums: a flood costs little and is not silent."""

from collections import OrderedDict
from datetime import datetime
from typing import Any, Final

import orjson

from services.edge_adapter.domain.receipts import RATE_LIMITED
from services.edge_adapter.domain.signals import Utterance
from services.edge_adapter.domain.topics import Address
from shared.contracts.catalogue import INTAKE_DECISIONS
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import fresh_id
from shared.contracts.intake import decision_type
from shared.contracts.limits import DEDUP_KEY_MAX, FAULT_MAX

SOURCE: Final = "/callout/edge_adapter"
#: Of one device in one sum; the rest is told under `<device>:*`.
KEYS_MAX: Final = 100
REST: Final = "*"


class Refusals:
    """Sums up what was refused since it was told last."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], dict[str, int]] = OrderedDict()

    def count(self, address: Address, spoken: Utterance) -> None:
        """Count one refused signal."""
        keys = self._counts.setdefault((address.tenant_id, address.device_id), {})
        key = _dedup_key(address.device_id, spoken.body)
        if key not in keys and len(keys) >= KEYS_MAX:
            key = f"{address.device_id}:{REST}"
        keys[key] = keys.get(key, 0) + 1

    def told(self, at: datetime) -> list[Message]:
        """Return the sums as decisions, and begin anew."""
        counts, self._counts = self._counts, OrderedDict()
        return [
            _decision(tenant_id, device_id, key, number, at)
            for (tenant_id, device_id), keys in counts.items()
            for key, number in keys.items()
        ]


def _dedup_key(device_id: str, body: bytes) -> str:
    """Return the dedup key that a signal would have had, as well as it can be told."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        return f"{device_id}:{REST}"
    own, fault = said.get("dedup_key"), said.get("fault")
    if isinstance(own, str) and 0 < len(own) <= DEDUP_KEY_MAX:
        return own
    return f"{device_id}:{fault if isinstance(fault, str) and 0 < len(fault) <= FAULT_MAX else REST}"


def _decision(tenant_id: str, device_id: str, dedup_key: str, number: int, at: datetime) -> Message:
    data: dict[str, Any] = {
        "tenant_id": tenant_id,
        "dedup_key": dedup_key,
        "device_id": device_id,
        "count": number,
        "at": rfc3339(at),
        "reason": RATE_LIMITED,
    }
    return message(
        INTAKE_DECISIONS,
        type_=decision_type("refused"),
        id_=fresh_id(),
        source=SOURCE,
        time=at,
        value=encode(data),
        key=f"{tenant_id}/{dedup_key}",
        tenant=tenant_id,
    )
