"""First contacts: whoever speaks is known from then on, with what its birth says of itself."""

from collections import OrderedDict
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import ValidationError

from services.edge_adapter.domain.topics import Address
from shared.contracts.catalogue import DEVICE_REGISTRATIONS
from shared.contracts.devices import DeviceFacts, registration_type
from shared.contracts.envelope import Message, encode, message
from shared.contracts.ids import fresh_id

SOURCE: Final = "/callout/edge_adapter"
REGISTER: Final = registration_type("register")
BIRTH: Final = "birth"
REMEMBERED: Final = 100_000


class Contacts:
    """Asks the registry to know each device, once for each process and each thing it says of itself."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, bytes] = OrderedDict()

    def meet(self, address: Address, payload: bytes, at: datetime) -> Message | None:
        """Return what the registry is to be told because of a message; mostly nothing."""
        if address.by_code:
            return None
        told = self._told.get(address.key)
        if told is not None and address.word != BIRTH:
            return None
        facts = _facts(payload) if address.word == BIRTH else told or b"{}"
        if facts == told:
            return None
        self._told[address.key] = facts
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return _register(address, orjson.loads(facts), at)


def _facts(payload: bytes) -> bytes:
    """Return what a birth says of its device under `device`; nothing where that makes no sense."""
    try:
        said = orjson.loads(payload).get("device")
        facts = DeviceFacts.model_validate_json(orjson.dumps(said)).model_dump(mode="json", exclude_none=True)
    except (orjson.JSONDecodeError, AttributeError, ValidationError):
        return b"{}"
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)


def _register(address: Address, facts: dict[str, Any], at: datetime) -> Message:
    data = {"tenant_id": address.tenant_id, "device_id": address.device_id, "facts": facts, "reported": True}
    return message(
        DEVICE_REGISTRATIONS,
        type_=REGISTER,
        id_=fresh_id(),
        source=SOURCE,
        time=at,
        value=encode(data),
        key=address.key,
        tenant=address.tenant_id,
    )
