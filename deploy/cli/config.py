"""`callout config`: the data that tenants set."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.auditing import AuditTrail
from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.files import write_atomically
from deploy.tenant_config import Change, apply_changes, changes, check, of_tenants, read_config
from deploy.tenant_files import TenantFile, TenantFileError, read_tenant_file, write_tenants, write_yaml

app = typer.Typer(
    help="The data that tenants set: users, calendars, service levels, rules for signals and more.",
    epilog="A file: `{tenant: acme, rules: {default: {rules: [{name: noise, fault: 'N*', suppress: true}]}}, "
    "maintenance: {weekend: {starts_at: 2026-03-07T00:00:00Z, until: 2026-03-09T00:00:00Z}}}`. "
    "Several tenants: YAML documents, or a list. Kinds and fields: docs/contracts.md, `tenant.config.v1`; "
    "an example with all of them: docs/examples/tenant.yaml.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Also what the file's tenants have and the file has not: it is deleted.")
]


@app.command()
def apply(
    file: File,
    prune: Prune = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for `ops.audit.v1`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the file's tenants to what the file says; safe to repeat.

    The whole file is checked before anything is sent, also whether what it names is there; only differences are
    written, all together, and with them on `ops.audit.v1` who changed what. When it returns, every command that is sent
    from then on is decided by what it wrote.

    Examples: `callout config apply acme.yaml --reason CHG-17` · `callout config apply all.json --prune --json`
    """
    wanted = _differences(_read(file), prune=prune, trail=AuditTrail(reason=reason))
    _print(wanted, as_json=as_json, nothing="All is as the file says; nothing to do.")


@app.command()
def get(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Write it there, do not print it.")] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Of this tenant only; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what is in force, in the form of a file.

    Examples: `callout config get --tenant acme` · `callout config get all.yaml` · `callout config get --json`
    """
    live = of_tenants(ask(read_config(find_stack().bootstrap_servers)), tenant or ())
    tenants = write_tenants(live)
    if file is None and as_json:
        print_json(tenants)
    elif file is None:
        typer.echo(write_yaml(tenants), nl=False)
    else:
        write_atomically(file, json.dumps(tenants, ensure_ascii=False, indent=2) if as_json else write_yaml(tenants))
        typer.echo(f"{file}: {len(live)} entries of {len(tenants)} tenants")


@app.command()
def diff(file: File, prune: Prune = False, as_json: AsJson = False) -> None:
    """Show what `apply` would change; exit 1 if anything.

    Examples: `callout config diff acme.yaml` · `callout config diff acme.yaml --prune`
    """
    wanted = _differences(_read(file), prune=prune)
    _print(wanted, as_json=as_json, nothing="All is as the file says.", prefix="would be ")
    if wanted:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _read(file: Path) -> TenantFile:
    try:
        return read_tenant_file(file.read_text(), str(file))
    except OSError as error:
        raise Failure(ExitCode.USAGE, f"Cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Failure(ExitCode.USAGE, f"{file} is not UTF-8.") from error
    except TenantFileError as error:
        raise _bad(error) from error


def _differences(file: TenantFile, *, prune: bool, trail: AuditTrail | None = None) -> list[Change]:
    """Return what differs; with a trail it is applied."""
    bootstrap_servers = find_stack().bootstrap_servers

    async def work() -> list[Change]:
        live = await read_config(bootstrap_servers)
        wanted = changes(live, file, prune=prune)
        check(live, file, wanted)
        if trail is not None and wanted:
            await apply_changes(bootstrap_servers, wanted, trail)
        return wanted

    try:
        return ask(work())
    except TenantFileError as error:
        raise _bad(error) from error


def _bad(error: TenantFileError) -> Failure:
    return Failure(ExitCode.USAGE, f"{error}\nNothing was sent.")


def _print(wanted: list[Change], *, as_json: bool, nothing: str, prefix: str = "") -> None:
    if as_json:
        print_json([_as_dict(change) for change in wanted])
        return
    for change in wanted:
        typer.echo(f"{prefix}{change.action}  {change.entry.key}")
        for line in _fields(change):
            typer.echo(f"    {line}")
    if not wanted:
        typer.echo(nothing)


def _fields(change: Change) -> list[str]:
    if change.before is None or change.after is None:
        return []
    names = sorted(change.before.keys() | change.after.keys())
    pairs = [(name, change.before.get(name, "(none)"), change.after.get(name, "(none)")) for name in names]
    return [f"{name}: {before} -> {after}" for name, before, after in pairs if before != after]


def _as_dict(change: Change) -> dict[str, Any]:
    entry = change.entry
    named = {"tenant": entry.tenant, "kind": entry.kind, "name": entry.name, "action": change.action}
    return named | {"before": change.before, "after": change.after}
