"""What is wrong with a body of tenant data, said so that one can mend it. Pure."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from shared.contracts import limits

Path = tuple[str | int, ...]
SHOWN_MAX: Final = 60
#: What is meant by a pattern that is hard to read.
MEANT: Final = {
    limits.TENANT_PATTERN: "write a tenant's id: small letters, digits and dashes, at most 63",
    limits.CASE_CODE_PATTERN: "write a code as 1234-5678",
    "^(case:delete|": "write a scope as `device:press-*`, or `case:delete`",
    r"^([01]\d|2[0-3])": "write a span of hours as 08:00-12:00",
    r"^[^@\s]+@": "write an e-mail address",
    "^[A-Z]{2,3}$": "write a country's two capital letters, as DE",
    limits.MEDIA_PATTERN: "write a type as image/png, or image/*",
}


def said_plainly(model: type[BaseModel], error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Yield the faults of a body with their paths in it."""
    for detail in error.errors(include_url=False):
        path: Path = tuple(step for step in detail["loc"] if step != "[key]")
        match detail["type"]:
            case "extra_forbidden":
                yield path, unknown(str(path[-1]), _fields(model.model_json_schema(), path[:-1]), "field")
            case "missing":
                yield path, "needed, and not there"
            case "string_pattern_mismatch":
                pattern = detail["ctx"]["pattern"]
                meant = next((said for start, said in MEANT.items() if pattern.startswith(start)), detail["msg"])
                yield path, f"`{_shown(detail['input'])}` cannot be; {meant}"
            case "value_error":
                yield path, detail["msg"].removeprefix("Value error, ")
            case _:
                yield path, f"{detail['msg']}, not `{_shown(detail['input'])}`"


def unknown(name: str, known: Collection[str], what: str) -> str:
    """Return that there is no such kind or field, and what may have been meant."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}" if known else "leave it out"
    return f"there is no such {what}; {hint}"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _fields(schema: Mapping[str, Any], path: Path) -> list[str]:
    """Return the fields of the object at a path, as the model's JSON schema has them."""
    part: Mapping[str, Any] = schema
    for step in path:
        part = _resolved(part, schema)
        inner = part.get("items") if isinstance(step, int) else part.get("properties", {}).get(step)
        part = inner or part.get("additionalProperties") or {}
    return list(_resolved(part, schema).get("properties", {}))


def _resolved(part: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 - any part of a JSON schema
    if not isinstance(part, Mapping):
        return {}
    for choice in part.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice, schema)
    reference = part.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else part
