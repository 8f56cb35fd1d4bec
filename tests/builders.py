"""Messages that are valid unless a test says otherwise: one keyword to differ."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.contracts import catalogue, signals
from shared.contracts.commands import command_type

CASE_ID = "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11"
COMMAND_ID = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
OTHER_ID = "5f8b9f0a-2f9e-5d33-8b0f-1c2d3e4f5a6b"
NOTE_ID = "b1b0a5a4-7f25-5b3c-9f26-0d8c5a6f1e21"
FILE_ID = "4c1c7e0e-7a36-4d4b-9d9c-2f6a1f0f7c55"
AT = "2026-03-02T10:15:00.000Z"
APPENDED_MS = 1_772_446_500_250
LEFT_OUT = object()
STRUCTURED = (("content-type", b"application/cloudevents+json; charset=utf-8"),)

ARGUMENTS: dict[str, dict[str, Any]] = {
    "create": {"case": {"title": "Spindle over temperature"}},
    "occur": {"count": 3, "last_at": AT},
    "clear": {"at": AT},
    "flag_flapping": {"flapping": True, "summary": "7 flips in 30 minutes"},
    "assign": {"assignee": "me"},
    "unassign": {},
    "start": {},
    "hold": {"reason": "parts", "text": "The bearing comes on Monday."},
    "request_action": {"text": "Please send a photo of the spindle."},
    "resume": {},
    "reply": {"text": "Here it is.", "attachments": [{"id": FILE_ID, "name": "spindle.jpg"}]},
    "requeue": {"reason": "another team's machine"},
    "resolve": {"final_solution": "bearing replaced"},
    "reject_resolution": {"reason": "it still smells"},
    "close": {"outcome": "repaired"},
    "reopen": {"reason": "it is back"},
    "cancel": {"reason": "a test of the alarm"},
    "archive": {},
    "escalate": {"comment": "The whole line stands still."},
    "deescalate": {},
    "request_close": {},
    "update": {"fields": {"description": "Hot since Monday.", "part_model": None, "cc": ["erin@example.org"]}},
    "link": {"kind": "child", "id": OTHER_ID, "attempt": 3, "path": [OTHER_ID], "levels": 1},
    "unlink": {"kind": "work_order", "id": "WO-1"},
    "merge": {"into": OTHER_ID},
    "unmerge": {},
    "refuse_link": {
        "kind": "duplicate_of",
        "id": OTHER_ID,
        "attempt": 3,
        "code": "invalid_transition",
        "message": "The other case is not open; it takes no further cases in.",
    },
    "end_with_target": {"id": OTHER_ID, "attempt": 3, "at": AT, "archived": False},
    "reopen_with_target": {"id": OTHER_ID, "attempt": 3},
    "tag": {"tags": ["spindle", "night"]},
    "untag": {"tags": ["night"]},
    "watch": {},
    "unwatch": {"user": "erin"},
    "add_note": {
        "text": "On my way.",
        "visibility": "internal",
        "parent_note_id": NOTE_ID,
        "attachments": [{"id": FILE_ID, "name": "spindle.jpg"}],
        "mentions": ["erin"],
    },
    "edit_note": {"note_id": NOTE_ID, "text": "On my way, by noon."},
    "delete_note": {"note_id": NOTE_ID},
    "attach": {"attachment_id": FILE_ID, "name": "spindle.jpg", "note_id": NOTE_ID},
    "detach": {"attachment_id": FILE_ID},
    "share": {"counterpart_tenant_id": "maker"},
    "delete": {},
    "wake": {"due_at": AT},
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as the broker hands it over."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, Any]] = ()
    partition: int = 3
    offset: int = 41
    timestamp: int = APPENDED_MS


def signal(**fields: Any) -> dict[str, Any]:
    """Return the data of a raised signal; `LEFT_OUT` leaves a field out."""
    data = {"tenant_id": "acme", "device_id": "press-07", "fault": "E417", **fields}
    return {name: value for name, value in data.items() if value is not LEFT_OUT}


def command(name: str, /, **fields: Any) -> dict[str, Any]:
    """Return the data of a command with the least arguments it needs; `LEFT_OUT` leaves a field out."""
    data = {
        "case_id": CASE_ID,
        "tenant_id": "acme",
        "actor": {"id": "ann", "role": "agent", "tenant_id": "acme"},
        **ARGUMENTS[name],
        **fields,
    }
    return {name: value for name, value in data.items() if value is not LEFT_OUT}


def encoded(data: Any) -> bytes | None:
    """Return data as bytes: bytes and nothing as they are, else as JSON."""
    return data if data is None or isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()


def headers(type_: str, **extra: str | bytes | None) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers of a CloudEvent in binary mode; nothing as a value leaves a header out."""
    named: dict[str, str | bytes | None] = {
        "ce_specversion": "1.0",
        "ce_id": COMMAND_ID,
        "ce_source": "/tests",
        "ce_type": type_,
        "ce_time": AT,
        "content-type": "application/json",
        **extra,
    }
    return tuple(
        (name, text.encode() if isinstance(text, str) else text) for name, text in named.items() if text is not None
    )


def signal_record(data: Any = LEFT_OUT, *, type_: str = signals.RAISED, **parts: Any) -> Sent:
    """Return a signal on its topic, in binary mode unless `headers` say otherwise."""
    value = encoded(signal() if data is LEFT_OUT else data)
    return Sent(catalogue.DEVICE_SIGNALS.name, value, **{"headers": headers(type_), **parts})


def command_record(name: str = "start", data: Any = LEFT_OUT, *, type_: str = "", **parts: Any) -> Sent:
    """Return a command on its topic, keyed by its case."""
    value = encoded(command(name) if data is LEFT_OUT else data)
    given = {"headers": headers(type_ or command_type(name)), "key": CASE_ID.encode(), **parts}
    return Sent(catalogue.CASE_COMMANDS.name, value, **given)


def wrapped(data: object, **attributes: object) -> bytes:
    """Return a signal as a CloudEvent in structured mode."""
    event = {"specversion": "1.0", "id": "e-1", "source": "/press", "type": signals.RAISED, "data": data, **attributes}
    return json.dumps({name: value for name, value in event.items() if value is not LEFT_OUT}).encode()
