"""`callout connect`: a remote session for stock SSH clients."""

import asyncio
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli._ask import AsJson, print_json
from deploy.cli.connection import find_http_url
from deploy.cli.failure import ExitCode, Failure
from deploy.session_access import NotOpened, Wanted, open_session


def connect(
    case: Annotated[str, typer.Argument(help="The case, by its id or number.")],
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="ENDPOINT", help="Which endpoint; may be repeated.")
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="Files (sftp) instead of ports.")] = False,
    minutes: Annotated[int, typer.Option(min=1, max=720, help="How long at most.")] = 120,
    token: Annotated[
        str, typer.Option(envvar="CALLOUT_TOKEN", help="A technician's token for the gateway.", show_envvar=True)
    ] = "",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where key, certificate and configuration go.")] = Path(
        ".callout/session"
    ),
    run: Annotated[bool, typer.Option("--run", help="Run ssh, or sftp, at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open a session to the machine of a case: key, certificate and an `ssh` configuration, ready to use.

    Waits until the owner of the machine consents. Example: `callout connect 10000001 --type hmi --run`
    """
    if not token:
        raise Failure(ExitCode.USAGE, "Give a technician's token with --token or CALLOUT_TOKEN (see `callout token`).")
    wanted = Wanted(case=case, endpoints=tuple(type_ or ()), kind="file" if files else "tunnel", minutes=minutes)

    def waiting(state: str) -> None:
        if not as_json:
            typer.echo(f"waiting: {state}", err=True)

    try:
        access = asyncio.run(open_session(find_http_url(), token, wanted, out.resolve(), waiting))
    except NotOpened as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    except OSError as error:
        raise Failure(ExitCode.NOT_REACHABLE, f"The gateway cannot be reached: {error}.") from error
    if as_json:
        print_json({"session": access.session["id"], "config": str(access.config), "command": access.command})
    else:
        typer.echo(shlex.join(access.command))
    if run:
        os.execvp(access.command[0], access.command)  # noqa: S606 - what the user asked for
