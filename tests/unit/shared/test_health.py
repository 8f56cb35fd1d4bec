"""What a process shows of itself, while what it asks does not answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import Gauge

from services.intake.settings import IntakeSettings
from shared import health
from shared.health import HealthServer

SEEN = Gauge("seen_in_this_test", "How often figures were asked for.")


async def _ready() -> None:
    return None


@asynccontextmanager
async def served(refresh: Callable[[], Awaitable[object]]) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the health of a process on any free port."""
    listens: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    settings: Any = IntakeSettings(http_port=0)
    server = HealthServer(settings, _ready, service="intake", refresh=refresh, listens=listens.set_result)
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await listens}", timeout=30) as client:
        yield client
    server.should_exit = True
    await serving


async def test_figures_are_shown_as_known_last_while_servers_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REFRESH_SECONDS", 0.05)
    asked: list[int] = []
    answered = asyncio.Event()

    async def refresh() -> None:
        asked.append(len(asked))
        SEEN.set(len(asked))
        await answered.wait()

    async with served(refresh) as client:
        shown = [(await client.get("/metrics")).text for _ in range(3)]
        assert all("seen_in_this_test 1.0" in each for each in shown)
        assert len(asked) == 1, "who was asked and has not answered is not asked again"
        answered.set()
        await asyncio.sleep(0.05)
        assert "seen_in_this_test 2.0" in (await client.get("/metrics")).text


async def test_figures_that_cannot_be_asked_for_keep_nobody_from_the_others() -> None:
    async def refresh() -> None:
        SEEN.set(7)
        raise OSError("away")

    async with served(refresh) as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, "seen_in_this_test 7.0" in answer.text) == (200, True)
