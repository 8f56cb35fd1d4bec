"""How a backup lies on disk: what was changed or is not whole is not taken for one."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from deploy.recovery.archive import (
    BackupError,
    Manifest,
    check_documents,
    path_of,
    read_documents,
    read_manifest,
    write_documents,
    write_manifest,
)

DOCUMENTS = [{"_id": str(number), "n": number} for number in range(50)]


async def each(documents: list[dict[str, object]]) -> AsyncIterator[RawBSONDocument]:
    for document in documents:
        yield RawBSONDocument(bson.encode(document))


async def written(folder: Path) -> Manifest:
    stored = await write_documents(path_of(folder, "callout_x", "things"), each(DOCUMENTS))
    manifest = Manifest(
        at="2026-03-02T10:15:00.000Z",
        cluster="c",
        told={"a.v1": {number: number for number in range(12)}},
        positions={"callout.x.a.v1": {"a.v1": {0: 2}}},
        collections={"callout_x": {"things": stored}},
    )
    write_manifest(folder, manifest)
    return manifest


async def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = await written(tmp_path)
    assert read_manifest(tmp_path) == manifest
    file = path_of(tmp_path, "callout_x", "things")
    check_documents(file, manifest.collections["callout_x"]["things"])
    assert [dict(document) for document in read_documents(file)] == DOCUMENTS


@pytest.mark.parametrize("size", [0, 10, -1])
async def test_documents_cut_short_are_found(tmp_path: Path, size: int) -> None:
    manifest = await written(tmp_path)
    file = path_of(tmp_path, "callout_x", "things")
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(BackupError):
        check_documents(file, manifest.collections["callout_x"]["things"])


async def test_a_document_that_was_changed_or_left_out_is_found(tmp_path: Path) -> None:
    manifest = await written(tmp_path)
    file = path_of(tmp_path, "callout_x", "things")
    raw = gzip.decompress(file.read_bytes())
    first, last = (len(bson.encode(DOCUMENTS[place])) for place in (0, -1))
    for changed in (raw[first:], raw.replace(b"49\x00", b"48\x00"), raw[:-last] + bson.encode({"_id": "x"})):
        file.write_bytes(gzip.compress(changed))
        with pytest.raises(BackupError, match="not as it was written"):
            check_documents(file, manifest.collections["callout_x"]["things"])


async def test_a_manifest_that_is_not_there_cut_changed_or_newer_is_none(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no backup"):
        read_manifest(tmp_path)
    await written(tmp_path)
    file = tmp_path / "manifest.json"
    whole = file.read_text()
    file.write_text(whole[:-20])
    with pytest.raises(BackupError, match="no backup"):
        read_manifest(tmp_path)
    file.write_text(whole.replace('"11": 11', '"11": 12'))
    with pytest.raises(BackupError, match="not as it was written"):
        read_manifest(tmp_path)
    file.write_text(json.dumps(json.loads(whole) | {"format": 2}))
    with pytest.raises(BackupError, match="format 2"):
        read_manifest(tmp_path)
