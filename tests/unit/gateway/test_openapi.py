"""The description of the API is whole: every route in words, with examples that keep their own schemas."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from services.gateway.http import schemas, session_routes
from services.gateway.http.app import DESCRIBED, make_app, routes

METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}
#: Bytes and forms of files have no example that JSON could hold.
BYTES = ("multipart/", "application/offset+octet-stream")


def documents() -> dict[str, dict[str, Any]]:
    return {"/api/v1": make_app().openapi(), **{door.prefix: door.document() for door in DESCRIBED}}


DOCUMENTS = documents()
OPERATIONS = [
    pytest.param(document, each, id=f"{method} {path}")
    for document in DOCUMENTS.values()
    for path, methods in document["paths"].items()
    for method, each in methods.items()
    if method in METHODS
]


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        _, *way = part["$ref"].split("/")
        part = document
        for name in way:
            part = part[name]
    return part


@pytest.mark.parametrize("prefix", DOCUMENTS)
def test_what_is_referred_to_is_there(prefix: str) -> None:
    document = DOCUMENTS[prefix]
    for reference in set(re.findall(r'"\$ref": "(#[^"]*)"', json.dumps(document))):
        assert resolved(document, {"$ref": reference})


def test_no_schema_takes_the_place_of_another_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, of_sessions = schemas._resources(), session_routes.resources()
    monkeypatch.setattr(schemas, "_resources", dict)
    monkeypatch.setattr(session_routes, "resources", dict)
    of_contracts = schemas.components()
    assert {*ours} & {*of_sessions} == set()
    assert {*of_contracts} & {*ours, *of_sessions} == set()


def test_every_route_is_described_under_a_name_of_its_own() -> None:
    told = {
        (method.upper(), path)
        for document in DOCUMENTS.values()
        for path, methods in document["paths"].items()
        for method in methods
    }
    unsaid = {(method, route.path) for route in routes() for method in route.methods} - told
    assert {path for _, path in unsaid} <= {"/api/v1/cases/{case}/commands/{command}"}, "told command by command"
    for document in DOCUMENTS.values():
        names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
        assert len(names) == len(set(names))
        assert document["openapi"] == "3.1.0"


@pytest.mark.parametrize(("document", "operation"), OPERATIONS)
def test_a_route_says_in_words_what_it_does_takes_and_answers(
    document: dict[str, Any], operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    for parameter in operation.get("parameters", ()):
        assert parameter.get("description"), parameter["name"]
        assert "example" in parameter or parameter["in"] != "path", parameter["name"]
    answers = {status: resolved(document, each) for status, each in operation["responses"].items()}
    assert all(each["description"] for each in answers.values())
    assert any(status.startswith("2") for status in answers)
    assert any(status.startswith("4") for status in answers)


@pytest.mark.parametrize(("document", "operation"), OPERATIONS)
def test_examples_are_there_and_keep_their_schemas(document: dict[str, Any], operation: dict[str, Any]) -> None:
    parts = [resolved(document, each).get("content", {}) for each in operation["responses"].values()]
    parts.append(operation.get("requestBody", {}).get("content", {}))
    for kind, content in (each for part in parts for each in part.items()):
        if kind.startswith(BYTES):
            continue
        examples = [resolved(document, each)["value"] for each in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples, kind
        for example in examples:
            valid_in(document, content["schema"], example)
    for parameter in operation.get("parameters", ()):
        if "example" in parameter:
            valid_in(document, parameter["schema"], parameter["example"])


def valid_in(document: dict[str, Any], schema: dict[str, Any], example: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(example)
