"""Files when the database is lost and a backup put back, and when who stored them is erased; on the real stack."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.chaos.reader import read_topic
from tests.integration.test_attachments import FAST, FILES, attach, stored, until_files, until_state
from tests.integration.test_erasure import do, expire
from tests.integration.test_gateway import Client, new_case
from tests.integration.test_recovery import DATABASES, Site
from tests.stack import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

KEPT = "callout_attachment"
NAME = "Ann Meyer"
WHOM = ("--tenant", "acme", "--person", "ann", "--word", NAME)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("files"), "intake,workflow,attachment,gateway", environment=FAST) as site:
        yield site


@pytest.fixture
def kept(site: Site) -> Iterator[Any]:
    """The attachment service's database."""
    with MongoClient(site.servers.mongodb_uri, tz_aware=True) as client:
        yield client[KEPT]


async def put(http: httpx.AsyncClient, case: dict[str, Any], data: bytes, name: str) -> dict[str, Any]:
    """Store a file and put it into a case."""
    file = await stored(http, data, name)
    assert (await attach(http, case, file)).status_code == 200
    await until_state(http, file["id"], "linked")
    return file


async def bytes_of(http: httpx.AsyncClient, file: dict[str, Any]) -> bytes | int:
    answer = await http.get(f"{FILES}/{file['id']}/content")
    return answer.content if answer.status_code == 200 else answer.status_code


async def test_files_outlast_a_lost_database_and_those_of_an_erased_person_go(
    site: Site, kept: Any, tmp_path: Path
) -> None:
    site.start()
    before, since = os.urandom(1_300_000), os.urandom(600_000)
    async with Client(site.services) as ann, Client(site.services, user="bob") as bob:
        case = await new_case(ann)
        first, removed = await put(ann, case, before, "first.bin"), await stored(ann, os.urandom(500_000), "second.bin")
        await until_state(ann, removed["id"], "scanned")
        assert site.callout("backup", str(tmp_path / "backup"))["files_elsewhere"] == 0
        lost = await put(ann, case, since, "came after the backup.bin")
        same = await put(bob, case, before, f"the same as {NAME} has.bin")
        assert (await ann.delete(f"{FILES}/{removed['id']}")).status_code == 204
        await until_files(ann, case, first, lost, same)
    site.stop()
    site.lose(*DATABASES, KEPT)
    site.callout("restore", str(tmp_path / "backup"))

    site.start()
    async with Client(site.services) as ann, Client(site.services, user="bob") as bob:
        wait_until(lambda: kept["restored"].count_documents({}) == 0)
        # Of what came after the backup the bytes are there only as far as they had come before.
        await until_files(ann, case, first, same)
        assert [await bytes_of(ann, file) for file in (first, same)] == [before, before]
        assert [await bytes_of(ann, file) for file in (lost, removed)] == [404, 404]
        again = await put(ann, case, since, "once more.bin")
        assert await bytes_of(bob, again) == since
    site.callout("verify", "--settle", "60")
    site.stop()

    counted = site.callout("erase", *WHOM, "--dry-run")
    assert counted["files"] == 5
    assert counted["told_of_files"] > 5
    assert site.callout("erase", *WHOM, "--yes")["files"] == 5
    told = await read_topic(site.servers.bootstrap_servers, "attachment.events.v1")
    assert not [record for record in told if b'"ann"' in record.value or NAME.encode() in record.value]
    site.start()
    async with Client(site.services, user="bob") as bob:
        await until_files(bob, case, same)
        assert await bytes_of(bob, same) == before
        assert [await bytes_of(bob, file) for file in (first, again)] == [404, 404]
        # Each file forgets by itself, and bytes go some time after the last file that refers to them.
        wait_until(lambda: not [each for each in documents(kept) if "'ann'" in each or NAME in each])
        assert (await bob.get(f"{FILES}/{same['id']}")).json()["name"] == "the same as [erased] has.bin"
    wait_until(lambda: [each["refs"] for each in kept["contents"].find()] == [[same["id"]]])
    site.stop()


def documents(kept: Any) -> list[str]:
    """Return what is kept of files."""
    return [str(document) for name in ("attachments", "uploads", "links") for document in kept[name].find()]


async def test_files_of_cases_that_were_kept_long_enough_go_with_them(site: Site, kept: Any) -> None:
    site.start()
    async with Client(site.services) as ann:
        old, going_on = await new_case(ann), await new_case(ann)
        gone, staying = await put(ann, old, os.urandom(700_000), "a.bin"), await put(ann, going_on, b"stays", "b.bin")
    do(site, "cancel", old["id"], "--set", "reason=a test", actor="bob")
    do(site, "archive", old["id"], "--role", "dispatcher", actor="bob")
    site.callout("verify", "--settle", "60")
    site.stop()
    await asyncio.to_thread(expire, site, datetime.now(UTC) + timedelta(days=31))

    site.start()
    wait_until(lambda: kept["contents"].count_documents({"refs": gone["id"]}) == 0, seconds=60)
    wait_until(lambda: kept["blobs.chunks"].count_documents({"files_id": gone["id"]}) == 0, seconds=60)
    async with Client(site.services) as ann:
        assert [await bytes_of(ann, file) for file in (gone, staying)] == [404, b"stays"]
    told = await read_topic(site.servers.bootstrap_servers, "attachment.events.v1")
    (end,) = [record for record in told if record.key == gone["id"].encode() and b'"retention"' in record.value]
    assert dict(end.headers)["ce_type"] == b"callout.attachment.removed.v1"
    site.stop()
