"""A process that alone has no way to the MQTT broker leaves; one that begins so waits."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.embedded.data_folder import free_port
from services.edge_adapter.leaving import Leaving, Others, Way
from services.edge_adapter.listening import Horizon, SeatNotes
from shared.testing import MemoryDocuments

START = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


class Elsewhere:
    """Another process that proves more and more, whenever one looks."""

    def __init__(self, *, proves: bool = True) -> None:
        self.documents = MemoryDocuments()
        self._notes = SeatNotes(self.documents)
        self._proves = proves
        self._until = START

    async def query(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        if self._proves:
            self._until += timedelta(seconds=0.25)
        self._notes.note("1", Horizon(START, self._until))
        await self._notes.write()
        return await self.documents.query({})


class Ours:
    trouble = "MQTT sessions not connected: 2, not let in"

    def __init__(self, *, cut_off: bool) -> None:
        self.cut_off = cut_off


def others(*, proves: bool = True) -> Others:
    return Others(Elsewhere(proves=proves))  # type: ignore[arg-type]


async def left(*, cut_off: bool, proves: bool, seconds: float) -> tuple[bool, list[str]]:
    gone = asyncio.Event()
    told: list[str] = []

    async def alarm(*, kind: str, reason: str) -> None:
        told.extend((kind, reason.partition(": ")[2]))

    leaving = Leaving(others(proves=proves), gone.set, alarm, after_seconds=0.02, look_seconds=0.005)
    sessions: Any = Ours(cut_off=cut_off)
    leaving.sessions = sessions
    await leaving.start()
    with suppress(TimeoutError):
        await asyncio.wait_for(gone.wait(), seconds)
    await leaving.stop()
    return gone.is_set(), told


async def test_who_has_no_session_while_others_hear_devices_leaves_with_an_alarm_that_says_why() -> None:
    assert await left(cut_off=True, proves=True, seconds=30) == (True, ["stuck", Ours.trouble])


@pytest.mark.parametrize(("cut_off", "proves"), [(True, False), (False, True)])
async def test_who_hears_devices_or_is_no_worse_off_than_others_stays(*, cut_off: bool, proves: bool) -> None:
    assert await left(cut_off=cut_off, proves=proves, seconds=0.1) == (False, [])


async def test_what_lies_there_unchanged_is_no_sign_of_others() -> None:
    elsewhere = others(proves=False)
    assert [await elsewhere.hear() for _ in range(3)] == [False, False, False]
    elsewhere = others()
    assert [await elsewhere.hear() for _ in range(3)] == [False, True, True]


async def test_who_begins_without_a_way_waits_while_others_hear_devices() -> None:
    port = free_port()
    way = asyncio.create_task(Way(others(), f"mqtt://127.0.0.1:{port}", look_seconds=0.005).start())
    await asyncio.sleep(0.1)
    assert not way.done()
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        async with asyncio.timeout(30):
            await way


@pytest.mark.parametrize("url", ["", "mqtt://127.0.0.1:{port}"], ids=["no broker", "broker away"])
async def test_who_begins_without_a_way_begins_if_nobody_has_one(url: str) -> None:
    async with asyncio.timeout(30):
        await Way(others(proves=False), url.format(port=free_port()), look_seconds=0.005).start()
