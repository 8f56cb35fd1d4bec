"""`callout views`: the gateway's views."""

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli._progress import stages
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.rebuild_views import AnotherRebuildError, rebuild_views

app = typer.Typer(help="The gateway's views of cases.", no_args_is_help=True)


@app.command()
def rebuild(
    grace: Annotated[
        float, typer.Option(min=1.5, max=3600, help="Seconds in which the old views may still be read after the flip.")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Make all views and histories again from the topics, while the old ones serve.

    The gateway goes on working. Stopped or killed and begun again, it goes on where it was.

    Examples: `callout views rebuild` · `callout views rebuild --json`
    """
    stack = find_stack()
    try:
        with stages() as report:
            rebuilt = ask(
                rebuild_views(
                    stack.bootstrap_servers,
                    stack.mongodb_uri,
                    grace_seconds=grace,
                    report=lambda done, total: report("reading the history", done, total),
                )
            )
    except AnotherRebuildError as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    if as_json:
        print_json(asdict(rebuilt))
    else:
        left = f"; {rebuilt.unreadable:,} that cannot be read are dead letters" if rebuilt.unreadable else ""
        typer.echo(f"Generation {rebuilt.generation} serves, made of {rebuilt.events:,} events{left}.")
