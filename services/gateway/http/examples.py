"""Examples of the API's description."""

from collections.abc import Mapping
from typing import Any, Final

AT: Final = "2026-03-02T10:15:00.000Z"
CASE_ID: Final = "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11"
NOTE_ID: Final = "b1b0a5a4-7f25-5b3c-9f26-0d8c5a6f1e21"
FILE_ID: Final = "4c1c7e0e-7a36-4d4b-9d9c-2f6a1f0f7c55"
ACTOR: Final = {"id": "ann", "role": "agent", "tenant_id": "acme"}
STATE: Final[Mapping[str, Any]] = {
    "id": CASE_ID,
    "number": "10000001",
    "tenant_id": "acme",
    "visibility": "internal",
    "state": "NEW",
    "title": "Spindle over temperature",
    "case_type": "technical",
    "priority": "medium",
    "severity": "major",
    "device_id": "press-07",
    "origin": "agent",
    "channel": "api",
    "contacts": [],
    "cc": [],
    "assignees": [],
    "teams": [],
    "watchers": [],
    "tags": [],
    "links": [],
    "status_history": [{"state": "NEW", "at": AT}],
    "reopen_count": 0,
    "created_at": AT,
    "created_by": ACTOR,
    "updated_at": AT,
    "updated_by": ACTOR,
    "version": 1,
    "seq": 1,
}
CASE: Final[Mapping[str, Any]] = {
    **STATE,
    "flags": {"modifiable": True, "cancellable": True, "reopen": False, "respond": False},
    "columns": {"customer": None, "service_organisation": "acme", "remote_access": "unavailable"},
}
DEVICE: Final[Mapping[str, Any]] = {
    "tenant_id": "acme",
    "device_id": "press-07",
    "state": "registered",
    "version": 2,
    "registered_at": AT,
    "updated_at": AT,
    "serial": "SN-1",
    "labels": {"hall": "3"},
    "status": "online",
    "presence": {
        "status": "online",
        "since": AT,
        "last_seen": AT,
        "cause": "birth",
        "epoch": 1772446500000,
        "boot": 1772440000000,
        "unstable": False,
        "interval_s": 30.0,
        "change": 4,
        "at": AT,
    },
}
EVENT: Final[Mapping[str, Any]] = {
    "case_id": CASE_ID,
    "number": "10000001",
    "seq": 1,
    "at": AT,
    "actor": ACTOR,
    "cause": {
        "id": "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "type": "callout.case.create.v1",
        "topic": "case.commands.v1",
        "partition": 3,
        "offset": 41,
    },
    "change": {"state": "NEW", "title": "Spindle over temperature"},
    "case": STATE,
}
#: What each command can be sent with.
ARGUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
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
    "update": {"fields": {"description": "Hot since Monday.", "part_model": None}},
    "tag": {"tags": ["spindle", "night"]},
    "untag": {"tags": ["night"]},
    "watch": {},
    "unwatch": {"user": "erin"},
    "link": {"kind": "work_order", "id": "WO-4711"},
    "unlink": {"kind": "work_order", "id": "WO-4711"},
    "merge": {"into": "5f8b9f0a-2f9e-5d33-8b0f-1c2d3e4f5a6b"},
    "unmerge": {},
    "add_note": {"text": "On my way.", "visibility": "internal", "mentions": ["erin"]},
    "edit_note": {"note_id": NOTE_ID, "text": "On my way, by noon."},
    "delete_note": {"note_id": NOTE_ID},
    "attach": {"attachment_id": FILE_ID, "name": "spindle.jpg"},
    "detach": {"attachment_id": FILE_ID},
    "share": {"counterpart_tenant_id": "maker"},
    "delete": {},
}
