"""Puts a backup back where the database was lost, and brings it forward to where the services stood.

Topics and positions stay as they are: what was told is told. So documents are not left at the time of the backup, where
they would be older than what others know, but follow what was told since, and nothing is told again.

Until all is done a note in each service's store keeps it from working on a part of it; whoever begins again after a
restore that was cut short finds these notes, and starts over.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient

from deploy.adoption import database_name, group_id
from deploy.inspection import redacted_topics
from deploy.recovery import files, forward, ground, keys
from deploy.recovery.archive import (
    BYTES,
    Manifest,
    Offsets,
    check_documents,
    path_of,
    read_documents,
    read_manifest,
)
from deploy.recovery.backup import PREFIX, cluster_of
from deploy.recovery.figures import bring_figures_forward
from deploy.recovery.ground import DURABLE, NotNowError, move_back, positions_now
from deploy.topics import Catalogue
from shared.contracts.catalogue import CASE_EVENTS, OPS_RELIABILITY, OPS_SLA
from shared.flow.sources import RESTORING

WORKFLOW: Final = "workflow"
INTAKE: Final = "intake"
SOURCES: Final = "sources"
#: Half a MiB each.
CHUNKS_AT_ONCE: Final = 16

#: Told what is done now, how much of it, and how much there is.
Report = Callable[[str, int, int], None]
Client = AsyncMongoClient[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put back, and what brought it forward; services that nothing brings forward hear again from then on."""

    manifest: Manifest
    documents: int
    cases: forward.Forwarded | None
    figures: int
    keys: keys.Forwarded | None
    hearing_again: tuple[str, ...]


async def restore(
    folder: Path, bootstrap_servers: str, mongodb_uri: str, *, force: bool = False, report: Report
) -> Restored:
    """Restore a backup where its databases are empty; with `force` what is there is dropped first.

    Raises:
        BackupError: the folder is no whole backup.
        NotNowError: a service is at work, a database is not empty, or the topics are not those of the backup.
    """
    manifest = read_manifest(folder)
    _check(folder, manifest, report)
    await _refuse_if_not_now(manifest, bootstrap_servers)
    client: Client = AsyncMongoClient(mongodb_uri)
    async with client:
        await _empty(client, manifest, force=force)
        await _forbid_work(client, folder, manifest)
        documents = await _load(client, folder, manifest, report)
        restored = await _bring_forward(client, folder, manifest, bootstrap_servers, report)
        again = await _hear_again(client, manifest, bootstrap_servers)
        await files.let_mend(client, manifest, bootstrap_servers)
        await _allow_work(client, manifest)
        return Restored(manifest=manifest, documents=documents, hearing_again=again, **restored)


def _check(folder: Path, manifest: Manifest, report: Report) -> None:
    """Make sure that all of a backup is there, before anything else."""
    total = sum(stored.documents for found in manifest.collections.values() for stored in found.values())
    done = 0
    for database, collections in manifest.collections.items():
        for name, stored in collections.items():
            check_documents(path_of(folder, database, name), stored)
            done += stored.documents
            report("checking the backup", done, total)


async def _refuse_if_not_now(manifest: Manifest, bootstrap_servers: str) -> None:
    services = sorted({service for topic in Catalogue.load().topics for service in topic.heard_by})
    await ground.refuse_while_running(services, bootstrap_servers)
    if manifest.cluster != (cluster := await cluster_of(bootstrap_servers)):
        raise NotNowError(f"The backup is of cluster {manifest.cluster}, this is {cluster}: its topics are others.")
    told = [*keys.TOLD, CASE_EVENTS.name, OPS_SLA.name, OPS_RELIABILITY.name, *await redacted_topics(bootstrap_servers)]
    await ground.wait_until_told(told, bootstrap_servers)
    if database_name(INTAKE) in manifest.collections:
        here = await ground.find_ground(INTAKE, bootstrap_servers)
        await keys.check_kept(here, _since(manifest), bootstrap_servers)


async def _empty(client: Client, manifest: Manifest, *, force: bool) -> None:
    """Drop the databases of the backup: empty ones, those of a restore that was cut short, with `force` any."""
    for name in manifest.collections:
        if not force and not await client[name][SOURCES].find_one({RESTORING: True}):
            for collection in await client[name].list_collection_names():
                if await client[name][collection].find_one() is not None:
                    raise NotNowError(
                        f"{name}.{collection} is not empty. A backup is restored where the database was lost; to give "
                        "up what is there, say --force."
                    )
    for name in manifest.collections:
        await client.drop_database(name)


async def _forbid_work(client: Client, folder: Path, manifest: Manifest) -> None:
    """Note in every store that it is not whole; the notes are also all that a service knows of its topics."""
    for name in manifest.collections:
        topics = [topic.name for topic in ground.heard_by(name.removeprefix(PREFIX))]
        known: dict[str, dict[str, Any]] = {topic: {"_id": topic, "generation": 0, "revision": 1} for topic in topics}
        known |= {str(each["_id"]): each for each in _sources(folder, manifest, name)}
        if known:
            sources = client[name].get_collection(SOURCES, write_concern=DURABLE)
            await sources.insert_many([each | {RESTORING: True} for each in known.values()])


async def _allow_work(client: Client, manifest: Manifest) -> None:
    for name in manifest.collections:
        sources = client[name].get_collection(SOURCES, write_concern=DURABLE)
        await sources.update_many({}, {"$unset": {RESTORING: ""}})


def _sources(folder: Path, manifest: Manifest, database: str) -> list[dict[str, Any]]:
    if SOURCES not in manifest.collections.get(database, {}):
        return []
    return [dict(each) for each in read_documents(path_of(folder, database, SOURCES))]


async def _load(client: Client, folder: Path, manifest: Manifest, report: Report) -> int:
    found = [(db, name) for db, names in manifest.collections.items() for name in names if name != SOURCES]
    total = sum(manifest.collections[database][name].documents for database, name in found)
    done = 0
    for database, name in found:
        target = client[database].get_collection(name, write_concern=DURABLE)
        at_once = CHUNKS_AT_ONCE if name.endswith(BYTES) else ground.AT_ONCE
        for part in ground.in_parts(read_documents(path_of(folder, database, name)), at_once):
            await target.insert_many(part, ordered=False)
            done += len(part)
            report("writing documents", done, total)
    return done


async def _bring_forward(
    client: Client, folder: Path, manifest: Manifest, bootstrap_servers: str, report: Report
) -> dict[str, Any]:
    """Let workflow's and intake's documents follow what was told since the backup."""
    done: dict[str, Any] = {"cases": None, "figures": 0, "keys": None}
    if database_name(WORKFLOW) in manifest.collections:
        database = ground.database_of(client, WORKFLOW)
        here = await ground.find_ground(WORKFLOW, bootstrap_servers)
        known = forward.Known(
            told=manifest.told_in(CASE_EVENTS.name, OPS_SLA.name),
            heard=_heard(manifest, WORKFLOW),
            generations=_generations(folder, manifest, WORKFLOW),
        )
        done["cases"] = await forward.bring_cases_forward(
            database, here, known, bootstrap_servers, report=lambda at, of: report("following events", at, of)
        )
        done["figures"] = await bring_figures_forward(database, here, known, bootstrap_servers)
    if database_name(INTAKE) in manifest.collections:
        done["keys"] = await keys.bring_keys_forward(
            ground.database_of(client, INTAKE),
            await ground.find_ground(INTAKE, bootstrap_servers),
            _since(manifest),
            _generations(folder, manifest, INTAKE),
            bootstrap_servers,
            report=lambda at, of: report("following signals", at, of),
        )
    return done


def _since(manifest: Manifest) -> keys.Since:
    return keys.Since(heard=_heard(manifest, INTAKE), told=manifest.told_in(*keys.TOLD))


def _heard(manifest: Manifest, service: str) -> Offsets:
    found: Offsets = {}
    for topic in ground.heard_by(service):
        found |= manifest.positions_of(group_id(service, topic.name))
    return found


def _generations(folder: Path, manifest: Manifest, service: str) -> dict[str, int]:
    """Return how often each topic had been adopted anew."""
    return {str(each["_id"]): int(each["generation"]) for each in _sources(folder, manifest, database_name(service))}


async def _hear_again(client: Client, manifest: Manifest, bootstrap_servers: str) -> tuple[str, ...]:
    """Let services that nothing brings forward hear again what came since the backup."""
    services = [name.removeprefix(PREFIX) for name in manifest.collections]
    others = [service for service in services if service not in (WORKFLOW, INTAKE)]
    for service in others:
        floors: dict[str, int] = {}
        prefix = f"callout.{service}."
        now = await positions_now(prefix, bootstrap_servers)
        for group in now.keys() | {each for each in manifest.positions if each.startswith(prefix)}:
            places = await move_back(group, now.get(group, {}), manifest.positions_of(group), bootstrap_servers)
            floors |= {f"{each.topic}/{each.partition}": place for each, place in places.items()}
        names: Set[str] = manifest.collections[database_name(service)].keys()
        await _lower_floors(client, database_name(service), names, floors)
    return tuple(others)


async def _lower_floors(client: Client, database: str, names: Set[str], floors: dict[str, int]) -> None:
    """Let records come again that documents had thought to be past."""
    for name in names:
        if name.endswith(BYTES):
            continue
        async for document in client[database][name].find({"marks": {"$exists": True}}):
            marks = [
                mark | {"floor": min(mark["floor"], floors.get(mark["source"], mark["floor"]))}
                for mark in document["marks"]
            ]
            await client[database][name].update_one({"_id": document["_id"]}, {"$set": {"marks": marks}})
