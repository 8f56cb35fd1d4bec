"""Presence against an independent model: any order of messages, and a device whose truth is known."""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.edge_adapter.domain import presence
from services.edge_adapter.domain.presence import degraded_after_s, offline_after_s
from tests.unit.edge_adapter.devices import INTERVAL_S, Watch, at

DEATHS = {"will", "leave"}


@dataclass
class History:
    """All that was seen and looked at, in order; what is true follows from the whole of it, not step by step."""

    entries: list[tuple[str, float, int, int]] = field(default_factory=list)
    looks: list[tuple[int, float, float]] = field(default_factory=list)

    def status(self) -> str:
        """Return what the whole history says."""
        if not self.entries:
            return "unknown"
        newest = max(epoch for _, _, epoch, _ in self.entries)
        mine = [(place, entry) for place, entry in enumerate(self.entries) if entry[2] == newest]
        if any(kind in DEATHS for _, (kind, *_) in mine):
            return "offline"
        records = [
            (place, seconds)
            for index, (place, (_, seconds, _, n)) in enumerate(mine)
            if all(n > earlier[3] for _, earlier in mine[:index])
        ]
        place, seconds = records[-1]
        silent = [until - max(seconds, since) for after, since, until in self.looks if after > place]
        longest = max(silent, default=0.0)
        if round(longest, 6) >= offline_after_s(INTERVAL_S):
            return "offline"
        return "degraded" if round(longest, 6) >= degraded_after_s(INTERVAL_S) else "online"


class AnyOrder(RuleBasedStateMachine):
    """Messages of several connections in any order, again and again, and looks with any breaks of listening.

    A lower epoch never shows life for long enough to be believed: that is another test's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.watch = Watch()
        self.history = History()
        self.since = -1000.0

    @rule(
        kind=st.sampled_from(["birth", "beat", "beat", "beat", "will", "leave"]),
        epoch=st.integers(0, 4),
        n=st.integers(1, 6),
        later=st.integers(0, 3000),
    )
    def sees(self, kind: str, epoch: int, n: int, later: int) -> None:
        self.now = round(self.now + later / 1000, 3)
        number = 0 if kind == "birth" else n
        queued = epoch < self.watch.device.epoch
        self.watch.sees(self.now, kind, epoch, number, queued=queued)
        self.history.entries.append((kind, self.now, epoch, number))

    @rule(later=st.integers(0, 20_000), behind=st.integers(0, 2000), breaks=st.booleans())
    def looks(self, later: int, behind: int, breaks: bool) -> None:
        self.now = round(self.now + later / 1000, 3)
        if breaks:
            self.since = self.now
        until = max(self.since, round(self.now - behind / 1000, 3))
        self.watch.looks(self.now, since=self.since, until=until)
        self.history.looks.append((len(self.history.entries), self.since, until))

    @invariant()
    def is_as_the_whole_history_says(self) -> None:
        assert self.watch.device.status.value == self.history.status()

    @invariant()
    def tells_each_change_once(self) -> None:
        told = [(each["status"], each["epoch"], each["unstable"]) for each in self.watch.told]
        assert all(a != b for a, b in itertools.pairwise(told))
        assert [each["change"] for each in self.watch.told] == list(range(1, len(told) + 1))
        if told:
            assert told[-1][0] == self.watch.device.status.value


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase


class Plant:
    """A device with a life of its own, a network that delays and reorders, adapters that are away at times."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.watch = Watch()
        self.events: list[tuple[float, int, str, Any]] = []
        self.numbers = itertools.count()
        self.alive: list[tuple[float, float]] = []
        self.breaks: list[tuple[float, float]] = []
        self.told: list[tuple[float, str, str]] = []

    def plan(self, seconds: float, what: str, facts: Any = None) -> None:
        heapq.heappush(self.events, (seconds, next(self.numbers), what, facts))

    def live(self, until: float) -> None:
        """Plan connections: each beats on time, then ends by a crash (with or without a will) or cleanly."""
        r, now, epoch = self.random, 1.0, 0
        while now < until:
            epoch += r.randint(1, 3)
            ends = now + r.choice([r.uniform(0.1, 3), r.uniform(5, 100)])
            n, beat = 0, now
            while beat < ends:
                self.send(beat, "birth" if n == 0 else "beat", epoch, n)
                n, beat = n + 1, beat + INTERVAL_S * r.uniform(0.97, 1.03)
            self.alive.append((now, ends))
            if r.random() < 0.3:
                self.send(ends, "leave", epoch, n)
            elif r.random() < 0.6:
                self.send(ends + r.choice([0, 0, r.uniform(0, 30)]), "will", epoch, 0)
            now = ends + r.choice([r.uniform(0.01, 1), r.uniform(5, 60)])

    def send(self, seconds: float, kind: str, epoch: int, n: int) -> None:
        for _ in range(1 if self.random.random() < 0.9 else 2):
            self.plan(seconds + self.random.uniform(0.001, 0.15), "seen", (kind, epoch, n))

    def run(self, until: float) -> None:
        """Let time pass; a look is made as soon as it is due, as far as somebody listened without a break."""
        start = 5.0
        while start < until:
            start += self.random.uniform(20, 200)
            self.breaks.append((start, start + self.random.choice([0.2, 3.0, 40.0])))
            start = self.breaks[-1][1]
        for tick in range(int(until * 5)):
            self.plan(tick / 5, "tick")
        while self.events:
            now, _, what, facts = heapq.heappop(self.events)
            if any(begun <= now < over for begun, over in self.breaks):
                continue  # lost: nobody listened, nobody looks
            before = len(self.watch.told)
            if what == "seen":
                self.watch.sees(now, *facts)
            else:
                self.look(now)
            self.told += [(now, each["status"], each["cause"]) for each in self.watch.told[before:]]

    def look(self, now: float) -> None:
        since = max((over for _, over in self.breaks if over <= now), default=-1000.0)
        due, horizon = presence.due(self.watch.device), round(now - 0.25, 3)
        if due is not None and due.at <= at(horizon) and horizon - since >= due.silence_s:
            self.watch.looks(now, since=since, until=horizon)

    def listened(self, begun: float, over: float) -> bool:
        return not any(a < over and begun < b for a, b in self.breaks)


@pytest.mark.parametrize("seed", range(60))
def test_a_device_is_called_offline_only_when_it_is_and_in_time_when_somebody_listened(seed: int) -> None:
    plant = Plant(seed)
    plant.live(600)
    plant.run(700)
    for now, status, cause in plant.told:
        if status == "offline" and cause == "timeout":
            assert not any(begun + 0.2 < now - 0.5 and now < over for begun, over in plant.alive), (now, plant.told)
    bound = 1.5 * INTERVAL_S + 1
    for begun, over in plant.alive:
        after = [begun for begun, _ in plant.alive if begun >= over]
        silent_until = min(after, default=700.0)
        if silent_until - over > bound + 0.2 and plant.listened(begun - 60, over + bound + 1):
            known = [status for now, status, _ in plant.told if now <= over + bound + 0.2]
            assert known[-1] == "offline", (begun, over, plant.told)


def test_nobody_is_called_offline_after_a_break_however_long_it_was() -> None:
    watches = [Watch().sees(0, "birth") for _ in range(1000)]
    for number, watch in enumerate(watches):
        watch.looks(3600.5, since=3600)
        watch.sees(3600 + number % 10, "beat", n=1).looks(3612, since=3600)
    assert {tuple(watch.story) for watch in watches} == {(("online", "birth", 1),)}
