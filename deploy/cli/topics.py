"""`callout topics`: brings a cluster's topics to `deploy/topics.yaml`."""

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from deploy import adoption, partition_growth
from deploy.auditing import AuditTrail
from deploy.cli._ask import aside
from deploy.cli.connection import Connection, find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.sending import send_together
from deploy.topic_admin import Difference, TopicAdmin
from deploy.topics import DECLARATION, Catalogue, DeclarationError, Topic

KNOWN_SECONDS: Final = 10
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
    drained: Annotated[
        bool, typer.Option("--drained", help="Raise partition counts too: nobody writes, and all was read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create what is missing, change settings that differ; safe to repeat.

    A partition count is only raised with `--drained`, and never lowered: the keys move to other partitions, away from
    their history. First let the senders pause, wait until `callout lag` shows 0 everywhere, and stop all services.
    That downstream readers have read all is for you to know. What keeps its records, compacted or for ever, is never
    drained: it grows only while it is empty.

    Examples: `callout topics apply --replication-factor 3` · `callout topics apply --drained`
    """
    catalogue = _catalogue(file)
    differences, growth = asyncio.run(_apply(catalogue, find_stack(), replication_factor, drained=drained))
    left = [each for each in differences if each.partitions is not None and each.topic.name not in growth.raised]
    done = [each for each in differences if each.missing or each.config or each not in left]
    nothing = "" if left else "All topics are as declared; nothing to do."
    _print(differences if as_json else done, as_json=as_json, nothing=nothing, prefix="applied  ")
    for known in growth.known:
        aside.print(f"{known.service} knows now that {known.topic} has {known.now} partitions, not {known.before}")
    if left:
        raise Failure(ExitCode.REFUSED, _why_not(left, drained=drained))


def _why_not(left: list[Difference], *, drained: bool) -> str:
    names = "; ".join(f"{each.topic.name} has {each.partitions}, not {each.topic.partitions}" for each in left)
    ways = {
        "drain the topics, stop the services and use --drained": not drained and any(each.grows for each in left),
        "what keeps its records for ever or compacted can only grow while it is empty": drained
        and any(each.grows for each in left),
        "no count is ever lowered": any(not each.grows for each in left),
    }
    return (
        f"Refused to change partition counts ({names}): keys would move to other partitions, away from their history. "
        f"To go on: give the file the live count. Otherwise: {'; '.join(way for way, fits in ways.items() if fits)}."
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
        adoptions = asyncio.run(_adopt(wanted, stack))
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


async def _apply(
    catalogue: Catalogue, stack: Connection, replication_factor: int, *, drained: bool
) -> tuple[list[Difference], partition_growth.Growth]:
    servers = {"bootstrap_servers": stack.bootstrap_servers, "mongodb_uri": stack.mongodb_uri}
    async with TopicAdmin(stack.bootstrap_servers) as admin:
        differences = await admin.differences(catalogue)
        growth = partition_growth.Growth(raised=frozenset(), known=())
        if drained:
            try:
                growth = await partition_growth.grow(admin, catalogue, differences, **servers)
            except partition_growth.NotDrainedError as error:
                raise Failure(ExitCode.REFUSED, str(error)) from error
        await admin.settle(differences, replication_factor=replication_factor)
        trail = AuditTrail()
        await _until_known(admin, catalogue, growth.raised)
        grown = [trail.record("topic.grown", "topic", name) for name in sorted(growth.raised)]
        if grown:
            await send_together(stack.bootstrap_servers, grown)
        return differences, growth


async def _until_known(admin: TopicAdmin, catalogue: Catalogue, raised: Collection[str]) -> None:
    """Return once the brokers know what was set, a moment after it was accepted: whoever asks next is to see it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(KNOWN_SECONDS):
            left = await admin.differences(catalogue)
            while any(each.missing or each.config or each.topic.name in raised for each in left):
                await asyncio.sleep(KNOWN_SECONDS / 200)
                left = await admin.differences(catalogue)


async def _adopt(topic: Topic, stack: Connection) -> list[adoption.Adoption]:
    adoptions = await adoption.adopt(topic, bootstrap_servers=stack.bootstrap_servers, mongodb_uri=stack.mongodb_uri)
    generations = {each.service: each.generation for each in adoptions}
    told = AuditTrail().record("topic.adopted", "topic", topic.name, details={"generations": generations})
    await send_together(stack.bootstrap_servers, [told])
    return adoptions


async def _differences(catalogue: Catalogue, bootstrap_servers: str) -> list[Difference]:
    async with TopicAdmin(bootstrap_servers) as admin:
        return await admin.differences(catalogue)


def _print(differences: list[Difference], *, as_json: bool, nothing: str, prefix: str = "") -> None:
    if as_json:
        typer.echo(json.dumps([_as_dict(each) for each in differences]))
        return
    for each in differences:
        typer.echo(f"{prefix}{each}")
    if not differences and nothing:
        typer.echo(nothing)


def _as_dict(difference: Difference) -> dict[str, object]:
    return {
        "topic": difference.topic.name,
        "missing": difference.missing,
        "partitions": difference.partitions,
        "config": {key: {"live": live, "declared": wanted} for key, (live, wanted) in difference.config.items()},
    }
