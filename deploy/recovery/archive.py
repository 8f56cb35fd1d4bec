"""How a backup lies on disk: a folder with a manifest, and a file of BSON documents for each collection."""

import gzip
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import bson
from aiokafka import TopicPartition
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
RAW: Final = CodecOptions(document_class=RawBSONDocument)
#: As fast as the database reads, and a third of the size; bytes of files are packed already, mostly.
LEVEL: Final = 1
LEVEL_OF_BYTES: Final = 0
#: Collections of bytes of files, in the form of GridFS.
BYTES: Final = ".chunks"

Offsets = dict[TopicPartition, int]


class BackupError(Exception):
    """A folder that is no backup, or not one that can be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One collection: how many documents, and the digest of their bytes."""

    documents: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds.

    `told`: where topics ended for readers, before the positions were read. `positions`: of each group. `collections`:
    database -> collection -> what is there; read after the positions, so that documents are never older.
    """

    at: str
    cluster: str
    told: Mapping[str, Mapping[int, int]]
    positions: Mapping[str, Mapping[str, Mapping[int, int]]]
    collections: Mapping[str, Mapping[str, Stored]]

    def told_in(self, *topics: str) -> Offsets:
        """Return where topics ended."""
        return {TopicPartition(t, number): end for t in topics for number, end in self.told.get(t, {}).items()}

    def positions_of(self, group: str) -> Offsets:
        """Return the positions of a group."""
        found = self.positions.get(group, {})
        return {TopicPartition(t, number): place for t, places in found.items() for number, place in places.items()}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, durably: with it, the folder is a backup."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "at": manifest.at,
        "cluster": manifest.cluster,
        "told": manifest.told,
        "positions": manifest.positions,
        "collections": {
            database: {name: {"documents": each.documents, "sha256": each.sha256} for name, each in found.items()}
            for database, found in manifest.collections.items()
        },
    }
    with (folder / MANIFEST).open("w") as file:
        json.dump(told | {"sha256": _digest(told)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest.

    Raises:
        BackupError: there is none, it was changed, or it is one of a newer version.
    """
    try:
        told = json.loads((folder / MANIFEST).read_text())
        if told["format"] != FORMAT:
            raise BackupError(f"{folder} is of format {told['format']}; this version reads {FORMAT}")
        if told.pop("sha256") != _digest(told):
            raise BackupError(f"{folder / MANIFEST} is not as it was written")
        return Manifest(
            at=told["at"],
            cluster=told["cluster"],
            told={topic: _numbered(ends) for topic, ends in told["told"].items()},
            positions={
                group: {topic: _numbered(places) for topic, places in found.items()}
                for group, found in told["positions"].items()
            },
            collections={
                database: {name: Stored(**each) for name, each in found.items()}
                for database, found in told["collections"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no backup: {error}") from error


def _digest(told: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(told))  # where numbers of partitions are texts, and sorted as such
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def make_durable(folder: Path) -> None:
    """Let the names of a folder outlast a power cut, as its files do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def write_documents(path: Path, documents: AsyncIterator[RawBSONDocument]) -> Stored:
    """Write documents one after the other, as `bsondump` reads them."""
    digest, count = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        level = LEVEL_OF_BYTES if BYTES in path.name else LEVEL
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=level, mtime=0) as packed:
            async for document in documents:
                digest.update(document.raw)
                packed.write(document.raw)
                count += 1
        file.flush()
        os.fsync(file.fileno())
    return Stored(documents=count, sha256=digest.hexdigest())


def read_documents(path: Path) -> Iterator[RawBSONDocument]:
    """Yield the documents of a file."""
    with gzip.open(path) as file:
        yield from bson.decode_file_iter(cast("IO[bytes]", file), RAW)


def check_documents(path: Path, stored: Stored) -> None:
    """Make sure that a file holds what was written.

    Raises:
        BackupError: it does not.
    """
    digest, count = hashlib.sha256(), 0
    try:
        for document in read_documents(path):
            digest.update(document.raw)
            count += 1
    except (OSError, EOFError, bson.errors.BSONError) as error:
        raise BackupError(f"{path} cannot be read: {error}") from error
    if Stored(documents=count, sha256=digest.hexdigest()) != stored:
        raise BackupError(f"{path} is not as it was written: {count} documents, {stored.documents} were")


def path_of(folder: Path, database: str, collection: str) -> Path:
    """Return where the documents of a collection lie."""
    return folder / database / f"{collection}.bson.gz"


def _numbered(places: Mapping[str, int]) -> dict[int, int]:
    return {int(number): int(place) for number, place in places.items()}
