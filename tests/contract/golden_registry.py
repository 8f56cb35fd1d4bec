"""An example of each word to and of the registry of devices."""

from collections.abc import Iterator
from typing import Any

from shared.contracts import catalogue, devices
from shared.contracts.catalogue import Topic
from tests.builders import AT

LATER = "2026-06-02T10:15:00.000Z"
HASH = "$7$101$" + "c2FsdHNhbHRzYWx0" + "$" + "aGFz" * 21 + "aA=="
WHO: dict[str, Any] = {"tenant_id": "acme", "device_id": "press-07"}
ANN = {"id": "ann", "role": "technician", "tenant_id": "acme"}
MACHINE = {"id": "line-2", "serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"}
TUNNEL = {
    "name": "plc",
    "machine_id": "line-2",
    "kind": "tunnel",
    "protocol": "s7",
    "host": "192.168.7.10",
    "port": 102,
}
FOLDER = {"name": "logs", "machine_id": "line-2", "kind": "file", "path": "/var/log/press", "direction": "out"}
FACTS: dict[str, Any] = {
    "name": "Press 7",
    "serial": "ED-7",
    "brand": "B",
    "device_type": "gateway",
    "firmware": "1.4.2",
    "machines": [MACHINE],
    "endpoints": [TUNNEL, {**FOLDER, "quota_bytes": 1_000_000_000}],
    "labels": {"hall": "3"},
}
REGISTRATIONS: dict[str, dict[str, Any]] = {
    "register": {**WHO, "actor": ANN, "facts": FACTS, "clear": ["firmware"], "reported": False},
    "grant": {**WHO, "secret": HASH},
    "invite": {**WHO, "secret": HASH, "expires_at": LATER},
    "certify": {
        **WHO,
        "serial": "4f1d09",
        "key_fingerprint": "3f" * 32,
        "not_after": LATER,
        "by_code": True,
    },
    "revoke": {**WHO, "serial": "4f1d09", "token": True},
    "decommission": {**WHO, "actor": ANN, "reason": "scrapped"},
}
CERTIFICATES = [
    {"serial": "4f1d09", "not_after": LATER, "issued_at": AT, "revoked_at": AT},
    {"serial": "4f1d0a", "not_after": LATER, "issued_at": AT},
]
DEVICE: dict[str, Any] = {
    **WHO,
    "version": 4,
    "state": "registered",
    "registered_at": AT,
    "updated_at": AT,
    **FACTS,
    "certificates": CERTIFICATES,
    "token": True,
    "invited_until": LATER,
}


def registry_examples() -> Iterator[tuple[Topic, str, str, str, dict[str, Any], dict[str, str]]]:
    """Yield a message of each type, as `examples` does."""
    key, tenant = "acme/press-07", {"ce_tenant": "acme"}
    for name, body in REGISTRATIONS.items():
        type_ = devices.registration_type(name)
        yield catalogue.DEVICE_REGISTRATIONS, type_, type_, key, body, tenant
    yield catalogue.DEVICE_REGISTRY, devices.REGISTERED, devices.REGISTERED, key, DEVICE, tenant
