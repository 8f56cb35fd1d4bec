"""Which sessions a process holds, and when it may hold one again that it lost."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest

from services.edge_adapter import sessions as module
from services.edge_adapter.mqtt_client import Login
from services.edge_adapter.sessions import Sessions


class FakeSession:
    """A session that is connected, or was."""

    def __init__(self, *_: object, **__: object) -> None:
        self.connected, self.taken_over, self.generation = False, False, 0
        self.comes_back: Callable[[], bool] = lambda: False

    def open(self) -> None: ...

    async def close(self) -> None: ...


def looked_after(
    numbers: Callable[[], Collection[int]], full: Callable[[], bool] = lambda: False, url: str = "mqtt://127.0.0.1"
) -> Sessions:
    async def nobody() -> set[str]:
        return set()

    return Sessions(
        Login(url=url, username="edge-{session}", password=""),
        numbers=numbers,
        on_share=lambda _: None,
        filters=[],
        hear=lambda _: None,
        own_topic=str,
        hear_own=lambda _, __: None,
        in_flight=1,
        expiry_seconds=60,
        elsewhere=nobody,
        full=full,
    )


async def test_none_is_held_while_too_much_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Session", FakeSession)
    full = False
    sessions = looked_after(lambda: {3}, lambda: full)
    await sessions.start()
    async with asyncio.timeout(30):
        while not sessions.held:
            await asyncio.sleep(0.01)
    held: Any = sessions.held[3]
    assert held.comes_back()
    full = True
    assert not held.comes_back()
    full = False
    assert held.comes_back()
    await sessions.stop()


async def test_those_given_up_at_a_time_are_closed_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    both, closed = asyncio.Barrier(2), []

    class SlowToClose(FakeSession):
        """A session that was taken over, and is closed when another is being closed, too."""

        def open(self) -> None:
            self.taken_over = True

        async def close(self) -> None:
            await both.wait()
            closed.append(self)

    monkeypatch.setattr(module, "Session", SlowToClose)
    wanted = {3, 4}
    sessions = looked_after(lambda: wanted)
    await sessions.start()
    async with asyncio.timeout(5):
        while not sessions.held:
            await asyncio.sleep(0.01)
        wanted.clear()
        while len(closed) < 2:
            await asyncio.sleep(0.01)
    assert not sessions.held
    await sessions.stop()


async def test_a_password_that_the_broker_does_not_take_is_why_none_is_connected_and_is_tried_on() -> None:
    tried = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        await reader.read(1)
        writer.write(b"\x20\x03\x00\x87\x00")  # CONNACK: not authorized
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as broker:
        sessions = looked_after(lambda: {3, 4}, url=f"mqtt://127.0.0.1:{broker.sockets[0].getsockname()[1]}")
        await sessions.start()
        async with asyncio.timeout(30):
            while tried < 4:
                await asyncio.sleep(0.01)
        assert sessions.trouble == (
            "MQTT sessions not connected: 2, not let in: Not authorized, "
            "see EDGE_ADAPTER_MQTT_USERNAME and EDGE_ADAPTER_MQTT_PASSWORD"
        )
        await sessions.stop()
