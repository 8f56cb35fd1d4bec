"""`callout case`: sends one command to one case and tells what became of it."""

import getpass
import re
from typing import Annotated, Any, Final

import typer

from deploy.case_commands import OUTCOME_SECONDS, CaseCommands, TooLargeError, nested
from deploy.case_store import CaseStore
from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli.connection import Connection, find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.command_arguments import as_meant, explained, names_case
from shared.contracts.commands import COMMANDS
from shared.contracts.ids import derived_id, fresh_id
from shared.contracts.limits import ID_MAX, TENANT_PATTERN, UUID_PATTERN
from shared.contracts.words import Role

CREATE: Final = "create"
OWN_FIELDS: Final = ("case_id", "tenant_id", "actor", "expected_version")


def case(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help=f"One of: {', '.join(COMMANDS)}.")],
    name: Annotated[
        str | None, typer.Argument(metavar="ID", help="The case's id or 8-digit number; `create` needs none.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="K=V", help="An argument; a dot makes an object, a comma a list, a value may be JSON."
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="The case's tenant. Default: as stored.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who asks. Default: the user who runs this.")] = None,
    role: Annotated[Role, typer.Option(help="As what.", case_sensitive=False)] = Role.AGENT,
    expected_version: Annotated[int | None, typer.Option(min=1, help="Refuse if the case is at another one.")] = None,
    command_id: Annotated[str | None, typer.Option(help="An id of yours: repeated, it takes effect once.")] = None,
    explain: Annotated[bool, typer.Option("--arguments", help="Show what arguments the command takes.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait.")] = OUTCOME_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Send a command to a case, wait for its outcome and print it; exit 4 if it was refused.

    Examples: `callout case start 10000001` · `callout case assign 10000001 --set assignee=ann` ·
    `callout case resolve 10000001 --set final_solution="bearing replaced" --role technician` ·
    `callout case create --tenant acme --set case.title="Noise in gear box" --set case.severity=major` ·
    `callout case add_note 10000001 --set text="On my way" --set visibility=internal` ·
    `callout case tag 10000001 --set tags=spindle,hot` · `callout case merge 10000002 --set into=10000001` ·
    `callout case update --arguments`
    """
    if command not in COMMANDS:
        raise Failure(ExitCode.USAGE, f"There is no command {command!r}; these are: {', '.join(COMMANDS)}.")
    if explain:
        _explain(command)
        return
    arguments = as_meant(command, _arguments(settings or []))
    identity = command_id or fresh_id()
    if not 0 < len(identity) <= ID_MAX:
        raise Failure(ExitCode.USAGE, f"--command-id has 1 to {ID_MAX} characters.")
    stack = find_stack()
    case_id, tenant_id = _resolve(stack, command, name, tenant, identity)
    data: dict[str, Any] = {"case_id": case_id, "tenant_id": tenant_id}
    data["actor"] = {"id": actor or getpass.getuser(), "role": role.value, "tenant_id": tenant_id}
    if expected_version is not None:
        data["expected_version"] = expected_version
    if (other := names_case(command, arguments)) is not None:
        arguments[other] = _resolve(stack, command, str(arguments.get(other) or ""), tenant, identity)[0]
    outcome = _send(stack, command, data | arguments, identity, timeout)
    if as_json:
        print_json(outcome)
    else:
        _tell(command, outcome)
    if not outcome["accepted"]:
        raise typer.Exit(ExitCode.REFUSED)


def _explain(command: str) -> None:
    lines = explained(command)
    width = max((len(name) for name, _, _ in lines), default=0)
    for name, kind, need in lines or [("(no arguments)", "", "")]:
        typer.echo(f"{name.ljust(width)}  {need or 'optional' if kind else '':8}  {kind}".rstrip())


def _arguments(settings: list[str]) -> dict[str, Any]:
    try:
        arguments = nested(settings)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"--set: {error}; give it as --set key=value.") from error
    if own := [field for field in OWN_FIELDS if field in arguments]:
        raise Failure(ExitCode.USAGE, f"--set {own[0]}: there is an argument or option for this, see --help.")
    return arguments


def _resolve(stack: Connection, command: str, name: str | None, tenant: str | None, identity: str) -> tuple[str, str]:
    """Return the case's id and its tenant."""
    if tenant is not None and not re.fullmatch(TENANT_PATTERN, tenant):
        raise Failure(ExitCode.USAGE, f"--tenant {tenant!r}: small letters, digits and dashes, at most 63.")
    is_id = name is not None and re.fullmatch(UUID_PATTERN, name.lower()) is not None
    if command == CREATE:
        if tenant is None:
            raise Failure(ExitCode.USAGE, "`create` needs --tenant.")
        if name is not None and not is_id:
            raise Failure(ExitCode.USAGE, f"{name!r} is no id for a new case: leave it out, or give a UUID.")
        return (name.lower() if name else derived_id(identity)), tenant
    if name is None:
        raise Failure(ExitCode.USAGE, f"`{command}` needs the ID or number of a case; `callout cases list` shows them.")
    if is_id and tenant is not None:
        return name.lower(), tenant
    found = ask(_find(stack.mongodb_uri, name))
    if found is None:
        raise Failure(
            ExitCode.REFUSED, f"not_found: there is no case {name}; `callout cases list` shows those that are."
        )
    return found["id"], tenant or found["tenant_id"]


async def _find(mongodb_uri: str, name: str) -> dict[str, Any] | None:
    async with CaseStore(mongodb_uri) as store:
        return await store.find(name)


def _send(stack: Connection, command: str, data: dict[str, Any], identity: str, seconds: float) -> dict[str, Any]:
    async def send() -> dict[str, Any]:
        async with CaseCommands(stack.bootstrap_servers) as commands:
            try:
                return await commands.ask(command, data, command_id=identity, seconds=seconds)
            except TimeoutError as error:
                raise Failure(
                    ExitCode.NOT_REACHABLE,
                    f"No outcome within {seconds:g} s. Is workflow running? `callout lag` shows whether it keeps up. "
                    f"To ask again without any risk of a second effect: --command-id {identity}",
                ) from error

    try:
        return ask(send())
    except TooLargeError as error:
        raise Failure(ExitCode.USAGE, f"{error}.") from error


def _tell(command: str, outcome: dict[str, Any]) -> None:
    case_id, allowed = outcome["case_id"], ", ".join(outcome.get("allowed", ())) or "nothing"
    if outcome["accepted"]:
        typer.echo(
            f"accepted: {command} of {case_id}, now at version {outcome.get('version')}, seq {outcome.get('seq')}"
        )
    else:
        typer.echo(f"refused: {outcome.get('code')}: {outcome.get('message', '')}")
        if fields := outcome.get("fields"):
            typer.echo(f"fields: {', '.join(fields)}")
        if outcome.get("code") == "invalid_command":
            typer.echo(f"arguments: callout case {command} --arguments")
    if note := outcome.get("note_id"):
        typer.echo(f"note: {note}")
    typer.echo(f"allowed now: {allowed}")
    if flags := outcome.get("flags"):
        typer.echo(f"flags: {', '.join(name for name, set_ in flags.items() if set_) or 'none'}")
