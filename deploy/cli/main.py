"""The command `callout`: every subcommand is named here."""

import logging
import os
import sys
from collections import UserDict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command, get_group

from deploy.cli.connection import FILE_VARIABLE
from deploy.cli.failure import ExitCode, Failure

EPILOG = "Exit codes: 0 ok, 1 a check failed, 2 wrong usage, 3 no stack reachable, 4 refused."

# In the order of the help: where a command's function is, or the group that it is.
COMMANDS: Final = {
    "up": "up:up",
    "demo": "demo:demo",
    "topics": "topics:app",
    "access": "access:app",
    "config": "config:app",
    "cases": "cases:app",
    "case": "case:case",
    "token": "token:token",
    "connect": "connect:connect",
    "devices": "devices:app",
    "verify": "verify:verify",
    "backup": "backup:backup",
    "restore": "backup:restore_",
    "rebuild": "rebuild:app",
    "views": "views:app",
    "erase": "erase:erase",
    "lag": "lag:lag",
    "tail": "tail:tail",
    "dead": "dead:app",
    "fleet": "fleet:fleet",
    "replay": "replay:replay",
}


class Loaded(UserDict[str, Any]):
    """Commands by name, each loaded when it is asked for: nobody waits for what another one needs."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - what click calls a command
        """Return a command.

        Raises:
            KeyError: there is none of this name.
        """
        module, _, part = self.data[name].partition(":")
        found = getattr(import_module(f"deploy.cli.{module}"), part)
        if isinstance(found, typer.Typer):
            command: Any = get_group(found)
        else:
            alone = typer.Typer(rich_markup_mode="markdown", add_completion=False)
            alone.command(name)(found)
            command = get_command(alone)
        command.name = name
        return command


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - as the library gives them
        super().__init__(**attributes)
        self.commands = Loaded(COMMANDS)


app = typer.Typer(
    name="callout",
    cls=Commands,
    help="Turns what machines report into service cases and drives every case to its end.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    except Exception as error:
        if not _is_out_of_reach(error):
            raise
        _leave(
            ExitCode.NOT_REACHABLE,
            f"The stack does not answer ({error}). Is it still running? `callout up` starts it.",
        )


def _is_out_of_reach(error: Exception) -> bool:
    from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError
    from pymongo.errors import ConnectionFailure

    return isinstance(error, (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, ConnectionFailure))


def _leave(code: ExitCode, message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(message, markup=False, style="red")
    sys.exit(code)


if __name__ == "__main__":
    main()
