"""Proof of listening: as soon as the slowest session's probe is back, and Kafka has what came before it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.edge_adapter import probing as module
from services.edge_adapter.device_store import to_document
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.listening import Holders, Horizon, SeatNotes, Seats, Silences
from services.edge_adapter.probing import Prober, probe_topic
from shared.storage import Write
from shared.testing import MemoryDocuments
from shared.timers import BrokerTime
from tests.unit.edge_adapter.devices import Watch

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

    def __init__(self, count: int, interval_seconds: float = 60) -> None:
        self.documents = MemoryDocuments()
        self.sessions: Any = Sessions(count)
        self.drained: list[asyncio.Future[None]] = []
        brokers = BrokerTime()
        brokers.is_now(START)
        self.prober = Prober(SeatNotes(self.documents), self._mark, brokers, interval_seconds=interval_seconds)
        self.prober.sessions = self.sessions

    def _mark(self) -> "asyncio.Future[None]":
        self.drained.append(asyncio.get_running_loop().create_future())
        return self.drained[-1]

    def give_back(self, number: int) -> None:
        session = self.sessions.held[number]
        place = (1, 1)
        self.prober.hear(number, Inbound(probe_topic(number), session.probes[-1], False, None, session, place))

    async def horizon(self) -> Horizon | None:
        for _ in range(10):  # a machine that stands still for once does not end them all
            await asyncio.sleep(0.002)
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


async def probes_more(probed: Probed) -> None:
    probes = probed.sessions.held[0].probes
    before = len(probes)
    async with asyncio.timeout(30):
        while len(probes) == before:
            await asyncio.sleep(0.002)


async def test_a_session_whose_probes_were_all_lost_is_probed_again_and_has_not_listened_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("UNDER_WAY_MAX", 3), ("EXPIRY_SECONDS", 0.2), ("PAUSE_SECONDS", 0.01)):
        monkeypatch.setattr(module, name, value)
    probed = Probed(1, 0.01)
    await probed.prober.start()
    for _ in range(4):  # the broker threw away the first ones: its queue was full while Kafka was away
        await probes_more(probed)
    probed.give_back(0)
    probed.drained[0].set_result(None)
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while not found:
            await asyncio.sleep(0.002)
            found = await probed.documents.query({})
    assert found[0]["since"] == found[0]["until"] > START
    await probed.prober.stop()


async def test_while_kafka_takes_nothing_so_many_probes_wait_for_it_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "UNDER_WAY_MAX", 3)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.001)
    probed = Probed(1, 0.001)
    await probed.prober.start()
    for _ in range(3):
        await probes_more(probed)
        probed.give_back(0)
    await asyncio.sleep(0.1)
    assert len(probed.sessions.held[0].probes) == 3
    for drained in probed.drained:
        drained.set_result(None)
    await probes_more(probed)
    await probed.prober.stop()


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


async def noted(documents: MemoryDocuments, since: float, until: float, seat: str = "0") -> None:
    notes = SeatNotes(documents)
    for _ in range(2):  # the second time with the revision that is there
        notes.note(seat, Horizon(later(since), later(until)))
        await notes.write()


async def test_what_was_proved_before_the_clock_was_set_back_proves_nothing_after() -> None:
    documents = MemoryDocuments()
    seats = Seats(documents, gone_seconds=30)
    await noted(documents, 0, 7_200)
    assert await seats.horizon(later(10)) is None
    await noted(documents, 11, 12)
    assert await seats.horizon(later(12.1)) == Horizon(later(11), later(12))


async def test_a_break_by_a_clock_that_was_set_forward_does_not_hold_up_the_one_that_is_set_back() -> None:
    documents = MemoryDocuments()
    seats = Seats(documents, gone_seconds=30)
    await noted(documents, 0, 1)
    assert await seats.horizon(later(3_600)) is None, "given up: the break is an hour ahead"
    await noted(documents, 10, 11)
    assert await seats.horizon(later(11.1)) == Horizon(later(10), later(11))


async def test_a_seat_is_held_elsewhere_as_long_as_what_others_note_of_it_moves() -> None:
    documents, steady = MemoryDocuments(), [100.0]
    ours, theirs = SeatNotes(documents), SeatNotes(documents)
    holders = Holders(ours, steady=lambda: steady[0])

    async def say(notes: SeatNotes, until: float) -> None:
        for _ in range(2):  # the second time with the revision that is there
            notes.note("0", Horizon(later(0), later(until)))
            await notes.write()

    await say(ours, 1)
    assert await holders.elsewhere() == set()
    await say(theirs, 2)
    assert await holders.elsewhere() == {"0"}
    steady[0] += 1.5
    await say(theirs, 3)
    assert await holders.elsewhere() == {"0"}
    steady[0] += 1.9
    assert await holders.elsewhere() == {"0"}
    steady[0] += 0.2
    assert await holders.elsewhere() == set(), "it was left"


async def test_who_was_last_seen_by_a_clock_that_was_set_back_is_looked_at_for_a_while() -> None:
    seats, devices, steady = MemoryDocuments(), MemoryDocuments(), [100.0]
    ahead = Watch().sees(3_600, "birth").device
    await devices.replace([Write("ahead", 0, {"_id": "ahead", "revision": 1, **to_document(ahead)})])
    silences = Silences(devices, Seats(seats, gone_seconds=30), steady=lambda: steady[0])
    await noted(seats, 0, 1)
    assert len((await silences.find(later(1)))[0]) == 1
    steady[0] += 11
    await noted(seats, 0, 12)
    silences = Silences(devices, Seats(seats, gone_seconds=30), steady=lambda: steady[0])
    await silences.find(later(12))
    steady[0] += 11
    await noted(seats, 0, 23)
    assert (await silences.find(later(23)))[0] == []
