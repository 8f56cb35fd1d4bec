"""A process that takes files in is killed at each of its steps: no acknowledged byte is lost, nothing stays behind."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from inspect import isasyncgenfunction
from typing import Any
from uuid import uuid4

import pytest

from services.attachment.blobs import Blobs, GridStore
from services.attachment.domain.upload import Upload
from services.attachment.receiving import Receiving
from services.attachment.tenants import Bounds
from shared.atomic_storage import AtomicDocuments
from shared.blob_storage import GridFiles
from shared.contracts.case import Actor
from shared.contracts.words import Role
from shared.storage import connect
from tests.stack import RunningStack

pytestmark = pytest.mark.integration

ANN = Actor(id="ann", role=Role.AGENT, tenant_id="acme")
COLLECTIONS = ("contents", "trash", "uploads", "thumbnails")
PARTS = (600_000, 700_000)
MANY = 10**9


class KilledError(BaseException):
    """The process is no more."""


class Life:
    """So many steps, and then nothing more is done, whatever would be."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        if self.left <= 0:
            raise KilledError
        self.left -= 1


class Mortal:
    """Storage as one process sees it, that is killed before one of its calls."""

    def __init__(self, whole: Any, life: Life) -> None:
        self._whole, self._life = whole, life

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._whole, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self._life.step()
            return await method(*arguments, **named)

        async def give(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            self._life.step()
            async for each in method(*arguments, **named):
                yield each

        return give if isasyncgenfunction(method) else call


class Told:
    """Commands that were sent, whoever sent them."""

    def __init__(self) -> None:
        self.registered: list[str] = []

    async def send(self, name: str, body: Any, *, id_: str) -> None:
        assert (name, len(id_)) == ("register", 36)
        self.registered.append(body.sha256)


class NoLimits:
    """Bounds that nothing meets."""

    async def of(self, _tenant_id: str) -> Bounds:
        return Bounds(file_bytes_max=MANY, quota_bytes=MANY, allowed_types=("*/*",), refused_types=())


class Ground:
    """What outlasts a process: documents, bytes and what was told."""

    def __init__(self, database: Any) -> None:
        self.files = GridFiles(database, "blobs")
        self.documents = {name: AtomicDocuments(database, name) for name in COLLECTIONS}
        self.told = Told()

    def process(self, life: Life) -> tuple[Receiving, Blobs]:
        """Begin a process that lives so long."""
        files: Any = Mortal(self.files, life)
        contents, trash, uploads, pictures = (Mortal(self.documents[name], life) for name in COLLECTIONS)
        documents: Any = (contents, trash, uploads, pictures)
        blobs = Blobs(GridStore(files), *documents, settle=timedelta(0))
        told: Any = Mortal(self.told, life)
        limits: Any = NoLimits()
        return Receiving(documents[2], files, blobs, told, limits, timedelta(hours=1)), blobs


async def whole(data: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(data), 65_536):
        yield data[place : place + 65_536]


async def send(receiving: Receiving, data: bytes, acknowledged: dict[str, int]) -> None:
    """Upload as a client does, and note what was acknowledged."""
    upload = await receiving.begin(ANN, "a.bin", None, len(data))
    acknowledged[upload.id] = 0
    for end in (PARTS[0], len(data)):
        part = data[acknowledged[upload.id] : end]
        acknowledged[upload.id] = (await receiving.receive(ANN, upload.id, acknowledged[upload.id], whole(part))).offset


async def gone_on(receiving: Receiving, id_: str, data: bytes, acknowledged: int) -> Upload:
    """Go on where the killed process says it was, at the next one."""
    found = await receiving.find(ANN, id_)
    assert found.offset >= acknowledged
    return await receiving.receive(ANN, id_, found.offset, whole(data[found.offset :]))


async def test_killed_at_any_step_a_process_loses_nothing_and_leaves_nothing(infra: RunningStack) -> None:
    database = connect(infra.mongodb_uri, f"kills_{uuid4().hex[:8]}")
    ground = Ground(database)
    receiving, blobs = ground.process(Life(MANY))
    await receiving.start()
    now, ended, steps, names = datetime.now(UTC), False, 0, []
    while not ended:
        data = os.urandom(sum(PARTS))
        acknowledged: dict[str, int] = {}
        life = Life(steps)
        try:
            await send(ground.process(life)[0], data, acknowledged)
            ended = True
        except KilledError:
            pass
        for id_, offset in acknowledged.items():
            done = await gone_on(receiving, id_, data, offset)
            digest = hashlib.sha256(data).hexdigest()
            assert (done.sha256, ground.told.registered[-1]) == (digest, digest)
            blob = await blobs.find("acme", digest)
            assert blob is not None
            assert b"".join([part async for part in blobs.read(blob, 0, blob.size)]) == data
            names.append(id_)
        steps += 1
    # Every step is a round trip that every upload waits for.
    assert 15 < steps <= 17
    later = now + timedelta(days=2)
    await receiving.sweep(later)
    await blobs.note_unknown(await ground.files.keys())
    await blobs.sweep(later)
    assert await ground.files.keys() == set(names)
    assert await ground.documents["uploads"].find({}) == []
    await blobs.release(names)
    for hours in range(3):
        await blobs.sweep(later + timedelta(hours=hours))
    assert await ground.files.keys() == set()
    assert [await ground.documents[name].find({}) for name in COLLECTIONS] == [[]] * len(COLLECTIONS)
    await database.close()
