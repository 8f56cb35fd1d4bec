"""The JSON schemas of all bodies as an AsyncAPI document holds them: a definition per model, and references."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from shared.contracts import tenant
from shared.contracts.case_fields import PATCH
from shared.contracts.catalogue import CATALOGUE, TENANT_CONFIG, Topic

Schema = dict[str, Any]
REFERENCE: Final = "#/components/schemas/{model}"
#: In this order a person reads a schema; what is not named comes after.
ORDER: Final = ("description", "type", "allOf", "anyOf", "const", "enum", "pattern", "format", "required", "properties")
LITERAL: Final = frozenset({"const", "default", "enum", "examples"})
LEFT_OUT: Final = frozenset({"title", "discriminator", PATCH})


def message_bodies(topic: Topic) -> Mapping[str, TypeAdapter[Any]]:
    """Return the body of each message of a topic by the message's name.

    A message's name is its type; of tenant settings, whose one type has a body per kind, it is `<type>.<kind>`.
    """
    if topic is not TENANT_CONFIG:
        return topic.types
    (type_,) = topic.types
    return {f"{type_}.{kind}": TypeAdapter(model) for kind, model in tenant.KINDS.items()}


def body_schemas() -> tuple[dict[tuple[str, str], Schema], dict[str, Schema]]:
    """Return the schema of each message's body by topic and name, and the definitions that they refer to."""
    bodies = {(topic.name, name): body for topic in CATALOGUE.values() for name, body in message_bodies(topic).items()}
    schemas, defined = TypeAdapter.json_schemas(
        [(name, "validation", body) for name, body in bodies.items()], ref_template=REFERENCE
    )
    definitions = {name: tidy(schema) for name, schema in sorted(defined.get("$defs", {}).items())}
    return {name: tidy(schemas[name, "validation"]) for name in bodies}, definitions


def tidy(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON schema
    """Return a schema as a reader needs it: an optional field is one that is left out, not one that is null.

    It keeps to what JSON Schema draft 7, which AsyncAPI builds on, understands: a reference stands alone.
    """
    if isinstance(schema, list):
        return [tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    patch = bool(schema.get(PATCH))
    told = {word: _part(word, part, patch=patch) for word, part in schema.items() if word not in LEFT_OUT}
    if "$ref" in told and len(told) > 1:
        told = {"allOf": [{"$ref": told.pop("$ref")}], **told}
    return dict(sorted(told.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def _part(word: str, part: Any, *, patch: bool) -> Any:  # noqa: ANN401 - any part of a JSON schema
    if word == "properties":
        return {name: tidy(_nullable(field) if patch else _optional(field)) for name, field in part.items()}
    if word == "description":
        return " ".join(part.split())
    return part if word in LITERAL else tidy(part)


def _nullable(field: Schema) -> Schema:
    """Return a field of a merge patch: null takes its value away, so it is not the same as leaving it out."""
    return {word: part for word, part in field.items() if word != "default"}


def _optional(field: Schema) -> Schema:
    """Return a field that may be null or left out as one that may be left out."""
    if field.get("default", ...) is not None:
        return field
    rest = {word: part for word, part in field.items() if word not in {"anyOf", "default"}}
    choices = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
    return {**rest, **(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})}
