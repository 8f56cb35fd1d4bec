"""What messages of cases look like on the wire: a state, the change of every event, a full creation."""

from typing import Any

from tests.builders import AT, CASE_ID, COMMAND_ID, FILE_ID, NOTE_ID, OTHER_ID

SYSTEM = {"id": "intake", "role": "system", "tenant_id": "acme"}
ANN = {"id": "ann", "role": "agent", "tenant_id": "acme"}
LATER = "2026-03-02T10:20:00.000Z"
CASE: dict[str, Any] = {
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
    "machine": {"serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"},
    "occurred_at": AT,
    "origin": "device",
    "channel": "device",
    "assignees": [],
    "tags": [],
    "links": [],
    "signal": {
        "dedup_key": "press-07:E417",
        "count": 1,
        "first_at": AT,
        "last_at": AT,
        "condition": "active",
        "flapping": False,
        "raw_severity": "Urgent",
    },
    "status_history": [{"state": "NEW", "at": AT}],
    "reopen_count": 0,
    "created_at": AT,
    "created_by": SYSTEM,
    "updated_at": AT,
    "updated_by": SYSTEM,
    "version": 1,
    "seq": 1,
}
CHANGES: dict[str, dict[str, Any]] = {
    "created": {
        **{name: CASE[name] for name in ("state", "title", "severity", "device_id", "machine", "origin", "signal")},
        "raw": {"plant": "P1"},
        "measurements": {"temp_c": 91.4},
    },
    "occurred": {"signal": {"count": 4, "last_at": LATER}},
    "recurred": {"state": "IN_PROGRESS", "resolved_at": None, "signal": {"count": 2, "last_at": LATER}},
    "occurrences_returned": {"count": 2, "first_at": AT, "last_at": LATER},
    "condition_cleared": {"signal": {"condition": "cleared"}, "at": LATER},
    "flapping_changed": {"signal": {"flapping": True}, "summary": "7 flips in 30 minutes", "at": LATER},
    "assigned": {"assignees": ["ann"], "assignee": "me"},
    "unassigned": {"assignees": []},
    "started": {"state": "IN_PROGRESS", "assignees": ["ann"]},
    "resolved": {"state": "RESOLVED", "resolved_at": LATER, "resolution": {"final_solution": "bearing replaced"}},
    "closed": {"state": "CLOSED", "closed_at": LATER, "resolution": {"outcome": "repaired"}},
    "reopened": {"state": "IN_PROGRESS", "reopen_count": 1, "closed_at": None, "reason": "it is back"},
    "cancelled": {"state": "CANCELLED", "resolution": {"outcome": "rejected"}, "reason": "a test of the alarm"},
    "held": {"state": "ON_HOLD", "reason": "parts", "text": "The bearing comes on Monday."},
    "action_requested": {
        "state": "ACTION_REQUIRED",
        "note": {"id": NOTE_ID, "visibility": "external", "text": "Please send a photo of the spindle."},
    },
    "resumed": {"state": "IN_PROGRESS", "reason": "reply"},
    "requeued": {"state": "NEW", "assignees": [], "reason": "another team's machine"},
    "resolution_rejected": {"state": "IN_PROGRESS", "resolved_at": None, "reason": "it still smells"},
    "archived": {"state": "ARCHIVED"},
    "escalated": {"escalation": {"level": 1, "by": ANN, "at": LATER, "comment": "The whole line stands still."}},
    "deescalated": {"escalation": None},
    "close_requested": {"close_request": {"by": ANN, "at": LATER}},
    "shared": {"visibility": "shared", "counterpart_tenant_id": "maker"},
    "deleted": {"deleted_at": LATER},
    "updated": {
        "description": "Hot since Monday.",
        "part_model": None,
        "cc": ["erin@example.org"],
        "contacts": [{"type": "technical", "last_name": "Meyer", "details": [{"type": "phone", "value": "+49 30 1"}]}],
        "teams": ["night"],
        "details": {"documents": {"type": "DETAILED", "formats": ["PDF"]}},
        "classification": {"application": "MES"},
    },
    "linked": {
        "links": [{"kind": "child", "id": OTHER_ID, "levels": 1}],
        "link": {"kind": "child", "id": OTHER_ID, "levels": 1, "attempt": 3},
    },
    "unlinked": {
        "links": [],
        "link": {"kind": "parent", "id": OTHER_ID},
        "refused": {"code": "limit_exceeded", "message": "Parents and children make at most 3 levels."},
    },
    "merged": {
        "state": "CANCELLED",
        "resolution": {"outcome": "duplicate"},
        "links": [{"kind": "duplicate_of", "id": OTHER_ID}],
        "into": OTHER_ID,
        "before": {"state": "IN_PROGRESS"},
    },
    "unmerged": {"state": "IN_PROGRESS", "resolution": None, "links": [], "into": OTHER_ID},
    "ended_with_target": {"into": OTHER_ID, "at": LATER},
    "reopened_with_target": {"into": OTHER_ID},
    "tagged": {"tags": ["spindle", "night"]},
    "untagged": {"tags": ["spindle"]},
    "watched": {"watchers": ["ann"], "user": "ann"},
    "unwatched": {"watchers": [], "user": "erin"},
    "note_edited": {"note": {"id": NOTE_ID, "visibility": "external", "text": "On my way, by noon.", "revision": 1}},
    "note_deleted": {"note": {"id": NOTE_ID, "visibility": "external", "attachments": [{"id": FILE_ID}]}},
    "attached": {"attachment": {"id": FILE_ID, "visibility": "external", "note_id": NOTE_ID, "name": "spindle.jpg"}},
    "detached": {"attachment": {"id": FILE_ID, "visibility": "external", "note_id": NOTE_ID}},
    "note_added": {
        "note": {
            "id": NOTE_ID,
            "visibility": "external",
            "text": "Here it is.",
            "attachments": [{"id": FILE_ID, "name": "spindle.jpg"}],
        }
    },
}
#: Parts of a change that are no fields of the state.
ASIDE = {
    "raw",
    "measurements",
    "count",
    "first_at",
    "last_at",
    "at",
    "summary",
    "assignee",
    "reason",
    "text",
    "note",
    "attachment",
    "user",
    "link",
    "refused",
    "into",
    "before",
}
FULL_CREATE = {
    "case": {
        "title": "Spindle over temperature",
        "description": "It is hot.",
        "severity": "major",
        "origin": "device",
        "channel": "device",
        "device_id": "press-07",
        "machine": {"serial": "SN-1"},
        "occurred_at": AT,
        "tags": ["spindle"],
        "links": [{"kind": "recurrence_of", "id": CASE_ID}],
        "signal": {"dedup_key": "press-07:E417", "count": 1, "first_at": AT, "last_at": AT, "condition": "active"},
    },
    "raw": {"plant": "P1"},
    "measurements": {"temp_c": 91.4, "door_open": False},
}


def event(name: str) -> dict[str, Any]:
    """Return the body of an event."""
    change = CHANGES[name]
    seq, at, command_name = (1, AT, "create") if name == "created" else (4, LATER, "occur")
    after = {**CASE, **{key: value for key, value in change.items() if key not in ASIDE}, "updated_at": at}
    after |= {"signal": {**CASE["signal"], **change.get("signal", {})}, "version": seq, "seq": seq}
    cause = {"id": COMMAND_ID, "type": f"callout.case.{command_name}.v1", "topic": "case.commands.v1"}
    return {
        "case_id": CASE_ID,
        "number": "10000001",
        "seq": seq,
        "at": at,
        "actor": SYSTEM,
        "cause": {**cause, "partition": 3, "offset": 41},
        "change": change,
        "case": {key: value for key, value in after.items() if value is not None},
    }
