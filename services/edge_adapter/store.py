"""How a device is written down: `Device` <-> document, without I/O."""

from dataclasses import asdict
from typing import Any, Final

import orjson

from services.edge_adapter.domain.registry import Certificate, Device, Invitation
from shared.errors import UnknownSchema

SCHEMA: Final = 1
INSTANTS: Final = ("registered_at", "updated_at", "decommissioned_at")
PLAIN: Final = ("tenant_id", "device_id", "version", "state", "token")
#: Labels are outsiders' words: kept as JSON, for a name in a document must be ours.
OUTSIDERS: Final = ("said", "reported")

Document = dict[str, Any]


def document_id(tenant_id: str, device_id: str) -> str:
    """Return the id of a device's document."""
    return f"{tenant_id}/{device_id}"


def to_document(device: Device) -> Document:
    """Return the document of a device."""
    document: Document = {name: getattr(device, name) for name in (*PLAIN, *INSTANTS)}
    document |= {name: orjson.dumps(getattr(device, name)).decode() for name in OUTSIDERS}
    document["certificates"] = [asdict(one) for one in device.certificates]
    document["revoked"] = any(one.revoked_at for one in device.certificates)
    document["answers"] = [list(one) for one in device.answers]
    document["invitation"] = asdict(device.invitation) if device.invitation else None
    return {"schema": SCHEMA, **{name: value for name, value in document.items() if value is not None}}


def from_document(document: Document) -> Device:
    """Read a device from its document.

    Raises:
        UnknownSchema: a newer version wrote it.
    """
    if document.get("schema") != SCHEMA:
        raise UnknownSchema(f"a device of schema {document.get('schema')}")
    invitation = document.get("invitation")
    plain: dict[str, Any] = {name: document.get(name) for name in (*PLAIN, *INSTANTS)}
    plain |= {name: orjson.loads(document[name]) for name in OUTSIDERS}
    return Device(
        **plain,
        certificates=tuple(Certificate(**one) for one in document["certificates"]),
        answers=tuple((serial, code) for serial, code in document["answers"]),
        invitation=Invitation(**invitation) if invitation else None,
    )
