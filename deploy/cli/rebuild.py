"""`callout rebuild`: stores made again from topics."""

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli._progress import stages
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.recovery.cases import FlawedError, Rebuilt, rebuild_cases
from deploy.recovery.ground import NotNowError
from deploy.recovery.keys import rebuild_keys

app = typer.Typer(help="Make a store again from what the topics tell.", no_args_is_help=True)

SHOWN_MAX: Final = 20


@app.command()
def cases(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; compare what is stored, exit 1 if it differs.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on where the history contradicts itself: the last event counts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make all cases again from `case.events.v1`, byte for byte, while the services are stopped.

    For a database that was lost, or documents that `callout verify` finds edited. The cases take the place of the
    stored ones in one step. Whatever the services had decided and not told is decided again when they start.

    Examples: `callout rebuild cases` · `callout rebuild cases --check`
    """
    stack = find_stack()
    try:
        with stages() as report:
            rebuilt = ask(
                rebuild_cases(
                    stack.bootstrap_servers,
                    stack.mongodb_uri,
                    check=check,
                    force=force,
                    report=lambda done, total: report("reading the history", done, total),
                )
            )
    except NotNowError as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    except FlawedError as error:
        for flaw in error.flaws[:SHOWN_MAX]:
            aside.print(f"{flaw.case_id}, event {flaw.seq}: {flaw.why}", markup=False)
        raise Failure(
            ExitCode.REFUSED, f"{error}; nothing was changed. With --force, the last event of each case counts."
        ) from error
    differs = rebuilt.differing + rebuilt.missing + rebuilt.unknown
    _tell(rebuilt, check=check, as_json=as_json)
    if check and differs:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command()
def keys(as_json: AsJson = False) -> None:
    """Make what intake knows of its dedup keys again, from all that it ever heard and told; it must know nothing.

    For a database that was lost and never backed up, as long as the topics still have everything: intake's keep a day
    to seven by default. After `callout rebuild cases`, with the services stopped.

    Example: `callout rebuild keys`
    """
    stack = find_stack()
    try:
        with stages() as report:
            made = ask(
                rebuild_keys(
                    stack.bootstrap_servers,
                    stack.mongodb_uri,
                    report=lambda done, total: report("hearing again", done, total),
                )
            )
    except NotNowError as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    if as_json:
        print_json(asdict(made))
    else:
        typer.echo(f"{made.keys:,} dedup keys, of {made.records:,} records.")
    for place in made.unexplained[:SHOWN_MAX]:
        aside.print(f"cannot be explained by what was heard: {place}", markup=False)
    if made.unexplained:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _tell(rebuilt: Rebuilt, *, check: bool, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = asdict(rebuilt)
        print_json(told if check else {k: v for k, v in told.items() if k not in ("differing", "missing", "unknown")})
        return
    waiting = f" and {rebuilt.stubs} that wait for their creation" if rebuilt.stubs else ""
    typer.echo(f"{rebuilt.cases:,} cases{waiting}, of {rebuilt.events:,} events.")
    for kind in ("differing", "missing", "unknown") if check else ():
        ids: list[str] = getattr(rebuilt, kind)
        typer.echo(f"{kind}: {len(ids):,} {' '.join(ids[:SHOWN_MAX])}".rstrip())
