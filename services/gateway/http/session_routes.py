"""What the routes of remote sessions take and tell, for the API's description."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from services.gateway.http.session_desk import SAID_ELSEWHERE
from shared.contracts.session_commands import SESSION_COMMANDS
from shared.contracts.sessions import Consent, RemoteSession, SessionEndpoint, SessionEvent

Schema = dict[str, Any]
REF: Final = "#/components/schemas/"
TOLD: Final[Mapping[str, Any]] = {
    "RemoteSession": RemoteSession,
    "Consent": Consent,
    "SessionEndpoint": SessionEndpoint,
    "SessionEvent": SessionEvent,
}
#: The schema of a body by the command that it is for.
BODIES: Final[Mapping[str, str]] = {
    "request": "RequestSessionArguments",
    "grant": "GrantConsentArguments",
    "define": "DefineEndpointsArguments",
}
ID: Final = "6a8f4f9e-70d5-5c0e-9a55-6d2a7c1b8e21"
AT: Final = "2026-03-02T10:15:00.000Z"
ENDPOINT: Final = {"name": "hmi", "kind": "tunnel", "protocol": "https", "host": "192.168.7.20", "port": 443}
SESSION: Final = {
    "id": ID,
    "case_id": "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11",
    "tenant_id": "acme",
    "device_id": "press-07",
    "kind": "tunnel",
    "state": "AWAITING_CONSENT",
    "active": False,
    "by": {"id": "tina", "role": "technician", "tenant_id": "maker"},
    "services": [{"endpoint": "hmi", "protocol": "https", "host": "192.168.7.20", "port": 443}],
    "requested_at": AT,
    "since": AT,
    "expires_at": "2026-03-02T12:15:00.000Z",
}
REQUEST: Final = {"kind": "tunnel", "services": [{"endpoint": "hmi", "local_port": 8443}], "lifetime_minutes": 60}
GRANT: Final = {"scope": {"endpoints": ["hmi"], "until": "2026-03-02T12:15:00.000Z"}}


def schemas() -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return schemas of what is told, and of what is given, with their definitions beside them."""
    told = {name: TypeAdapter(model).json_schema(ref_template=REF + "{model}") for name, model in TOLD.items()}
    given = {}
    for command, name in BODIES.items():
        schema = TypeAdapter(SESSION_COMMANDS[command]).json_schema(ref_template=REF + "Given{model}")
        properties = {n: each for n, each in schema["properties"].items() if n not in SAID_ELSEWHERE}
        if command == "grant":
            properties["session"] = {"type": "string", "description": "the session that waits for it"}
        needed = [n for n in schema.get("required", ()) if n in properties]
        given[name] = {**schema, "properties": properties, "required": needed}
    return told, given


def resources() -> dict[str, Schema]:
    """Return the schemas of answers that are made of those."""

    def listed(name: str) -> Schema:
        return {
            "type": "object",
            "required": ["items"],
            "properties": {"items": {"type": "array", "items": _ref(name)}},
        }

    ways = {"type": "object", "description": "lines for stock clients; told to who asked for the session"}
    extra = {"active": {"type": "boolean"}, "connect": ways, "token": {"type": "string", "description": "told once"}}
    event = {"type": "object", "properties": {"type": {"type": "string"}, "data": _ref("SessionEvent")}}
    return {
        "Session": {"allOf": [_ref("RemoteSession"), {"type": "object", "properties": extra}]},
        "Sessions": listed("Session"),
        "SessionHistoryEntry": event,
        "SessionHistory": listed("SessionHistoryEntry"),
        "Consents": listed("Consent"),
        "Endpoints": listed("SessionEndpoint"),
        "Taken": {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "boolean"}}},
        "SessionCommandArguments": {"type": "object", "properties": {}},
    }


def _ref(name: str) -> Schema:
    return {"$ref": REF + name}


NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("get", "/cases/{case}/sessions"): "list_sessions",
    ("post", "/cases/{case}/sessions"): "request_session",
    ("get", "/cases/{case}/sessions/{session}"): "read_session",
    ("get", "/cases/{case}/sessions/{session}/history"): "read_session_history",
    ("post", "/cases/{case}/sessions/{session}/commands/{command}"): "command_session",
    ("get", "/cases/{case}/consents"): "list_consents",
    ("post", "/cases/{case}/consents"): "grant_consent",
    ("delete", "/cases/{case}/consents/{consent}"): "withdraw_consent",
    ("get", "/cases/{case}/endpoints"): "list_endpoints",
    ("put", "/devices/{device}/endpoints"): "define_endpoints",
}
