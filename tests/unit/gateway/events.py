"""Case events as they lie on their topic, valid by default; one keyword to differ."""

import json
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from shared.contracts.catalogue import CASE_EVENTS
from shared.contracts.envelope import read
from shared.flow import Heard
from tests.builders import AT, LEFT_OUT, Sent, headers

ANN = {"id": "ann", "role": "agent", "tenant_id": "acme"}


def case_id(name: str) -> str:
    """Return the id of a case that a test calls by a name."""
    return str(uuid5(NAMESPACE_OID, name))


def state(name: str = "press", **fields: Any) -> dict[str, Any]:
    """Return the state of a case as events tell it; `LEFT_OUT` leaves a field out."""
    case = {
        "id": case_id(name),
        "number": "10000001",
        "tenant_id": "acme",
        "visibility": "internal",
        "state": "NEW",
        "title": "Spindle over temperature",
        "case_type": "technical",
        "priority": "medium",
        "severity": "major",
        "origin": "device",
        "channel": "device",
        "reopen_count": 0,
        "created_at": AT,
        "created_by": ANN,
        "updated_at": AT,
        "updated_by": ANN,
        "version": 1,
        "seq": 1,
        **fields,
    }
    return {key: value for key, value in case.items() if value is not LEFT_OUT}


def event(case: dict[str, Any], *, change: dict[str, Any] | None = None, cause: str = "c-1") -> dict[str, Any]:
    """Return the event that left a case in a state."""
    return {
        "case_id": case["id"],
        "number": case["number"],
        "seq": case["seq"],
        "at": case["updated_at"],
        "actor": ANN,
        "cause": {
            "id": cause,
            "type": "callout.case.start.v1",
            "topic": "case.commands.v1",
            "partition": 0,
            "offset": 1,
        },
        "change": change or {},
        "case": case,
    }


def record(body: dict[str, Any], *, type_: str = "callout.case.updated.v1", **parts: Any) -> Sent:
    """Return an event's record."""
    value = json.dumps(body, separators=(",", ":")).encode()
    named = headers(type_, ce_id=f"{body['case_id']}-{body['seq']}", ce_tenant=body["case"]["tenant_id"])
    return Sent(CASE_EVENTS.name, value, **{"key": body["case_id"].encode(), "headers": named, **parts})


def heard(body: dict[str, Any], **parts: Any) -> Heard:
    """Return an event as a projection hears it."""
    sent = record(body, **parts)
    incoming = read(CASE_EVENTS, sent)
    assert incoming is not None
    return Heard(sent, incoming)
