"""Files that are to be attached: fetched from the machine by the relay, past the technician, whole or not at all."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from callout_agent.domain.allow import AllowList, Root

from services.remote_session.relay import collecting
from services.remote_session.relay.collecting import Collector
from services.remote_session.relay.storing import Store
from shared.passes import Passes
from tests.unit.remote_session.file_store import KEY, FileStore
from tests.unit.remote_session.test_relay import Site, folder_of, pytestmark

__all__ = ["pytestmark"]
SIZE = 3_500_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await Site(tmp_path).open()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "log.bin").write_bytes(os.urandom(SIZE))
    yield opened
    await opened.close()


@pytest.fixture
async def files(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileStore]:
    for name in ("LOOKED_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(collecting, name, 0.02)
    store = FileStore()
    way = Store("http://files", Passes(KEY), store.transport())
    collector = Collector(site.authority, site.ledger, site.edges, way)
    await collector.start()
    yield store
    await collector.stop()


async def asked(site: Site, name: str = "log.bin", **bounds: Any) -> None:
    await site.active(folder_of(site.folder / "root", **bounds), kind="file")
    await site.ledger.say("transfer", direction="out", name=name, attach=True)


def the(site: Site) -> Any:
    return site.machine.only.session.transfers[-1]


async def test_a_file_goes_from_the_machine_to_the_store_in_the_name_of_who_asked(site: Site, files: FileStore) -> None:
    await asked(site)
    await site.until(lambda: the(site).state.value == "DONE")
    [data] = files.files.values()
    assert data == (site.folder / "root" / "log.bin").read_bytes()
    assert (list(files.owners.values()), list(files.names.values())) == (["maker/tina"], ["log.bin"])
    assert the(site).attachment_id in files.files
    assert the(site).sha256 == the(site).machine_sha256
    taken = site.dialler.holder.find(site.machine.only.session.id)
    assert taken is not None
    assert taken.bytes_out == SIZE, "the machine counts it like any other"


async def test_a_file_of_nothing_is_a_file(site: Site, files: FileStore) -> None:
    (site.folder / "root" / "empty.log").touch()
    await asked(site, "empty.log")
    await site.until(lambda: the(site).state.value == "DONE")
    assert list(files.files.values()) == [b""]


async def test_when_the_store_cuts_off_then_the_file_goes_on_where_it_was(site: Site, files: FileStore) -> None:
    files.cut_at = 1_500_000
    await asked(site)
    await site.until(lambda: the(site).state.value == "DONE")
    assert (len(files.files), files.offsets[0]) == (1, 0)
    assert files.offsets[1] >= 1_500_000
    assert list(files.files.values()) == [(site.folder / "root" / "log.bin").read_bytes()]


async def test_when_the_way_to_the_machine_is_lost_then_the_file_goes_on_when_it_is_back(
    site: Site, files: FileStore
) -> None:
    await asked(site, bytes_per_minute=200_000_000)
    await site.until(lambda: any(files.files.values()))
    site.edges.all()[0].connection.abort()
    await site.until(lambda: the(site).state.value == "DONE", 20)
    assert (len(files.files), files.offsets[-1] > 0) == (1, True)
    assert list(files.files.values()) == [(site.folder / "root" / "log.bin").read_bytes()]


@pytest.mark.parametrize(
    ("name", "size_max", "reason"),
    [("nothing.log", SIZE, "no_such_file"), ("out.log", SIZE, "denied_by_device"), ("log.bin", 10, "too_large")],
)
async def test_what_the_machine_or_the_store_does_not_give_or_take_has_failed_and_says_why(
    site: Site, files: FileStore, name: str, size_max: int, reason: str
) -> None:
    (site.folder / "secret").write_text("hush")
    (site.folder / "root" / "out.log").symlink_to(site.folder / "secret")
    files.size_max = size_max
    await asked(site, name)
    await site.until(lambda: the(site).state.value == "FAILED")
    assert (the(site).reason, the(site).attachment_id) == (reason, None)
    assert b"hush" not in files.files.values()


async def test_what_the_machine_forbids_by_now_is_not_fetched_whatever_the_relay_asks(
    site: Site, files: FileStore
) -> None:
    await site.active(folder_of(site.folder / "root"), kind="file")
    site.rules = AllowList(forbid_all=False, endpoints=(), roots=(Root(str(site.folder / "other"), writable=True),))
    await site.ledger.say("transfer", direction="out", name="log.bin", attach=True)
    await site.until(lambda: the(site).state.value == "FAILED")
    assert files.files == {}


async def test_without_a_store_a_file_is_not_attached_and_that_is_said(site: Site) -> None:
    collector = Collector(site.authority, site.ledger, site.edges, Store("", Passes("")))
    await collector.start()
    await asked(site)
    await site.until(lambda: the(site).state.value == "FAILED")
    assert the(site).reason == "no_files_here"
    await collector.stop()
