"""Proof of listening: as soon as the slowest session's probe is back, and Kafka has what came before it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from services.edge_adapter.listening import Horizon, SeatNotes, Seats
from services.edge_adapter.mqtt import Inbound
from services.edge_adapter.probing import Prober, probe_topic
from shared.testing import MemoryDocuments
from shared.timers import BrokerTime

START = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


class FakeSession:
    """A session whose broker gives back what it is told when the test says so."""

    connected = True
    generation = 1

    def __init__(self) -> None:
        self.probes: list[bytes] = []

    def tell(self, topic: str, payload: bytes, *, expiry_seconds: int) -> int:
        self.probes.append(payload)
        return 1

    def acknowledge(self, place: tuple[int, int]) -> None:
        """Nothing is kept."""


class Sessions:
    def __init__(self, count: int) -> None:
        self.held = {number: FakeSession() for number in range(count)}


class Probed:
    """A prober that probes once and then waits for ever, its sessions, and what it wrote down."""

    def __init__(self, count: int) -> None:
        self.documents = MemoryDocuments()
        self.sessions: Any = Sessions(count)
        self.drained: list[asyncio.Future[None]] = []
        brokers = BrokerTime()
        brokers.is_now(START)
        self.prober = Prober(SeatNotes(self.documents), self._mark, brokers, interval_seconds=60)
        self.prober.sessions = self.sessions

    def _mark(self) -> "asyncio.Future[None]":
        self.drained.append(asyncio.get_running_loop().create_future())
        return self.drained[-1]

    def give_back(self, number: int) -> None:
        session = self.sessions.held[number]
        place = (1, 1)
        self.prober.hear(number, Inbound(probe_topic(number), session.probes[-1], False, None, session, place))

    async def horizon(self) -> Horizon | None:
        await asyncio.sleep(0.02)
        return await Seats(self.documents, gone_seconds=30).horizon(START)


async def test_what_all_have_proved_is_written_down_with_the_slowest_and_not_a_round_later() -> None:
    probed = Probed(2)
    await probed.prober.start()
    await asyncio.sleep(0)
    for number in (0, 1):
        assert await probed.horizon() is None
        probed.give_back(number)
    assert await probed.horizon() is None, "Kafka has not yet what came before"
    for drained in probed.drained:
        drained.set_result(None)
    horizon = await probed.horizon()
    assert horizon is not None
    assert START <= horizon.since <= horizon.until
    await probed.prober.stop()


async def test_a_probe_of_another_connection_proves_nothing() -> None:
    probed = Probed(1)
    await probed.prober.start()
    await asyncio.sleep(0)
    probed.sessions.held[0].probes.append(b"other:1")
    probed.give_back(0)
    assert (await probed.horizon(), probed.drained) == (None, [])
    await probed.prober.stop()
