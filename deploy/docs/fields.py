"""The fields of a message body, as its JSON schema tells them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

Schema = Mapping[str, Any]
LIMITS: Final = (
    *("minLength", "maxLength", "pattern", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    *("minItems", "maxItems"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: its name (`a.b` of an object in the body, `a[]` of a list), its type and what bounds it.

    `model` is the model or vocabulary behind it, `words` are the words of a vocabulary.
    """

    name: str
    type: str
    required: bool
    limits: Mapping[str, Any] = field(default_factory=dict)
    default: Any = None
    model: str = ""
    words: tuple[str, ...] = ()


@cache
def schema_of(body: TypeAdapter[Any]) -> Schema:
    """Return the JSON schema of a body, as a reader needs it."""
    return body.json_schema(mode="validation")


def fields_of(schema: Schema) -> list[Field]:
    """Return the fields of a body itself."""
    return [_field(name, part, schema, schema.get("$defs", {})) for name, part in schema.get("properties", {}).items()]


def all_fields(schema: Schema) -> Iterator[Field]:
    """Yield the fields of a body and of every object and list in it."""
    definitions = schema.get("$defs", {})
    for name, part in schema.get("properties", {}).items():
        found = _field(name, part, schema, definitions)
        yield found
        for inner in all_fields({**_inside(part, definitions), "$defs": definitions}):
            yield Field(
                name=f"{name}{'[]' if found.type.startswith('list') else ''}.{inner.name}",
                type=inner.type,
                required=inner.required,
                limits=inner.limits,
                default=inner.default,
                words=inner.words,
            )


def _field(name: str, part: Schema, owner: Schema, definitions: Schema) -> Field:
    choices = [choice for choice in part.get("anyOf", [part]) if choice.get("type") != "null"]
    model, words = _behind(choices[0], definitions)
    limits = {key: choice[key] for choice in choices for key in LIMITS if key in choice}
    return Field(
        name=name,
        type=" or ".join(_type(choice, definitions) for choice in choices),
        required=name in owner.get("required", ()),
        limits=limits,
        default=part.get("default"),
        model=model,
        words=words,
    )


def _behind(choice: Schema, definitions: Schema) -> tuple[str, tuple[str, ...]]:
    reference = choice.get("$ref") or choice.get("items", {}).get("$ref")
    if reference is None:
        return "", ()
    model = reference.rsplit("/", 1)[-1]
    return model, tuple(definitions[model].get("enum", ()))


def _inside(part: Schema, definitions: Schema) -> Schema:
    for choice in part.get("anyOf", [part]):
        model, words = _behind(choice, definitions)
        if model and not words:
            inside: Schema = definitions[model]
            return inside
    return {}


def _type(choice: Schema, definitions: Schema) -> str:
    if "$ref" in choice:
        found = definitions[choice["$ref"].rsplit("/", 1)[-1]]
        return "word" if "enum" in found else "object"
    match choice:
        case {"type": "array", "items": items}:
            return f"list of {_type(items, definitions)}"
        case {"type": "string", "format": "date-time"}:
            return "time"
        case {"type": "object", "additionalProperties": dict(values)}:
            inner = [_type(value, definitions) for value in values.get("anyOf", [values])]
            return f"map to {' or '.join(inner)}"
        case {"type": str(name)}:
            return name
        case _:
            return "any"
