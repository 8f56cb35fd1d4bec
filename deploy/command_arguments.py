"""What arguments commands to cases take, for people who type them; read off the models of the contract."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from deploy.docs.fields import Field, all_fields, schema_of
from shared.contracts.case_command import CaseCommand
from shared.contracts.commands import COMMANDS

OF_EVERY_COMMAND: Final = frozenset(CaseCommand.model_fields)
#: Arguments that name another case, and for which kinds of link they do.
CASES: Final[Mapping[str, str]] = {"merge": "into", "link": "id", "unlink": "id"}
KINDS_OF_CASES: Final = frozenset({"parent", "child", "duplicate_of", "recurrence_of"})


def explained(command: str) -> list[tuple[str, str, str]]:
    """Return a command's arguments: name, what it is, and whether it must be given."""
    return [(field.name, _kind(field), "required" if field.required else "") for field in _fields(command)]


def as_meant(command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with lists where the command wants lists: `a,b` is a list of two words, a bare word of one."""
    lists = {field.name for field in _fields(command) if field.type.startswith("list") and "object" not in field.type}
    return dict(_listed(arguments, lists, ""))


def names_case(command: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the argument that names another case, if this command has one."""
    argument = CASES.get(command)
    if argument is None or (argument == "id" and arguments.get("kind") not in KINDS_OF_CASES):
        return None
    return argument


def _fields(command: str) -> Iterator[Field]:
    for field in all_fields(schema_of(TypeAdapter(COMMANDS[command]))):
        if field.name.split(".")[0] not in OF_EVERY_COMMAND:
            yield field


def _listed(arguments: Mapping[str, Any], lists: set[str], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in arguments.items():
        if isinstance(value, dict):
            yield name, dict(_listed(value, lists, f"{above}{name}."))
        elif f"{above}{name}" in lists and not isinstance(value, list):
            yield name, [part.strip() for part in str(value).split(",") if part.strip()]
        else:
            yield name, value


def _kind(field: Field) -> str:
    if field.words:
        return " | ".join(field.words)
    bounds = [f"{name} {value}" for name, value in field.limits.items() if name in {"maxLength", "maxItems"}]
    return ", ".join([field.type, *bounds])
