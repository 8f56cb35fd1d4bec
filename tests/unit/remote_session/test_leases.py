"""Leases are renewed in time however many devices there are, and what nobody can say goes on is cut off in time."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.remote_session.relay import leases as module
from services.remote_session.relay.leases import Leases

DEVICES = 100


class Relay:
    """A relay with a device for each of many sessions, and a store that answers when the test says so."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.told: list[str] = []
        self.cut: list[str] = []
        sessions = [SimpleNamespace(id=f"s{n}", tenant_id="acme", device_id=f"d{n}") for n in range(DEVICES)]
        self.live: Any = {each.id: each for each in sessions}
        self.inside: Any = dict.fromkeys(self.live, ())
        edges = [SimpleNamespace(key=f"acme/d{n}", registered=None, tell=self._tell) for n in range(DEVICES)]
        door: Any = SimpleNamespace(inside=self.inside, cut=lambda id_, _: self.cut.append(id_))
        all_edges: Any = SimpleNamespace(all=lambda: edges)
        ledger: Any = self
        self.renewing = Leases(ledger, door, all_edges)

    async def leases(self, key: str) -> dict[str, Any]:
        await self.answers.wait()
        id_ = f"s{key.rpartition('d')[2]}"
        return {id_: self.live[id_]}

    def _tell(self, what: dict[str, Any]) -> None:
        self.told += what["sessions"]


async def test_each_device_is_told_its_own_sessions() -> None:
    relay = Relay()
    relay.answers.set()
    await relay.renewing.renew(100)
    assert sorted(relay.told) == sorted(relay.live)
    assert relay.cut == []


async def test_a_store_that_does_not_answer_holds_up_the_cut_of_many_no_longer_than_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RENEWED_SECONDS", 0.1)
    relay = Relay()
    relay.answers.set()
    await relay.renewing.renew(100)
    relay.answers.clear()
    async with asyncio.timeout(5):
        await relay.renewing.renew(110)
        assert relay.cut == []
        await relay.renewing.renew(115)
    assert sorted(relay.cut) == sorted(relay.live)
