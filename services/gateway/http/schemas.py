"""JSON schemas of what goes in and out over HTTP, made of the contract's own models."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from services.gateway.domain.access import COMMANDS as GIVEN
from services.gateway.domain.columns import COLUMNS
from services.gateway.domain.query import SORTS, TEXTS, CaseQuery
from services.gateway.http import session_routes
from services.gateway.http.arguments import MACHINES, SAID_ELSEWHERE
from services.gateway.http.problems import STATUS
from shared.contracts.case import CASE_STATE
from shared.contracts.commands import COMMANDS
from shared.contracts.events import CaseEvent, Flags
from shared.contracts.new_case import NewCase
from shared.contracts.presence import Presence
from shared.contracts.tenant_notices import Preference, Subscription
from shared.contracts.words import AttachmentState, Scan

Schema = dict[str, Any]
REF: Final = "#/components/schemas/"
TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


def obj(required: Mapping[str, Any], **optional: Any) -> Schema:  # noqa: ANN401 - schemas
    """Return the schema of an object."""
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def ref(name: str) -> Schema:
    """Return a reference to a schema of the description."""
    return {"$ref": REF + name}


def items(name: str) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": ref(name)}


def components() -> dict[str, Schema]:
    """Return all schemas by name."""
    found: dict[str, Schema] = {}
    _add(found, "CaseState", TypeAdapter(CASE_STATE._type).json_schema(ref_template=REF + "{model}"))  # noqa: SLF001
    _add(found, "CaseEvent", TypeAdapter(CaseEvent).json_schema(ref_template=REF + "{model}"))
    _add(found, "Flags", TypeAdapter(Flags).json_schema(ref_template=REF + "{model}"))
    for name in GIVEN:
        if name in COMMANDS:
            model = NewCase if name == "create" else COMMANDS[name]
            schema = TypeAdapter(model).json_schema(ref_template=REF + "Given{model}")
            _add(found, arguments_name(name), _given(schema), prefix="Given")
    kinds: dict[str, Any] = {"Subscription": Subscription, "NotificationPreferences": Preference}
    for name, body in kinds.items():
        _add(found, f"New{name}", TypeAdapter(body).json_schema(ref_template=REF + "Set{model}"), prefix="Set")
    found["NewSubscription"].pop("required")  # a new webhook's secret is made for it
    told, given = session_routes.schemas()
    for name, schema in told.items():
        _add(found, name, schema)
    for name, schema in given.items():
        _add(found, name, _closed(schema), prefix="Given")
    return found | _resources() | session_routes.resources()


def _resources() -> dict[str, Schema]:
    """Return the schemas of what is told."""
    statuses = {"enum": ["accepted", "refused", "pending"]}
    known = {**dict.fromkeys(("case_id", "note_id"), TEXT), **dict.fromkeys(("version", "seq"), COUNT)}
    outcome = obj({"case": TEXT, "status": statuses}, id=TEXT, problem=ref("Problem"), **known)
    beside = {"note_id": TEXT, "video_url": {**TEXT, "description": "where people meet, if the owner has set that"}}
    counts = dict.fromkeys(("accepted", "refused", "pending"), COUNT)
    choice = {"columns": _columns(), "filters": {"type": "object", "description": "parameters of a list"}}
    return {
        "Case": {
            "allOf": [ref("CaseState"), obj({"flags": ref("Flags"), "columns": {"type": "object"}}, **beside)],
            "description": "A case: its state, what the asker can do with it now, and what lists show beside.",
        },
        "Page": obj(
            {"items": items("Case"), "limit": COUNT},
            total={**COUNT, "description": "exact if `total_exact`, else there are at least so many"},
            total_exact={"type": "boolean"},
            next_cursor={**TEXT, "description": "the page behind this one; the last page has none"},
        ),
        "HistoryEntry": obj({"id": TEXT, "type": TEXT, "data": ref("CaseEvent")}, hash={"type": ["string", "null"]}),
        "History": obj({"items": items("HistoryEntry"), "limit": COUNT}, next_after_seq=COUNT),
        "Device": device(),
        "Devices": obj({"items": items("Device"), "limit": COUNT}, next_cursor=TEXT),
        "Command": obj({"id": TEXT, "status": statuses}, code=TEXT, message=TEXT, **known),
        "Problem": problem(),
        "Outcomes": obj({"items": {"type": "array", "items": outcome}, **counts}),
        "Bulk": bulk(),
        "BulkArguments": {"type": "object", "description": "the command's arguments"},
        "BulkFilter": {"type": "object", "description": "parameters of a list"},
        **_files(),
        "Preferences": obj(choice),
        "Subscription": obj({"name": TEXT, "channel": TEXT, "active": {"type": "boolean"}}, secret=TEXT, url=TEXT),
        "Subscriptions": obj({"items": items("Subscription")}),
        **_notices(),
        "NotificationPreferences": obj({"addresses": {"type": "object"}}),
        "NewPreferences": {**obj({}, **choice), "additionalProperties": False},
    }


def device() -> Schema:
    """Return the schema of a device."""
    told = obj({"tenant_id": TEXT, "device_id": TEXT, "status": _presence(), "presence": {"type": "object"}})
    return {
        **told,
        "description": "Whether it is there, and what the registry says of it (`callout.device.registered.v1`).",
    }


def _presence() -> Schema:
    return {"enum": [word.value for word in Presence]}


def _notices() -> dict[str, Schema]:
    """Return the schemas of what is told of notifications."""
    about = {"case_id": TEXT, "number": TEXT}
    notice = obj({**dict.fromkeys(("id", "at", "topic", "event"), TEXT), "notice": {"type": "object"}}, **about)
    told = ("id", "at", "state", "recipient", "channel", "topic", "event")
    delivery = obj(dict.fromkeys(told, TEXT), attempts=COUNT, repeats=COUNT, code=TEXT, reason=TEXT, **about)
    ids = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1000}
    return {
        "Notice": {**notice, "properties": {**notice["properties"], "read": {"type": "boolean"}, "read_at": TEXT}},
        "Notices": obj({"items": items("Notice"), "unread": COUNT, "limit": COUNT}, next_cursor=TEXT),
        "Delivery": delivery,
        "Deliveries": obj({"items": items("Delivery"), "limit": COUNT}, next_cursor=TEXT),
        "Unread": obj({"unread": COUNT}),
        "FailedDeliveries": {**obj({"recipient": TEXT}, delivery_id=TEXT), "additionalProperties": False},
        "ReadNotices": {
            **obj({}, ids=ids, until={**TEXT, "format": "date-time"}),
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    }


def _files() -> dict[str, Schema]:
    """Return the schemas of what is told of files."""
    return {
        "File": _file(),
        "StoredFiles": obj({"items": items("File")}),
        "CaseFiles": obj(
            {
                "items": {
                    "type": "array",
                    "items": obj({"id": TEXT, "name": TEXT, "at": TEXT, "by": obj({})}, note_id=TEXT),
                }
            }
        ),
        "FileLink": obj({"url": TEXT, "expires_at": TEXT}),
        "NewLink": {
            **obj({}, expires_in_minutes={"type": "integer", "minimum": 1, "maximum": 1440, "default": 15}),
            "additionalProperties": False,
        },
    }


def _file() -> Schema:
    """Return the schema of what is known of a file."""
    states = {"enum": [state.value for state in AttachmentState]}
    needed = {**dict.fromkeys(("id", "name", "media_type", "sha256"), TEXT), "size": COUNT, "state": states}
    texts = ("finding", "case_id", "note_id", "stored_at", "expires_at")
    scans = {"enum": [scan.value for scan in Scan]}
    return obj({**needed, "scan": scans}, thumbnail={"type": "boolean"}, **dict.fromkeys(texts, TEXT))


def problem() -> Schema:
    """Return the schema of a problem."""
    fields = {"type": "array", "items": obj({"field": TEXT, "message": TEXT})}
    return obj(
        {
            "type": {**TEXT, "format": "uri"},
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "instance": TEXT,
            "code": {"enum": sorted(STATUS), "description": "stable: decide by it"},
        },
        fields=fields,
        allowed={"type": "array", "items": TEXT, "description": "the commands that the case takes from the asker now"},
    )


def bulk() -> Schema:
    """Return the schema of one command to many cases."""
    arguments = ref("BulkArguments")
    cases = {"type": "array", "items": {**TEXT, "minLength": 1, "maxLength": 64}}
    named = {
        **obj({"cases": {**cases, "minItems": 1, "maxItems": 100, "uniqueItems": True}}, arguments=arguments),
        "additionalProperties": False,
    }
    chosen = {
        **obj({"filter": ref("BulkFilter")}, arguments=arguments),
        "additionalProperties": False,
    }
    return {"oneOf": [named, chosen]}


def arguments_name(command: str) -> str:
    """Return the name of the schema of a command's arguments."""
    return "NewCase" if command == "create" else f"{COMMANDS[command].__name__}Arguments"


def list_parameters() -> list[Schema]:
    """Return the parameters of a list."""
    schema = TypeAdapter(CaseQuery).json_schema(ref_template=REF + "{model}")
    told = []
    for name, each in schema["properties"].items():
        if name == "contains":
            continue
        parameter: Schema = {"name": name, "in": "query", "schema": _plain(_inlined(each, schema.get("$defs", {})))}
        if name == "sort":
            names = [sign + column for column in SORTS for sign in ("", "-")]
            parameter["schema"] = {"enum": names, "default": "-created_at"}
            parameter["description"] = "A column; `-` before it turns the order"
        told.append(parameter)
    told += [
        {
            "name": f"contains.{column}",
            "in": "query",
            "schema": {**TEXT, "minLength": 1, "maxLength": 200},
            "description": f"Cases whose {column.replace('_', ' ')} contains the text",
        }
        for column in TEXTS
    ]
    return told


def query_parameters(query: type[BaseModel]) -> list[Schema]:
    """Return the parameters of a list, by its query."""
    schema = TypeAdapter(query).json_schema(ref_template=REF + "{model}")
    properties = {name: _inlined(each, schema.get("$defs", {})) for name, each in schema["properties"].items()}
    return [{"name": name, "in": "query", "schema": _plain(each)} for name, each in properties.items()]


def _columns() -> Schema:
    return {"type": "array", "items": {"enum": list(COLUMNS)}, "minItems": 1, "uniqueItems": True}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].removeprefix(REF)], definitions)
        return {name: _inlined(value, definitions) for name, value in schema.items() if name != "title"}
    return [_inlined(each, definitions) for each in schema] if isinstance(schema, list) else schema


def _plain(schema: Schema) -> Schema:
    """Return a parameter's schema without the null that means its absence."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
        return {**kinds[0], **rest}
    return {name: value for name, value in schema.items() if name != "default" or value not in ([], None)}


def plain_parameter(parameter: Schema) -> Schema:
    """Return a parameter without the null that means its absence."""
    return {**parameter, "schema": _plain(parameter["schema"])}


def _given(schema: Schema) -> Schema:
    """Return what a request says of a command: the rest is told by path, token and headers, or by machines."""
    machines = {each.removeprefix("case.") for each in MACHINES}
    left = {n: each for n, each in schema.get("properties", {}).items() if n not in SAID_ELSEWHERE | machines}
    needed = [name for name in schema.get("required", ()) if name in left]
    return {**schema, "properties": left, "required": needed}


def _add(found: dict[str, Schema], name: str, schema: Schema, prefix: str = "") -> None:
    for each, definition in schema.pop("$defs", {}).items():
        found.setdefault(prefix + each, _untitled(_closed(definition) if prefix else definition))
    found[name] = _untitled(_closed(schema) if prefix else schema)


def _untitled(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a schema without titles: generators take two of one title for one."""
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _untitled(value) for name, value in schema.items() if name != "title" or not isinstance(value, str)}


def _closed(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a schema whose objects take no other fields than theirs."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
