"""Takes a backup of all services' databases and positions, while they run.

Order is what makes it whole: first where topics end, then positions, then the documents, all databases as of one
moment. So a document knows at least what its service had told by those positions; what it knows beyond them, its marks
say. Bytes of files come last, as they are read: they are too many for a moment, and never change once they are whole.
Topics are not part of it: they are replicated, and the store can be brought forward from them.
"""

import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from deploy.recovery.archive import (
    BYTES,
    RAW,
    BackupError,
    Manifest,
    Offsets,
    Stored,
    make_durable,
    path_of,
    write_documents,
    write_manifest,
)
from deploy.recovery.ground import partitions_of, positions_now
from deploy.topic_admin import TopicAdmin
from shared.contracts.fields import rfc3339, utc_milliseconds
from shared.kafka import client_settings

PREFIX: Final = "callout_"
GROUPS: Final = "callout."
#: Collections that a half done repair left behind.
PASSING: Final = frozenset({"cases_made_again"})
SNAPSHOT_TOO_OLD: Final = 239
MAJORITY: Final = ReadConcern("majority")

Report = Callable[[int, int], None]


async def take_backup(
    bootstrap_servers: str, mongodb_uri: str, out: Path, *, report: Report = lambda _, __: None
) -> Manifest:
    """Write a backup to a folder that is not there yet; `report` hears how many of how many documents are written.

    Only a whole backup ever has that name; what a backup that was killed had written, the next one there removes.

    Raises:
        BackupError: the folder is there or cannot be made, or reading took longer than the database keeps a moment.
    """
    partial = _begin(out)
    at = rfc3339(utc_milliseconds(datetime.now(UTC)))
    told = await _told(bootstrap_servers)
    cluster, positions = await _positions(bootstrap_servers)
    try:
        collections = await _documents(mongodb_uri, partial, report)
    except OperationFailure as error:
        if error.code != SNAPSHOT_TOO_OLD:
            raise
        raise BackupError(
            "reading took longer than MongoDB keeps a moment: raise its `minSnapshotHistoryWindowInSeconds` "
            "(300 by default), or stop the services first"
        ) from error
    except OSError as error:
        raise BackupError(f"{error.filename or partial}: {error.strerror}") from error
    manifest = Manifest(at=at, cluster=cluster, told=told, positions=positions, collections=collections)
    write_manifest(partial, manifest)
    for folder in (*(partial / database for database in collections), partial):
        make_durable(folder)
    try:
        partial.rename(out)
    except OSError as error:
        raise BackupError(f"{out} came to be there meanwhile; the backup is in {partial}") from error
    make_durable(out.parent)
    return manifest


def _begin(out: Path) -> Path:
    if out.exists():
        raise BackupError(f"{out} is there already; give a folder that is not")
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise BackupError(f"{partial} cannot be made: {error.strerror}") from error
    return partial


async def cluster_of(bootstrap_servers: str) -> str:
    """Return the id of a cluster."""
    admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
    try:
        await admin.start()
        return str((await admin.describe_cluster()).get("cluster_id", ""))
    finally:
        await admin.close()


async def databases(client: AsyncMongoClient[Any]) -> list[str]:
    """Return the names of all services' databases."""
    return sorted(name for name in await client.list_database_names() if name.startswith(PREFIX))


async def _told(bootstrap_servers: str) -> dict[str, dict[int, int]]:
    async with TopicAdmin(bootstrap_servers) as admin:
        topics = sorted(topic for topic in await admin.partition_counts() if not topic.startswith("__"))
    partitions = await partitions_of(topics, bootstrap_servers)
    async with AIOKafkaConsumer(**client_settings(bootstrap_servers), isolation_level="read_committed") as asker:
        return _by_topic(await asker.end_offsets(partitions))


async def _positions(bootstrap_servers: str) -> tuple[str, dict[str, dict[str, dict[int, int]]]]:
    found = await positions_now(GROUPS, bootstrap_servers)
    return await cluster_of(bootstrap_servers), {name: _by_topic(places) for name, places in found.items()}


async def _documents(mongodb_uri: str, folder: Path, report: Report) -> dict[str, dict[str, Stored]]:
    client: AsyncMongoClient[RawBSONDocument] = AsyncMongoClient(mongodb_uri, document_class=RawBSONDocument)
    stored: dict[str, dict[str, Stored]] = defaultdict(dict)
    async with client:
        names = [
            (database, collection)
            for database in await databases(client)
            for collection in sorted(await client[database].list_collection_names())
            if collection not in PASSING and not collection.startswith("system.")
        ]
        total = sum([await client[database][name].estimated_document_count() for database, name in names])
        done = 0

        async def write(database: str, name: str, session: AsyncClientSession | None) -> None:
            nonlocal done
            documents = _read(client, session, database, name)
            stored[database][name] = await write_documents(path_of(folder, database, name), documents)
            done += stored[database][name].documents
            report(done, total)

        async with client.start_session(snapshot=True) as session:
            for database, name in names:
                if not name.endswith(BYTES):
                    await write(database, name, session)
        for database, name in names:
            if name.endswith(BYTES):
                await write(database, name, None)
    return dict(stored)


async def _read(
    client: AsyncMongoClient[RawBSONDocument], session: AsyncClientSession | None, database: str, name: str
) -> AsyncIterator[RawBSONDocument]:
    collection = client[database].get_collection(name, codec_options=RAW, read_concern=None if session else MAJORITY)
    async for document in collection.find(session=session).batch_size(1_000):
        yield document


def _by_topic(places: Offsets) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for partition, place in sorted(places.items()):
        found[partition.topic][partition.partition] = place
    return dict(found)
