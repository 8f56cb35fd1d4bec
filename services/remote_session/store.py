"""How sessions are written down: a document per device, and one per case with what of it matters for sessions."""

from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from services.remote_session.domain.state import CaseFacts, Device, Held
from shared.contracts.presence import Presence
from shared.contracts.sessions import Consent, RemoteSession, SessionEndpoint
from shared.errors import UnknownSchema

SCHEMA: Final = 1
Document = dict[str, Any]
Known = Device | CaseFacts

_SESSION: Final = TypeAdapter(RemoteSession)
_CONSENTS: Final = TypeAdapter(tuple[Consent, ...])
_ENDPOINTS: Final = TypeAdapter(tuple[SessionEndpoint, ...])
_CASE: Final = ("id", "tenant_id", "counterpart_tenant_id", "shared", "open", "device_id", "assignees", "seq")


def device_key(tenant_id: str, device_id: str) -> str:
    """Return the id of the document of a device, which is its key on the topics."""
    return f"{tenant_id}/{device_id}"


def to_document(known: Known) -> Document:
    """Write a device, or a case, down."""
    return _case_to(known) if isinstance(known, CaseFacts) else _device_to(known)


def from_document(document: Document) -> Known:
    """Read a device, or a case, from its document.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"{document['_id']} has schema {document['schema']}, known is {SCHEMA}")
    return _case_from(document["case"]) if "case" in document else device_from(document)


def device_from(document: Document) -> Device:
    """Read a device from its document."""
    return Device(
        tenant_id=document["tenant_id"],
        device_id=document["device_id"],
        presence=Presence(document["presence"]),
        epoch=document["epoch"],
        boot=document.get("boot"),
        defined=_ENDPOINTS.validate_json(document["endpoints"]),
        registered=_ENDPOINTS.validate_json(document.get("registered", b"[]")),
        registry_version=document.get("registry_version", 0),
        session_key=document.get("session_key"),
        allowed=tuple(document["allowed"]) if "allowed" in document else None,
        consents=_CONSENTS.validate_json(document["consents"]),
        sessions=tuple(_held_from(each) for each in document["sessions"]),
        seq=document["seq"],
        audited=document["audited"],
        audit_hash=document["audit_hash"],
        recent=tuple(map(tuple, orjson.loads(document["recent"]))),
        due_at=document.get("due_at"),
    )


def _device_to(device: Device) -> Document:
    document: Document = {
        "schema": SCHEMA,
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "presence": device.presence.value,
        "epoch": device.epoch,
        "endpoints": _ENDPOINTS.dump_json(device.defined, exclude_none=True),
        "consents": _CONSENTS.dump_json(device.consents, exclude_none=True),
        "sessions": [_held_to(held) for held in device.sessions],
        "seq": device.seq,
        "audited": device.audited,
        "audit_hash": device.audit_hash,
        "recent": orjson.dumps(device.recent),
    }
    if device.boot is not None:
        document["boot"] = device.boot
    if device.session_key is not None:
        document["session_key"] = device.session_key
    if device.registry_version:
        registered = _ENDPOINTS.dump_json(device.registered, exclude_none=True)
        document |= {"registered": registered, "registry_version": device.registry_version}
    if device.allowed is not None:
        document["allowed"] = list(device.allowed)
    if device.due_at is not None:
        document["due_at"] = device.due_at
    if live := [held for held in device.sessions if held.session.ended_at is None]:
        document["staff"] = sorted({held.session.by.tenant_id for held in live})
    return document


def _held_to(held: Held) -> Document:
    document: Document = {
        "session": _SESSION.dump_json(held.session, exclude_none=True),
        "case": _case_fields(held.case),
        "resumes": held.resumes,
    }
    if held.token_hash is not None:
        document["token_hash"] = held.token_hash
    return document


def _held_from(document: Document) -> Held:
    return Held(
        session=_SESSION.validate_json(document["session"]),
        case=_case_from(document["case"]),
        token_hash=document.get("token_hash"),
        resumes=document["resumes"],
    )


def _case_to(case: CaseFacts) -> Document:
    return {"schema": SCHEMA, "case": _case_fields(case)}


def _case_fields(case: CaseFacts) -> Document:
    fields = {name: getattr(case, name) for name in _CASE}
    fields["assignees"] = list(case.assignees)
    return {name: value for name, value in fields.items() if value is not None}


def _case_from(fields: Document) -> CaseFacts:
    known = {name: fields[name] for name in _CASE if name in fields}
    return CaseFacts(**(known | {"assignees": tuple(fields["assignees"])}))
