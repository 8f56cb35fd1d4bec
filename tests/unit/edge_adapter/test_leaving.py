"""A process that alone has no way to the MQTT broker leaves; one that begins so waits."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.embedded.data_folder import free_port
from services.edge_adapter.leaving import Leaving, Others, Way
from services.edge_adapter.listening import Horizon, SeatNotes
from services.edge_adapter.logins import REFUSED_FOR, Logins
from services.edge_adapter.mqtt_client import Login
from shared.errors import TransientError
from shared.testing import MemoryDocuments

START = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


class Elsewhere:
    """Another process that proves more and more, whenever one looks."""

    def __init__(self, *, proves: bool = True) -> None:
        self.documents = MemoryDocuments()
        self._notes = SeatNotes(self.documents)
        self.proves = proves
        self._until = START

    async def query(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        if self.proves:
            self._until += timedelta(seconds=0.25)
        self._notes.note("1", Horizon(START, self._until))
        await self._notes.write()
        return await self.documents.query({})


class Ours:
    trouble = "MQTT sessions not connected: 2, not let in"

    def __init__(self, *, cut_off: bool, refused: bool = False) -> None:
        self.cut_off, self.refused = cut_off, refused


def others(*, proves: bool = True) -> Others:
    return Others(Elsewhere(proves=proves))  # type: ignore[arg-type]


def login(port: int = 1883, password: str = "wrong") -> Login:
    return Login(url=f"mqtt://127.0.0.1:{port}", username="edge-{session}", password=password)


def logins(login: Login) -> Logins:
    return Logins(MemoryDocuments(), login)


async def left(
    *, cut_off: bool, proves: bool, seconds: float, refused: bool = False, ours: Logins | None = None
) -> tuple[bool, list[str]]:
    gone = asyncio.Event()
    told: list[str] = []

    async def alarm(*, kind: str, reason: str) -> None:
        told.extend((kind, reason.partition(": ")[2]))

    leaving = Leaving(
        others(proves=proves), gone.set, alarm, ours or logins(login()), after_seconds=0.02, look_seconds=0.005
    )
    sessions: Any = Ours(cut_off=cut_off, refused=refused)
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
    way = asyncio.create_task(Way(others(), login(port).url, logins(login(port)), look_seconds=0.005).start())
    await asyncio.sleep(0.1)
    assert not way.done()
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        async with asyncio.timeout(30):
            await way


@pytest.mark.parametrize("url", ["", "mqtt://127.0.0.1:{port}"], ids=["no broker", "broker away"])
async def test_who_begins_without_a_way_begins_if_nobody_has_one(url: str) -> None:
    ours = replace(login(), url=url.format(port=free_port()))
    async with asyncio.timeout(30):
        await Way(others(proves=False), ours.url, logins(ours), look_seconds=0.005).start()


@pytest.mark.parametrize("refused", [True, False])
async def test_who_leaves_remembers_a_login_that_was_refused_for_a_while(*, refused: bool) -> None:
    ours = logins(login())
    await left(cut_off=True, proves=True, seconds=30, refused=refused, ours=ours)
    now = datetime.now(UTC)
    assert await ours.are_refused(now) == refused
    assert not await ours.are_refused(now + REFUSED_FOR)


async def test_who_begins_with_a_login_that_was_refused_waits_and_says_why_while_others_hear_devices() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as broker:
        wrong = login(broker.sockets[0].getsockname()[1])
        notes, elsewhere = MemoryDocuments(), Elsewhere()
        await Logins(notes, wrong).note_refused(datetime.now(UTC))
        way = Way(Others(elsewhere), wrong.url, Logins(notes, wrong), look_seconds=0.005)  # type: ignore[arg-type]
        waiting = asyncio.create_task(way.start())
        async with asyncio.timeout(30):
            while way.trouble is None:
                await asyncio.sleep(0.01)
            assert "see EDGE_ADAPTER_MQTT_USERNAME and EDGE_ADAPTER_MQTT_PASSWORD" in way.trouble
            assert not waiting.done()
            mended = replace(wrong, password="right")
            await Way(Others(elsewhere), mended.url, Logins(notes, mended), look_seconds=0.005).start()  # type: ignore[arg-type]
            elsewhere.proves = False
            await waiting
        assert way.trouble is None


async def test_who_cannot_ask_whether_their_login_was_refused_begins() -> None:
    class Away(MemoryDocuments):
        async def find(self, _: Any) -> list[dict[str, Any]]:
            raise TransientError("MongoDB does not answer")

    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        ours = login(server.sockets[0].getsockname()[1])
        await Way(others(), ours.url, Logins(Away(), ours), look_seconds=0.005).start()
