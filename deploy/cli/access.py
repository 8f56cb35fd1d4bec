"""`callout access`: users and rights on Kafka and in MongoDB, from `deploy/topics.yaml`."""

import asyncio
import json
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pymongo.errors import PyMongoError

from deploy.access import mongodb_rights
from deploy.access.kafka_rights import KafkaRights, Right, RightsRefused
from deploy.access.plan import Principal, principals
from deploy.access.secret_files import make_secrets, password_of
from deploy.cli import access_keys
from deploy.cli.connection import KAFKA_VARIABLE
from deploy.cli.failure import ExitCode, Failure
from deploy.topics import Catalogue

app = typer.Typer(
    help="Users and rights on Kafka and in MongoDB: each program has the least it needs, from `deploy/topics.yaml`.",
    no_args_is_help=True,
)

app.command("mqtt")(access_keys.mqtt)
app.command("relay")(access_keys.relay)
app.command("issuer")(access_keys.issuer)

Folder = Annotated[Path, typer.Option("--secrets", metavar="DIR", help="As `callout access secrets` made it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Server(StrEnum):
    """Where rights are."""

    KAFKA = "kafka"
    MONGODB = "mongodb"


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show what each program may do; no server is asked.

    Example: `callout access show --json`
    """
    plan = principals(Catalogue.load())
    if as_json:
        typer.echo(json.dumps([_as_dict(each) for each in plan]))
        return
    for each in plan:
        typer.echo(f"{each.user}: MongoDB {each.database or 'all databases'}")
        for grant in sorted(each.grants):
            typer.echo(f"  {grant.operation:9}{grant.resource} {grant.name}{'…' if grant.prefixed else ''}")


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where they are to lie.")],
    mongodb_hosts: Annotated[str, typer.Option(help="MongoDB's addresses, host:port,…")] = "mongodb:27017",
    mongodb_options: Annotated[str, typer.Option(help="Options of its address.")] = "replicaSet=rs0",
    for_containers: Annotated[
        bool, typer.Option("--for-containers", help="A container that is shown a file can read it, whoever it runs as.")
    ] = False,
) -> None:
    """Draw the passwords and keys that are not there yet, a folder for each user; what is there stays.

    Example: `callout access secrets secrets --mongodb-hosts db-1:27017,db-2:27017`
    """
    plan = principals(Catalogue.load())
    made = make_secrets(folder, plan, hosts=mongodb_hosts, options=mongodb_options, readable=for_containers)
    typer.echo("\n".join(f"made {folder / name}" for name in made) or "All are there; nothing to do.")


@app.command()
def apply(
    folder: Folder,
    only: Annotated[Server | None, typer.Option(help="kafka or mongodb alone.")] = None,
    found: Annotated[
        str | None,
        typer.Option(
            "--found",
            metavar="HOST:PORT",
            help="Begin a new MongoDB server's replica set first, from its own machine; others know it by this name.",
        ),
    ] = None,
) -> None:
    """Make the users, give them what they may do, and take what nobody planned; safe to repeat.

    You are Kafka's admin by `KAFKA_SASL_USERNAME` and the like, and MongoDB's by the file in the folder. Only users
    whose name begins with `callout-` are touched.

    Example: `callout access apply --secrets secrets`
    """
    plan = principals(Catalogue.load())
    if only is not Server.MONGODB:
        _apply_kafka(plan, folder)
    if only is not Server.KAFKA:
        _apply_mongodb(plan, folder, found)


@app.command()
def diff(as_json: AsJson = False) -> None:
    """Show what users on Kafka may do other than planned; exit 1 if anything differs.

    Example: `callout access diff --json`
    """
    missing, unplanned = _asked(lambda rights: rights.differences(principals(Catalogue.load())))
    if as_json:
        found = {"missing": missing, "unplanned": unplanned}
        typer.echo(json.dumps({name: sorted(map(str, rights)) for name, rights in found.items()}))
    else:
        _tell("missing  ", missing)
        _tell("unplanned  ", unplanned)
        if not missing and not unplanned:
            typer.echo("All rights on Kafka are as planned.")
    if missing or unplanned:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _apply_kafka(plan: list[Principal], folder: Path) -> None:
    try:
        passwords = {each.user: password_of(folder, each.user) for each in plan}
    except OSError as error:
        raise Failure(
            ExitCode.USAGE, f"{error.filename}: {error.strerror}; `callout access secrets` makes it."
        ) from error

    def settle(rights: KafkaRights) -> tuple[set[Right], set[Right]]:
        missing, unplanned = rights.differences(plan)
        for user, password in passwords.items():
            rights.set_password(user, password)
        rights.give(missing)
        rights.take(unplanned)
        return missing, unplanned

    given, taken = _asked(settle)
    _tell("given  ", given)
    _tell("taken  ", taken)
    typer.echo(f"Kafka: {len(passwords)} users, {len(given)} rights given, {len(taken)} taken.")


def _asked(ask: Callable[[KafkaRights], tuple[set[Right], set[Right]]]) -> tuple[set[Right], set[Right]]:
    servers = os.environ.get(KAFKA_VARIABLE)
    if not servers:
        raise Failure(ExitCode.NOT_REACHABLE, f"Say where Kafka is: {KAFKA_VARIABLE}, and who you are there.")
    try:
        return ask(KafkaRights(servers))
    except RightsRefused as error:
        raise Failure(ExitCode.REFUSED, f"Kafka: {error}") from error


def _apply_mongodb(plan: list[Principal], folder: Path, member: str | None) -> None:
    async def settle() -> list[str]:
        if member is not None:
            await mongodb_rights.found(f"127.0.0.1:{member.rpartition(':')[2]}", member, folder)
        return await mongodb_rights.apply_users(folder, plan)

    try:
        users = asyncio.run(settle())
    except OSError as error:
        raise Failure(ExitCode.USAGE, f"{error}; `callout access secrets` makes it.") from error
    except (PyMongoError, TimeoutError) as error:
        raise Failure(ExitCode.NOT_REACHABLE, f"MongoDB: {type(error).__name__}: {error}") from error
    typer.echo(f"MongoDB: {len(users)} users.")


def _tell(prefix: str, rights: set[Right]) -> None:
    for right in sorted(rights):
        typer.echo(f"{prefix}{right}")


def _as_dict(principal: Principal) -> dict[str, object]:
    grants = sorted(principal.grants)
    return {
        "program": principal.program,
        "user": principal.user,
        "database": principal.database,
        "grants": [
            {"resource": g.resource, "name": g.name, "operation": g.operation, "prefixed": g.prefixed} for g in grants
        ],
    }
