"""What every route takes and tells, beside what its own signature says."""

from collections.abc import Mapping
from typing import Final

from services.gateway.http import session_routes
from services.gateway.http.arguments import SAID_ELSEWHERE
from services.gateway.http.examples import ARGUMENTS, CASE, DEVICE, EVENT
from services.gateway.http.file_routes import FILE_NAMES, FILE_ROUTES, FORM
from services.gateway.http.notice_routes import NOTICE_NAMES, NOTICES
from services.gateway.http.schemas import COUNT, REF, TEXT, Schema, arguments_name, obj, ref
from services.gateway.http.told import READING, SENDING, Told
from shared.contracts.commands import COMMANDS

EVERY: Final = ("unauthenticated", "forbidden", "rate_limited", "unavailable")
COMMANDING: Final = (
    *SENDING,
    *("invalid_command", "not_found", "deleted", "version_conflict", "idempotency_conflict"),
    *("invalid_transition", "duplicate", "already_escalated", "reopen_window_expired", "limit_exceeded"),
)
SESSIONS: Final = (
    *SENDING,
    *("invalid_command", "not_found", "invalid_transition", "case_not_shared", "case_not_open", "consent_missing"),
    *("device_offline", "not_in_scope", "endpoint_undefined", "target_denied", "session_limit", "override_invalid"),
    "limit_exceeded",
)


ETAG: Final = {"ETag": "The version, for If-Match"}
COUNTED: Final = obj(
    {"value": TEXT, "total": COUNT, "total_exact": {"type": "boolean", "description": "else there are more"}}
)
PAGE: Final = {"items": [CASE], "total": 1, "total_exact": True, "limit": 25}
ROUTES: Final[Mapping[tuple[str, str], Told]] = {
    ("get", "/cases"): Told(status=200, what="A page", problems=("invalid_request",), schema=ref("Page"), example=PAGE),
    ("post", "/cases"): Told(
        status=201,
        what="Created, and shown by every read",
        problems=COMMANDING,
        schema=ref("Case"),
        example=CASE,
        body=ref("NewCase"),
        body_example={"title": "Spindle over temperature", "severity": "major", "device_id": "press-07"},
        headers={**ETAG, "Location": "The case"},
        pending=True,
    ),
    ("post", "/cases/commands/{command}"): Told(
        status=207,
        what="An outcome for each case",
        problems=(*SENDING, "unknown_command"),
        schema=ref("Outcomes"),
        example={
            "items": [{"case": "10000001", "status": "accepted", "version": 2}],
            "accepted": 1,
            "refused": 0,
            "pending": 0,
        },
        body=ref("Bulk"),
        body_example={"cases": ["10000001"], "arguments": {"assignee": "me"}},
    ),
    ("get", "/cases/export.csv"): Told(
        status=200,
        what="CSV (RFC 4180), UTF-8",
        problems=("invalid_request",),
        schema={"type": "string"},
        example="number,title\r\n10000001,Spindle over temperature\r\n",
        media="text/csv",
    ),
    ("get", "/cases/counts"): Told(
        status=200,
        what="Each word of the grouping that the filters allow, in the order of its vocabulary",
        problems=("invalid_request",),
        schema=obj({"by": TEXT, "items": {"type": "array", "items": COUNTED}}),
        example={"by": "case_type", "items": [{"value": "damage", "total": 3, "total_exact": True}]},
    ),
    ("get", "/cases/{case}"): Told(
        status=200,
        what="The case; with `as_of` its state as it was told then, without flags",
        problems=(*READING, "deleted"),
        schema={"anyOf": [ref("Case"), ref("CaseState")]},
        example=CASE,
        headers=ETAG,
    ),
    ("get", "/cases/{case}/history"): Told(
        status=200,
        what="Events in order",
        problems=READING,
        schema=ref("History"),
        example={
            "items": [{"id": "e-1", "type": "callout.case.created.v1", "hash": None, "data": EVENT}],
            "limit": 100,
        },
    ),
    ("get", "/devices"): Told(
        status=200,
        what="A page, in the order of ids",
        problems=("invalid_request",),
        schema=ref("Devices"),
        example={"items": [DEVICE], "limit": 25},
    ),
    ("get", "/devices/{device}"): Told(
        status=200, what="The device", problems=READING, schema=ref("Device"), example=DEVICE
    ),
    ("get", "/cases/{case}/sessions"): Told(
        status=200,
        what="Sessions, newest first",
        problems=READING,
        schema=ref("Sessions"),
        example={"items": [session_routes.SESSION]},
    ),
    ("post", "/cases/{case}/sessions"): Told(
        status=201,
        what="Asked for; it waits for consent, or is offered to the device",
        problems=SESSIONS,
        schema=ref("Session"),
        example=session_routes.SESSION,
        body=ref("RequestSessionArguments"),
        body_example=session_routes.REQUEST,
        pending=True,
    ),
    ("get", "/cases/{case}/sessions/{session}"): Told(
        status=200, what="The session", problems=READING, schema=ref("Session"), example=session_routes.SESSION
    ),
    ("get", "/cases/{case}/sessions/{session}/history"): Told(
        status=200,
        what="Events in order",
        problems=READING,
        schema=ref("SessionHistory"),
        example={"items": []},
    ),
    ("post", "/cases/{case}/sessions/{session}/commands/{command}"): Told(
        status=200,
        what="Done, and shown by every read",
        problems=SESSIONS,
        schema=ref("Session"),
        example=session_routes.SESSION,
        body=ref("SessionCommandArguments"),
        body_example={},
        pending=True,
    ),
    ("get", "/cases/{case}/consents"): Told(
        status=200, what="Consents, newest first", problems=READING, schema=ref("Consents"), example={"items": []}
    ),
    ("post", "/cases/{case}/consents"): Told(
        status=201,
        what="Consented; what waits for it is offered to the device",
        problems=SESSIONS,
        schema=ref("Taken"),
        example={"accepted": True},
        body=ref("GrantConsentArguments"),
        body_example=session_routes.GRANT,
        pending=True,
    ),
    ("delete", "/cases/{case}/consents/{consent}"): Told(
        status=204, what="Taken back; what rested on it alone is cut off", problems=SESSIONS, pending=True
    ),
    ("get", "/cases/{case}/endpoints"): Told(
        status=200,
        what="What the machine can be reached at",
        problems=(*READING, "endpoint_undefined"),
        schema=ref("Endpoints"),
        example={"items": [session_routes.ENDPOINT]},
    ),
    ("put", "/devices/{device}/endpoints"): Told(
        status=200,
        what="Defined; sessions to what is no more are cut off",
        problems=(*SENDING, "invalid_command"),
        schema=ref("Taken"),
        example={"accepted": True},
        body=ref("DefineEndpointsArguments"),
        body_example={"endpoints": [session_routes.ENDPOINT]},
        pending=True,
    ),
    ("get", "/commands/{command_id}"): Told(
        status=200,
        what="What became of it, so far",
        problems=READING,
        schema=ref("Command"),
        example={"id": "7f673042-3c68-5043-863d-817bf919bdcc", "status": "pending"},
    ),
    ("get", "/events"): Told(
        status=200,
        what="Server-sent events: `id` is where to go on, `event` the name, `data` the event (of `position`: nothing)",
        problems=("invalid_request",),
        schema={"type": "string"},
        example='id: 0:42,1:17\nevent: created\ndata: {"id": "…", "type": "callout.case.created.v1", "data": {}}\n\n',
        media="text/event-stream",
    ),
    ("get", "/preferences/cases"): Told(
        status=200,
        what="One's choice",
        problems=(),
        schema=ref("Preferences"),
        example={"columns": ["number"], "filters": {}},
    ),
    ("put", "/preferences/cases"): Told(
        status=200,
        what="Kept",
        problems=SENDING,
        schema=ref("Preferences"),
        example={"columns": ["number", "title"], "filters": {"state_group": "open"}},
        body=ref("NewPreferences"),
        body_example={"columns": ["number", "title"], "filters": {"state_group": "open"}},
    ),
    ("delete", "/preferences/cases"): Told(
        status=200,
        what="The factory setting",
        problems=(),
        schema=ref("Preferences"),
        example={"columns": ["number"], "filters": {}},
    ),
    **NOTICES,
}


def told_of(method: str, path: str) -> Told:
    """Return what a route takes and tells."""
    if (known := ROUTES.get((method, path), FILE_ROUTES.get((method, path)))) is not None:
        return known
    name = "add_note" if path.endswith("/notes") else path.rpartition("/")[2]
    gone = name == "delete"
    return Told(
        status=204 if gone else 200,
        what="Deleted" if gone else "Accepted, and shown by every read",
        problems=COMMANDING,
        schema=None if gone else ref("Case"),
        example=None if gone else CASE,
        body=ref(arguments_name(name)),
        body_example=ARGUMENTS[name],
        headers=None if gone else ETAG,
        pending=True,
    )


def name_of(method: str, path: str) -> str:
    """Return the name of a route that is no command."""
    named: dict[tuple[str, str], str] = {
        ("get", "/cases"): "list_cases",
        ("post", "/cases"): "create_case",
        ("post", "/cases/commands/{command}"): "command_cases",
        ("get", "/cases/export.csv"): "export_cases",
        ("get", "/cases/counts"): "count_cases",
        ("get", "/cases/{case}"): "read_case",
        ("get", "/cases/{case}/history"): "read_history",
        ("post", "/cases/{case}/notes"): "add_note_to_case",
        ("get", "/commands/{command_id}"): "read_command",
        ("get", "/devices"): "list_devices",
        ("get", "/devices/{device}"): "read_device",
        ("get", "/events"): "follow_events",
        ("get", "/preferences/cases"): "read_preferences",
        ("put", "/preferences/cases"): "save_preferences",
        ("delete", "/preferences/cases"): "reset_preferences",
        **NOTICE_NAMES,
        **FILE_NAMES,
    }
    return session_routes.NAMES.get((method, path)) or named[method, path]


def needs_body(body: Schema) -> bool:
    """Tell whether a body may not be left out."""
    name = body.get("$ref", "").removeprefix(REF)
    if (
        name
        in {"Bulk", "NewCase", "ReadNotices", "FailedDeliveries", "RequestSessionArguments", "DefineEndpointsArguments"}
        or body is FORM
    ):
        return True
    by_name = {arguments_name(command): model for command, model in COMMANDS.items()}
    model = by_name.get(name)
    needed = {field for field, info in model.model_fields.items() if info.is_required()} if model else set()
    return bool(needed - SAID_ELSEWHERE)
