"""`callout rebuild`: stores made again from topics."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.rebuild import FlawedError, Rebuilt, rebuild_cases
from deploy.rebuild_ground import NotNowError

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
        with progress("reading the history") as report:
            rebuilt = ask(
                rebuild_cases(stack.bootstrap_servers, stack.mongodb_uri, check=check, force=force, report=report)
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


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _, __: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
