"""Examples of what remote sessions are told, and of what they tell."""

from typing import Any

from shared.contracts.session_commands import SESSION_COMMANDS
from shared.contracts.sessions import EVENTS
from tests.builders import AT, CASE_ID, COMMAND_ID

DEVICE_KEY = "acme/press-07"
SESSION_ID = "6a8f4f9e-70d5-5c0e-9a55-6d2a7c1b8e21"
TRANSFER_ID = "0d6a7a6c-97a4-5b84-8f0e-0a4c7d1e9f77"
FILE_ID = "01a53b8e-0c55-7d3e-8a8e-2f4c5d6e7f80"
CONSENT_ID = "d20a7a6c-97a4-5b84-8f0e-0a4c7d1e9f32"
LATER = "2026-03-02T12:15:00.000Z"
DEVICE = {"tenant_id": "acme", "device_id": "press-07"}
TINA = {"id": "tina", "role": "technician", "tenant_id": "maker"}
OMAR = {"id": "omar", "role": "operator", "tenant_id": "acme"}
SYSTEM = {"id": "remote_session", "role": "system", "tenant_id": "acme"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKc0 tina@maker"
SCOPE = {
    "endpoints": ["hmi"],
    "ports": [8443],
    "direction": "both",
    "persons": ["tina"],
    "starts_at": AT,
    "until": LATER,
    "hours": {"days": [1, 2, 3, 4, 5], "hours": ["08:00-17:00"], "timezone": "Europe/Berlin"},
}
ENDPOINTS = [
    {"name": "hmi", "kind": "tunnel", "protocol": "https", "host": "192.168.7.20", "port": 443},
    {
        "name": "logs",
        "kind": "file",
        "protocol": "sftp",
        "root": "/var/log/press",
        "direction": "out",
        "file_bytes_max": 104_857_600,
        "bytes_per_minute": 10_485_760,
        "overwrite": False,
    },
]
TERMINAL = {
    "id": "3f9a1c7e5b2d4806",
    "endpoint": "shell",
    "opened_at": AT,
    "closed_at": AT,
    "columns": 120,
    "rows": 40,
    "bytes_in": 312,
    "bytes_out": 48_213,
    "exit_status": 0,
    "recording": "2026-03-02T101500-3f9a1c7e5b2d4806.cast",
    "recording_bytes": 51_022,
    "recording_sha256": "5e" * 32,
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "request": {
        "kind": "tunnel",
        "services": [{"endpoint": "hmi", "local_port": 8443, "remote_port": 8443, "proxy": "proxy.maker.example:3128"}],
        "lifetime_minutes": 60,
        "token_hash": "5e" * 32,
        "public_key": KEY,
        "reason": "look at the spindle",
    },
    "grant": {"session_id": SESSION_ID, "scope": SCOPE, "signature": "eyJhbGciOiJFZERTQSJ9.eyJjYXNlIjoiMSJ9.c2ln"},
    "refuse": {"session_id": SESSION_ID, "reason": "not now"},
    "withdraw": {"consent_id": CONSENT_ID, "reason": "enough"},
    "activate": {"session_id": SESSION_ID, "token_hash": "5e" * 32},
    "deactivate": {"session_id": SESSION_ID},
    "close": {"session_id": SESSION_ID, "reason": "done"},
    "transfer": {"session_id": SESSION_ID, "direction": "in", "name": "up/plc.bin", "size": 5_120, "sha256": "5e" * 32},
    "verify_transfer": {"session_id": SESSION_ID, "transfer_id": TRANSFER_ID, "size": 5_120, "sha256": "5e" * 32},
    "report_stored": {"session_id": SESSION_ID, "attempt": 1, "transfer_id": TRANSFER_ID, "attachment_id": FILE_ID}
    | {"size": 5_120, "sha256": "5e" * 32},
    "report_terminal": {"session_id": SESSION_ID, "attempt": 1, "terminal": TERMINAL},
    "cancel_transfer": {"session_id": SESSION_ID, "transfer_id": TRANSFER_ID},
    "report_file": {"session_id": SESSION_ID, "attempt": 1, "direction": "in", "name": "up/plc.bin", "offset": 5_120}
    | {"size": 5_120, "sha256": "5e" * 32, "closed": True},
    "define": {"endpoints": ENDPOINTS, "allowed": ["192.168.7.0/24:443", "192.168.7.20:8000-9000"]},
    "answer": {"session_id": SESSION_ID, "attempt": 1, "accepted": False, "code": "target_denied", "reason": "no"},
    "report": {
        "session_id": SESSION_ID,
        "attempt": 1,
        "news": "progress",
        "bytes_in": 5_120,
        "bytes_out": 1_048_576,
        "active_at": AT,
    },
    "observe_case": {
        "case_id": CASE_ID,
        "case_tenant_id": "acme",
        "counterpart_tenant_id": "maker",
        "shared": True,
        "open": False,
        "case_device_id": "press-07",
        "assignees": ["tina"],
        "seq": 7,
    },
    "observe_presence": {"state": "online", "epoch": 12},
    "observe_registry": {"endpoints": [{**ENDPOINTS[0], "machine_id": "m-1"}], "version": 4},
    "wake": {"due_at": AT},
}
BY = dict.fromkeys(
    ("request", "activate", "deactivate", "close", "transfer", "verify_transfer", "cancel_transfer"), TINA
)
OWNERS = {"grant": OMAR, "refuse": OMAR, "withdraw": OMAR}
ABOUT_CASES = {*BY, *OWNERS, "observe_case"}


def session_command(name: str) -> dict[str, Any]:
    """Return the data of a command to sessions."""
    case = {"case_id": CASE_ID} if name in ABOUT_CASES else {}
    return {**DEVICE, "actor": (BY | OWNERS).get(name, SYSTEM), **case, **ARGUMENTS[name]}


SERVICE = {
    "endpoint": "hmi",
    "protocol": "https",
    "host": "192.168.7.20",
    "port": 8443,
    "local_port": 8443,
    "proxy": "proxy.maker.example:3128",
    "overridden": ["port"],
    "direction": "both",
    "overwrite": False,
}
SESSION: dict[str, Any] = {
    **DEVICE,
    "id": SESSION_ID,
    "case_id": CASE_ID,
    "kind": "tunnel",
    "state": "ACTIVE",
    "by": TINA,
    "services": [SERVICE],
    "public_key": KEY,
    "reason": "look at the spindle",
    "requested_at": AT,
    "since": AT,
    "expires_at": LATER,
    "consent_id": CONSENT_ID,
    "epoch": 12,
    "attempt": 1,
    "source": True,
    "destination": True,
    "bytes_in": 5_120,
    "bytes_out": 1_048_576,
    "active_at": AT,
    "active_seconds": 12.5,
}
CONSENT = {"id": CONSENT_ID, "case_id": CASE_ID, "session_id": SESSION_ID, "scope": SCOPE, "by": OMAR, "at": AT}
STATES = {
    "requested": "AWAITING_CONSENT",
    "offered": "OFFERED",
    "rejected": "REJECTED",
    "connecting": "CONNECTING",
    "active": "ACTIVE",
    "inactive": "INACTIVE",
    "expired": "EXPIRED",
    "failed": "FAILED",
    "closed": "CLOSED",
    "revoked": "REVOKED",
    "progressed": "ACTIVE",
    "transferred": "ACTIVE",
    "terminal_opened": "ACTIVE",
    "terminal_closed": "ACTIVE",
}
TRANSFER = {
    "id": TRANSFER_ID,
    "endpoint": "logs",
    "direction": "out",
    "name": "2026/spindle.log",
    "state": "DONE",
    "size": 5_120,
    "sha256": "5e" * 32,
    "machine_sha256": "5e" * 32,
    "offset": 5_120,
    "requested_at": AT,
    "since": AT,
}
ENDS = {"rejected", "expired", "failed", "closed", "revoked"}


def session_event(name: str) -> dict[str, Any]:
    """Return the data of an event of sessions."""
    cause = {"id": COMMAND_ID, "type": "callout.session.wake.v1", "topic": "session.commands.v1"}
    cause |= {"partition": 3, "offset": 41}
    body = {**DEVICE, "seq": 4, "at": AT, "actor": SYSTEM, "cause": cause}
    if name == "defined":
        allowed = ARGUMENTS["define"]["allowed"]
        return {**body, "change": {"endpoints": ["hmi", "logs"]}, "endpoints": ENDPOINTS, "allowed": allowed}
    body["case_id"] = CASE_ID
    if name in {"granted", "withdrawn"}:
        return {**body, "actor": OMAR, "change": {"consent_id": CONSENT_ID}, "consent": CONSENT}
    ended = {"ended_at": AT, "ended_by": SYSTEM, "end_reason": "case_not_open"} if name in ENDS else {}
    session = SESSION | {"state": STATES[name]} | ended
    change = {"from": "CONNECTING", "state": STATES[name]} | ({"reason": "case_not_open"} if ended else {})
    offered = {"consent": CONSENT} if name == "offered" else {}
    if name == "transferred":
        session, change = (
            session | {"transfers": [TRANSFER]},
            {"transfer_id": TRANSFER_ID, "state": "DONE", "offset": 5_120},
        )
        return {**body, "session_id": SESSION_ID, "change": change, "session": session, "transfer": TRANSFER}
    if name.startswith("terminal_"):
        opened = {key: TERMINAL[key] for key in ("id", "endpoint", "opened_at", "columns", "rows", "recording")}
        told = opened if name == "terminal_opened" else TERMINAL
        service = {"endpoint": "shell", "protocol": "ssh", "direction": "both", "overwrite": False}
        session = session | {"kind": "terminal", "services": [service], "terminals": [told]}
        change = {"terminal_id": TERMINAL["id"], "endpoint": "shell"}
        return {**body, "session_id": SESSION_ID, "change": change, "session": session, "terminal": told}
    return {**body, "session_id": SESSION_ID, "change": change, "session": session, **offered}


assert set(ARGUMENTS) == set(SESSION_COMMANDS)
assert {*STATES, "granted", "withdrawn", "defined"} == set(EVENTS)
