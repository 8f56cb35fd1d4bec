"""Rights in MongoDB: brings its users to the plan, and begins the replica set of a server that is new."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.uri_parser import parse_uri

from deploy.access.plan import Principal
from deploy.access.secret_files import ADMIN, uri_of

ANSWER_MILLISECONDS: Final = 10_000
PRIMARY_SECONDS: Final = 60
POLL_SECONDS: Final = 0.2
NOT_YET_INITIALIZED: Final = 94
UNAUTHORIZED: Final = 13

Client = AsyncMongoClient[dict[str, Any]]


async def apply_users(folder: Path, principals: Iterable[Principal]) -> list[str]:
    """Make every user, with the password that its file says and the rights that the plan says; return their names.

    Raises:
        PyMongoError: if the server does not answer, or refuses.
    """
    client: Client = AsyncMongoClient(uri_of(folder, ADMIN), serverSelectionTimeoutMS=ANSWER_MILLISECONDS)
    async with client:
        return [await _apply_user(client, each, uri_of(folder, each.user)) for each in principals]


async def found(address: str, member: str, folder: Path) -> bool:
    """Begin a replica set of one on a new server, and make its admin; return whether there was anything to do.

    MongoDB lets the first user be made from its own machine alone: `address` has to be its loopback, `member` is how
    others know it.

    Raises:
        PyMongoError: if the server does not answer, or refuses.
        TimeoutError: if it does not become primary.
    """
    client: Client = AsyncMongoClient(
        f"mongodb://{address}/?directConnection=true", serverSelectionTimeoutMS=ANSWER_MILLISECONDS
    )
    async with client:
        hello = await client.admin.command("hello")
        began = not hello.get("setName")
        if began:
            configuration = {"_id": _replica_set(folder), "members": [{"_id": 0, "host": member}]}
            await client.admin.command("replSetInitiate", configuration)
        async with asyncio.timeout(PRIMARY_SECONDS):
            while not (await client.admin.command("hello")).get("isWritablePrimary"):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(POLL_SECONDS)
        admin = parse_uri(uri_of(folder, ADMIN))
        try:
            await client.admin.command("createUser", ADMIN, pwd=admin["password"], roles=["root"])
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:  # there is a first user already: nobody is let in without a name any more
                raise
            return began
    return True


def _replica_set(folder: Path) -> str:
    return str(parse_uri(uri_of(folder, ADMIN))["options"]["replicaSet"])


async def _apply_user(client: Client, principal: Principal, uri: str) -> str:
    told = parse_uri(uri)
    database = client[principal.database or "admin"]
    roles: list[Any] = (
        [{"role": "readWrite", "db": principal.database}]
        if principal.database
        else ["readWriteAnyDatabase", "clusterMonitor"]
    )
    known = await database.command("usersInfo", principal.user)
    command = "updateUser" if known["users"] else "createUser"
    await database.command(command, principal.user, pwd=told["password"], roles=roles)
    return principal.user
