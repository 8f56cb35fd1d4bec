"""The description of the API, OpenAPI 3.1: what every route takes and tells, with examples and every code."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.routing import BaseRoute

from services.gateway.domain.devices import DeviceQuery
from services.gateway.domain.notices import DeliveryQuery, NoticeQuery
from services.gateway.http import schemas
from services.gateway.http.examples import CASE
from services.gateway.http.parameters import explained
from services.gateway.http.problems import MEDIA_TYPE, STATUS, Problem
from services.gateway.http.routes import EVERY, name_of, needs_body, told_of
from services.gateway.http.schemas import ref
from services.gateway.http.told import Told

PREFIX: Final = "/api/v1"
QUERIES: Final[Mapping[str, type[BaseModel]]] = {
    "/devices": DeviceQuery,
    "/notices": NoticeQuery,
    "/deliveries": DeliveryQuery,
}
BULK_PATH: Final = f"{PREFIX}/cases/commands/{{command}}"
#: What asks for lists of cases, and the parameters that it has not.
LISTS: Final[Mapping[str, frozenset[str]]] = {
    "/cases": frozenset(),
    "/cases/export.csv": frozenset({"limit", "cursor", "count"}),
    "/cases/counts": frozenset({"sort", "limit", "cursor"}),
}
EXAMPLE_PATH: Final = "/api/v1/cases"
DESCRIPTION: Final = """Cases of machines: read them, drive them, follow them.

- **Who**: every request has a bearer token; tenant, person and role come from it. What is another tenant's is as if it
  were not there.
- **A 2xx of a command** means: the change is in `case.events.v1`, and every read shows it, at any process. A refusal
  left nothing. **202** means: not known yet; ask at `Location`.
- **Once**: the same `Idempotency-Key` for the same command takes effect once, for a day. **Only if**:
  `If-Match: "<version>"`.
- **Failures** are problem+json (RFC 9457); the `code` is the contract, the text is for people.
"""


def describe(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Have an application describe itself so, with these routes."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, routes)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    made = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=routes, openapi_version="3.1.0"
    )
    shared: dict[str, Any] = {"Pending": _pending()}
    made["components"] |= {
        "schemas": schemas.components(),
        "responses": shared,
        "examples": {"Case": {"value": CASE}},
    }
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            if path.startswith(PREFIX):
                _complete(operation, told_of(method, path.removeprefix(PREFIX)), method, path, shared)
    return made


def _complete(operation: dict[str, Any], told: Told, method: str, path: str, shared: dict[str, Any]) -> None:
    if path.startswith(f"{PREFIX}/cases/{{case}}/commands/"):
        operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
        operation["tags"] = ["commands"]
    else:
        operation["operationId"] = name_of(method, path.removeprefix(PREFIX))
        operation["tags"] = [path.removeprefix(f"{PREFIX}/").partition("/")[0]]
    if (query := QUERIES.get(path.removeprefix(PREFIX))) is not None:
        operation["parameters"] = [*operation.get("parameters", ()), *schemas.query_parameters(query)]
    parameters = [schemas.plain_parameter(each) for each in operation.get("parameters", ())]
    if method == "get" and (without := LISTS.get(path.removeprefix(PREFIX))) is not None:
        parameters += [each for each in schemas.list_parameters() if each["name"] not in without]
    parameters += told.parameters
    if parameters:
        part = path.removeprefix(f"{PREFIX}/").partition("/")[0]
        operation["parameters"] = explained(parameters, "bulk" if path == BULK_PATH else part)
    if told.body is not None:
        content = {"schema": told.body, **({"example": told.body_example} if told.body_example is not None else {})}
        operation["requestBody"] = {"required": needs_body(told.body), "content": {told.takes: content}}
    operation["responses"] = _responses(told, shared)


def _responses(told: Told, shared: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": told.what}
    if told.schema is not None:
        shown = {"$ref": "#/components/examples/Case"} if told.example is CASE else {"value": told.example}
        good["content"] = {told.media: {"schema": told.schema, "examples": {"example": shown}}}
    if told.headers:
        good["headers"] = {name: _header(text) for name, text in told.headers.items()}
    found = {str(status): good for status in (told.status, *told.also)}
    if told.pending:
        found["202"] = {"$ref": "#/components/responses/Pending"}
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*told.problems, *EVERY)):
        by_status.setdefault(STATUS[code], []).append(code)
    if "version_conflict" in told.problems:
        by_status[412] = ["version_conflict"]
    for status, codes in sorted(by_status.items()):
        name = "".join(word.capitalize() for word in "_or_".join(codes[:2]).split("_")) + "More" * (len(codes) > 2)
        shared.setdefault(name, _problem(status, codes))
        found[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return found


def _header(text: str, kind: str = "string") -> dict[str, Any]:
    return {"description": text, "schema": {"type": kind}}


def _pending() -> dict[str, Any]:
    example = {"id": "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "status": "pending"}
    return {
        "description": "Sent, and not known yet what became of it: ask at Location",
        "headers": {"Location": _header("The command"), "Retry-After": _header("Seconds to wait", "integer")},
        "content": {"application/json": {"schema": ref("Command"), "example": example}},
    }


def _problem(status: int, codes: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {
            MEDIA_TYPE: {
                "schema": ref("Problem"),
                "examples": {code: {"value": Problem(code, "…", status=status).body(EXAMPLE_PATH)} for code in codes},
            }
        },
    }
    if status in {429, 503}:
        told["headers"] = {"Retry-After": _header("Seconds to wait", "integer")}
    if status == HTTPStatus.UNAUTHORIZED:
        told["headers"] = {"WWW-Authenticate": _header("What is needed")}
    return told
