"""The command `callout`: every subcommand is registered here."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError
from pymongo.errors import ConnectionFailure
from rich.console import Console

from deploy.cli import (
    backup,
    case,
    cases,
    config,
    connect,
    dead,
    demo,
    devices,
    erase,
    fleet,
    lag,
    rebuild,
    replay,
    tail,
    token,
    topics,
    up,
    verify,
    views,
)
from deploy.cli.connection import FILE_VARIABLE
from deploy.cli.failure import ExitCode, Failure

EPILOG = "Exit codes: 0 ok, 1 a check failed, 2 wrong usage, 3 no stack reachable, 4 refused."

app = typer.Typer(
    name="callout",
    help="Turns what machines report into service cases and drives every case to its end.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Commands, in the order of the help. A module gives a function (`app.command`) or a group of its own (`app.add_typer`).
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.add_typer(topics.app, name="topics")
app.add_typer(config.app, name="config")
app.add_typer(cases.app, name="cases")
app.command("case")(case.case)
app.command("token")(token.token)
app.command("connect")(connect.connect)
app.add_typer(devices.app, name="devices")
app.command("verify")(verify.verify)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore_)
app.add_typer(rebuild.app, name="rebuild")
app.add_typer(views.app, name="views")
app.command("erase")(erase.erase)
app.command("lag")(lag.lag)
app.command("tail")(tail.tail)
app.add_typer(dead.app, name="dead")
app.command("fleet")(fleet.fleet)
app.command("replay")(replay.replay)


@app.callback()
def options(
    env: Annotated[
        Path | None,
        typer.Option(
            "--env",
            metavar="FILE",
            help="The running stack, as `callout up --write-env FILE` wrote it. "
            "Without it: the variables `KAFKA_BOOTSTRAP_SERVERS` and `MONGODB_URI`, else `./.callout/env`.",
        ),
    ] = None,
) -> None:
    """Take the options that every command has."""
    # What our libraries have to say about lost connections is said once, by the exit code and its sentence.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if env is not None:
        os.environ[FILE_VARIABLE] = str(env)


def main() -> None:
    """Run the command and leave with its exit code."""
    try:
        app()
    except Failure as failure:
        _leave(failure.code, str(failure))
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, ConnectionFailure) as error:
        _leave(
            ExitCode.NOT_REACHABLE,
            f"The stack does not answer ({error}). Is it still running? `callout up` starts it.",
        )


def _leave(code: ExitCode, message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(message, markup=False, style="red")
    sys.exit(code)


if __name__ == "__main__":
    main()
