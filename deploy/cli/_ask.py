"""What commands share that ask a running stack: one loop, one answer, and one sentence when none comes."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console

from deploy import record_view
from deploy.cli.failure import ExitCode, Failure

Answer = TypeVar("Answer")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: What is said beside the data, so that standard output holds nothing else.
aside: Final = Console(stderr=True, soft_wrap=True, highlight=False)


def ask(question: Coroutine[Any, Any, Answer]) -> Answer:
    """Do what talks with the stack.

    Raises:
        Failure: it did not answer in time.
    """
    try:
        return asyncio.run(question)
    except TimeoutError as error:
        raise Failure(
            ExitCode.NOT_REACHABLE, "The stack does not answer in time. Is it still running? `callout up` starts it."
        ) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def print_json(value: object) -> None:
    """Print a value as JSON: indented for people, on one line for programs."""
    indent = 2 if Console().is_terminal else None
    typer.echo(record_view.as_json(value, indent=indent))
