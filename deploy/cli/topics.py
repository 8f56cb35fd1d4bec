"""`callout topics`: brings a cluster's topics to `deploy/topics.yaml`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from deploy import adoption
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.topic_admin import Difference, TopicAdmin
from deploy.topics import DECLARATION, Catalogue, DeclarationError

app = typer.Typer(help="The topics of the cluster, from `deploy/topics.yaml`.", no_args_is_help=True)

Declared = Annotated[
    Path, typer.Option("--file", metavar="FILE", help="The declaration.", show_default="deploy/topics.yaml")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def apply(
    file: Declared = DECLARATION,
    replication_factor: Annotated[
        int, typer.Option(min=1, help="Copies of each new topic: 3 on a cluster, 1 on the embedded broker.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Create what is missing, change settings that differ; safe to repeat.

    A partition count is never changed: the keys would move to other partitions, away from their history.

    Example: `callout topics apply --replication-factor 3`
    """
    differences = asyncio.run(_settle(_catalogue(file), find_stack().bootstrap_servers, replication_factor))
    _print(differences, as_json=as_json, nothing="All topics are as declared; nothing to do.", prefix="applied  ")
    wrong = [each for each in differences if each.partitions is not None]
    if wrong:
        names = "; ".join(f"{each.topic.name} has {each.partitions}, not {each.topic.partitions}" for each in wrong)
        raise Failure(
            ExitCode.REFUSED,
            f"Refused to change partition counts ({names}): keys would move to other partitions, away from their "
            "history. Give the file the live count, or make a new version of the topic and drain the old one.",
        )


@app.command()
def diff(file: Declared = DECLARATION, as_json: AsJson = False) -> None:
    """Show what differs from the declaration; exit 1 if anything does.

    Example: `callout topics diff --json`
    """
    differences = asyncio.run(_differences(_catalogue(file), find_stack().bootstrap_servers))
    _print(differences, as_json=as_json, nothing="All topics are as declared.")
    if differences:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command()
def adopt(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The source topic that was recreated or restored.")],
    file: Declared = DECLARATION,
    as_json: AsJson = False,
) -> None:
    """Start new marks on a source topic that was recreated or restored.

    The services that hear it stopped with an alarm, for its offsets are not those they remember. Stop all their
    workers, run this, start them again: they take the topic as new, from its beginning where their position is gone.

    Example: `callout topics adopt device.signals.v1`
    """
    wanted = _catalogue(file).find(topic)
    if wanted is None or not wanted.heard_by:
        raise Failure(ExitCode.USAGE, f"{topic} is not a topic that a service hears: see deploy/topics.yaml.")
    stack = find_stack()
    try:
        adoptions = asyncio.run(
            adoption.adopt(wanted, bootstrap_servers=stack.bootstrap_servers, mongodb_uri=stack.mongodb_uri)
        )
    except adoption.GroupInUseError as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    if as_json:
        typer.echo(
            json.dumps(
                [{"service": a.service, "generation": a.generation, "moved": sorted(a.moved)} for a in adoptions]
            )
        )
        return
    for each in adoptions:
        moved = ", ".join(f"{number}: {old} -> {new}" for number, (old, new) in sorted(each.moved.items()))
        typer.echo(f"{each.service}: generation {each.generation}; positions moved: {moved or 'none'}")
    typer.echo("Start the services again.")


def _catalogue(file: Path) -> Catalogue:
    try:
        return Catalogue.load(file)
    except DeclarationError as error:
        raise Failure(ExitCode.USAGE, str(error)) from error


async def _settle(catalogue: Catalogue, bootstrap_servers: str, replication_factor: int) -> list[Difference]:
    async with TopicAdmin(bootstrap_servers) as admin:
        differences = await admin.differences(catalogue)
        await admin.settle(differences, replication_factor=replication_factor)
        return differences


async def _differences(catalogue: Catalogue, bootstrap_servers: str) -> list[Difference]:
    async with TopicAdmin(bootstrap_servers) as admin:
        return await admin.differences(catalogue)


def _print(differences: list[Difference], *, as_json: bool, nothing: str, prefix: str = "") -> None:
    if as_json:
        typer.echo(json.dumps([_as_dict(each) for each in differences]))
        return
    for each in differences:
        typer.echo(f"{prefix}{each}")
    if not differences:
        typer.echo(nothing)


def _as_dict(difference: Difference) -> dict[str, object]:
    return {
        "topic": difference.topic.name,
        "missing": difference.missing,
        "partitions": difference.partitions,
        "config": {key: {"live": live, "declared": wanted} for key, (live, wanted) in difference.config.items()},
    }
