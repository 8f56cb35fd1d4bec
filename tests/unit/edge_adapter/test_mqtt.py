"""A session with the MQTT broker is let go of whatever happens to it just then."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from services.edge_adapter.mqtt import Session
from services.edge_adapter.mqtt_client import Login


class Wire:
    """A client of the library, as far as it is needed while nothing comes."""

    def loop_misc(self) -> None: ...

    def loop_write(self) -> None: ...

    def disconnect(self, _: object) -> None: ...


def held() -> Session:
    """Return a session that is connected, and does not come back."""
    login = Login(url="mqtt://127.0.0.1", username="edge", password="")
    session = Session(login, filters=[], hear=lambda _: None, in_flight=1, expiry_seconds=60)
    beneath: Any = session

    async def connect() -> None: ...

    beneath._client, beneath._connect = Wire(), connect
    beneath._keeper = asyncio.create_task(beneath._keep())
    session.comes_back = lambda: False
    return session


async def connected(session: Session) -> None:
    session.comes_back = lambda: True
    async with asyncio.timeout(30):
        while not session.connected:
            await asyncio.sleep(0.01)
    session.comes_back = lambda: False


@pytest.mark.parametrize("moments", range(5))
async def test_it_is_let_go_of_in_the_moment_in_which_its_connection_is_lost(moments: int) -> None:
    session = held()
    await connected(session)
    session._lost.set()
    for _ in range(moments):
        await asyncio.sleep(0)
    letting_go = asyncio.create_task(session.close())
    done, _ = await asyncio.wait((letting_go,), timeout=5)
    letting_go.cancel()
    assert done


async def test_who_is_told_to_stop_while_it_lets_go_stops() -> None:
    session = held()

    async def never() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    session._keeper = keeper = asyncio.create_task(never())
    await asyncio.sleep(0)
    letting_go = asyncio.create_task(session.close())
    await asyncio.sleep(0.01)
    letting_go.cancel()
    await asyncio.wait((letting_go,), timeout=5)
    keeper.cancel()
    assert letting_go.cancelled()
