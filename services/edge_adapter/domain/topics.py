"""The topic tree of the MQTT door: who speaks to whom about what is said by the topic alone."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from shared.contracts.limits import DEVICE_PATTERN, TENANT_PATTERN

ROOT: Final = "callout/v1"
SIGNAL, CLEAR, JOURNAL, CSR = "signal", "clear", "journal", "csr"
BIRTH, BEAT, LEAVE, WILL, REPLY = "birth", "beat", "leave", "will", "reply"
#: What devices say, each on a topic of its own.
UP: Final = (SIGNAL, CLEAR, JOURNAL, CSR, BIRTH, BEAT, LEAVE, WILL, REPLY)
RECEIPT, CERTIFICATE, COMMAND = "receipt", "certificate", "command"
#: Somebody who has nothing but a one-time code speaks below this.
ENROLL: Final = "enroll"
SHARE: Final = "callout"
#: Sparkplug B: the group is the tenant, the edge node the device; a device behind it is `<node>.<device>`.
SPARKPLUG: Final = "sparkplug"
SPARKPLUG_ROOT: Final = "spBv1.0"
SPARKPLUG_KINDS: Final = ("NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA")
_TENANT: Final = re.compile(TENANT_PATTERN)
_DEVICE: Final = re.compile(DEVICE_PATTERN)


class Address(NamedTuple):
    """Who speaks, and about what; `by_code`: it was let in by a one-time code alone."""

    tenant_id: str
    device_id: str
    word: str
    by_code: bool = False

    @property
    def key(self) -> str:
        """The key of the device's records."""
        return f"{self.tenant_id}/{self.device_id}"


@lru_cache(maxsize=65_536)
def address_of(topic: str) -> Address | None:
    """Return who speaks on a topic; nothing for a topic that is none of ours."""
    parts = topic.split("/")
    if parts[0] == SPARKPLUG_ROOT:
        return _sparkplug_address(parts)
    by_code = len(parts) == 6 and parts[2] == ENROLL
    if by_code:
        del parts[2]
    if len(parts) != 5 or parts[:2] != ["callout", "v1"]:
        return None
    _, _, tenant_id, device_id, word = parts
    if _TENANT.fullmatch(tenant_id) is None or _DEVICE.fullmatch(device_id) is None or (by_code and word != CSR):
        return None
    return Address(tenant_id, device_id, word, by_code)


def _sparkplug_address(parts: list[str]) -> Address | None:
    if len(parts) not in {4, 5} or parts[2] not in SPARKPLUG_KINDS or (parts[2][0] == "D") != (len(parts) == 5):
        return None
    tenant_id, device_id = parts[1], ".".join(parts[3:])
    names = (parts[3], device_id)
    if _TENANT.fullmatch(tenant_id) is None or not all(_DEVICE.fullmatch(name) for name in names):
        return None
    return Address(tenant_id, device_id, SPARKPLUG)


def down(tenant_id: str, device_id: str, word: str, *, by_code: bool = False) -> str:
    """Return the topic on which a device is told something."""
    return f"{ROOT}/{ENROLL + '/' if by_code else ''}{tenant_id}/{device_id}/{word}"


def filters(words: tuple[str, ...], *, shared: bool) -> list[str]:
    """Return what the adapters subscribe to, together or each for itself."""
    found = [f"{ROOT}/+/+/{word}" for word in words if word != SPARKPLUG]
    if SPARKPLUG in words:
        ends = [f"{kind}/+" if kind[0] == "N" else f"{kind}/+/+" for kind in SPARKPLUG_KINDS]
        found += [f"{SPARKPLUG_ROOT}/+/{end}" for end in ends]
    if CSR in words:
        found.append(f"{ROOT}/{ENROLL}/+/+/{CSR}")
    return [f"$share/{SHARE}/{each}" for each in found] if shared else found
