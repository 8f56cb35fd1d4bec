"""From the JSON of a request to the data of a command: every field known, every value as the contract says."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from services.gateway.domain.access import Identity
from services.gateway.http.problems import Problem, invalid
from shared.contracts import limits
from shared.contracts.case_command import CaseCommand
from shared.contracts.commands import COMMANDS

#: What a request says by its path, its token and its headers, never in its body.
SAID_ELSEWHERE: Final = frozenset(CaseCommand.model_fields)
#: What only machines tell of a new case, and cases of each other.
MACHINES: Final = frozenset(
    {"raw", "measurements", "clock_skew", "case.signal", "case.fallback_title", "attempt", "path", "levels"}
)
#: Fields whose inner names are the sender's own.
FREE: Final = frozenset(f"{part}.{name}" for part in ("case", "fields") for name in ("details", "classification"))
DEPTH_MAX: Final = 20
_ADAPTERS: Final = {name: TypeAdapter(model) for name, model in COMMANDS.items()}


def command_data(
    who: Identity,
    owner: str,
    case_id: str,
    command: str,
    arguments: Mapping[str, Any],
    expected_version: int | None = None,
) -> bytes:
    """Return the data of a command as it is published.

    Raises:
        Problem: `invalid_command` with the fields that are unknown or wrong; `too_large`.
    """
    data: dict[str, Any] = {
        "case_id": case_id,
        "tenant_id": owner,
        "actor": {"id": who.user_id, "role": who.role.value, "tenant_id": who.tenant_id},
    }
    if expected_version is not None:
        data["expected_version"] = expected_version
    if elsewhere := [name for name in arguments if name in SAID_ELSEWHERE]:
        raise _unknown(elsewhere, "is told by the path, the token and the headers, not in the body")
    try:
        value = orjson.dumps(data | dict(arguments))
        read = _ADAPTERS[command].validate_json(value)
    except ValidationError as error:
        raise invalid(_told(command, error), "invalid_command") from error
    except (TypeError, orjson.JSONEncodeError) as error:
        raise Problem("invalid_command", "The body holds what JSON cannot say.") from error
    known = _ADAPTERS[command].dump_python(read)
    if unknown := list(_unknown_fields(arguments, known, "", DEPTH_MAX)):
        raise _unknown([_shown(command, name) for name in unknown], "is no field of this command")
    if len(value) > limits.COMMAND_BYTES_MAX:
        raise Problem("too_large", f"A command may have {limits.COMMAND_BYTES_MAX} bytes.")
    return value


def _unknown_fields(given: object, known: object, path: str, depth: int) -> Iterator[str]:
    if isinstance(given, Mapping) and isinstance(known, Mapping) and path not in FREE and depth:
        for name, value in given.items():
            place = f"{path}.{name}" if path else name
            if name not in known or place in MACHINES:
                yield place
            else:
                yield from _unknown_fields(value, known[name], place, depth - 1)
    elif isinstance(given, list) and isinstance(known, list | tuple) and depth:
        for value, each in zip(given, known, strict=False):
            yield from _unknown_fields(value, each, path, depth - 1)


def _unknown(names: list[str], what: str) -> Problem:
    return invalid([{"loc": (name,), "msg": what} for name in names], "invalid_command")


def _told(command: str, error: ValidationError) -> list[dict[str, Any]]:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"loc": (_shown(command, ".".join(map(str, each["loc"]))),), "msg": each["msg"]} for each in details]


def _shown(command: str, place: str) -> str:
    """Return a field's place as the sender sees it: what a case is created with is the body itself."""
    return place.removeprefix("case.") if command == "create" else place
