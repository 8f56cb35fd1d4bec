"""Random races of signals, clears, endings, reopenings and overtaking commands against a naive reader of commands.

The reader knows what a case does with counts and nothing of intake.
"""

import random
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.intake.domain import (
    Key,
    Kind,
    Policy,
    Triage,
    needs_guide,
    on_case_event,
    on_signal,
    on_verdict,
    on_wake,
    wake_at,
)
from services.intake.domain.key import storm_key
from services.intake.store import from_document, to_document
from shared.contracts.intake import Wake
from shared.contracts.signals import Signal
from shared.contracts.tenant import Flapping, Maintenance, Rules, Storm
from tests.unit.intake.desk import DEVICE, START, TENANT, after, case_event

SCHEDULES = 2_500
POLICY = Policy(
    Rules(
        storm=Storm(new_keys=2, window_seconds=10, quiet_minutes=0.3),
        flapping=Flapping(flips=3, window_minutes=0.5, quiet_minutes=0.3),
    ),
    (Maintenance(fault="B", starts_at=after(20), until=after(24)),),
)
OTHER = "press-08"
SIGNALS = {fault: Signal(tenant_id=TENANT, device_id=DEVICE, fault=fault) for fault in ("A", "B", "C", "D")}
SHARED = [Signal(tenant_id=TENANT, device_id=device, fault="L", dedup_key="line") for device in (DEVICE, OTHER)]
OTHERS = [Signal(tenant_id=TENANT, device_id=OTHER, fault=fault) for fault in ("A", "B")]


def instant(told: str) -> datetime:
    return datetime.fromisoformat(told)


@dataclass
class Case:
    """What a naive reader of the commands makes of one case."""

    dedup_key: str = ""
    created: bool = False
    count: int = 0
    ended: datetime | None = None
    raised_at: datetime = START - timedelta(days=1)
    cleared_at: datetime = START - timedelta(days=2)
    flapping: bool = False
    flagged_at: datetime = START - timedelta(days=1)

    @property
    def cleared(self) -> bool:
        return self.cleared_at >= self.raised_at

    def take(
        self, name: str, data: dict[str, Any], now: datetime, *, hand_back: bool
    ) -> tuple[str, dict[str, Any]] | None:
        told = getattr(self, f"_{name}")(data, now)
        return told if hand_back or told is None or told[0] != "occurrences_returned" else None

    def _create(self, data: dict[str, Any], now: datetime) -> None:
        signal = data["case"]["signal"]
        assert not self.created
        self.created, self.dedup_key = True, signal["dedup_key"]
        self.count += signal["count"]
        self.raised_at = max(self.raised_at, instant(signal["last_at"]))

    def _occur(self, data: dict[str, Any], now: datetime) -> tuple[str, dict[str, Any]] | None:
        last_at = instant(data["last_at"])
        if self.ended is not None and last_at > self.ended:
            change = {"count": data["count"], "last_at": data["last_at"]}
            return "occurrences_returned", change | ({"first_at": data["first_at"]} if data["count"] % 2 else {})
        self.count += data["count"]
        self.raised_at = max(self.raised_at, last_at)
        return None

    def _clear(self, data: dict[str, Any], now: datetime) -> None:
        if self.ended is None:
            self.cleared_at = max(self.cleared_at, instant(data["at"]))

    def _flag_flapping(self, data: dict[str, Any], now: datetime) -> None:
        at = instant(data["at"])
        if self.ended is None and (at > self.flagged_at or (at == self.flagged_at and not data["flapping"])):
            self.flapping, self.flagged_at = data["flapping"], at

    def _close(self, data: dict[str, Any], now: datetime) -> tuple[str, dict[str, Any]] | None:
        if not self.created or self.ended is not None:
            return None
        self.ended = now
        return "closed", {}

    def _reopen(self, data: dict[str, Any], now: datetime) -> tuple[str, dict[str, Any]] | None:
        if self.ended is None:
            return None
        self.ended = None
        return "reopened", {}


class World:
    def __init__(self, seed: int, *, hand_back: bool = True, senders_repeat: bool = False) -> None:
        self.random = random.Random(seed)
        self.hand_back = hand_back
        self.senders_repeat = senders_repeat
        self.sent: list[tuple[Signal, bytes]] = []
        self.known: set[tuple[str, bytes]] = set()
        self.now = START
        self.keys: dict[str, Key] = {}
        self.cases: defaultdict[str, Case] = defaultdict(Case)
        self.commands: defaultdict[str, deque[tuple[str, dict[str, Any]]]] = defaultdict(deque)
        self.events: defaultdict[str, deque[tuple[str, dict[str, Any], Any]]] = defaultdict(deque)
        self.counted = 0

    def keep(self, name: str, triage: Triage) -> None:
        if triage.key is not None:
            self.keys[name] = from_document(to_document(triage.key)) if self.random.random() < 0.1 else triage.key
        for command in triage.commands:
            self.commands[command.case_id].append((command.name, command.data))

    def signal(self, kind: Kind) -> None:
        signal, signal_id = self.repeated() if self.senders_repeat and kind is Kind.RAISED else (self.drawn(), None)
        storm = storm_key(signal.device_id)
        facts = {"signal": signal, "signal_id": signal_id, "now": self.now, "policy": POLICY}
        own = self.keys.get(signal.key)
        guide = self.keys.get(storm) if needs_guide(own, kind, signal, POLICY) else None
        triage = on_signal(own, guide, kind=kind, **facts)
        news = signal_id is None or (signal.key, signal_id) not in self.known
        if kind is Kind.RAISED and not any(d.name == "suppressed" for d in triage.decisions):
            self.counted += news
            self.known |= {(signal.key, signal_id)} if signal_id else set()
        self.keep(signal.key, triage)
        if triage.verdict is not None:
            # Others may write the guide before it heeds.
            for _ in range(self.random.randrange(3) if self.random.random() < 0.3 else 0):
                self.case_event_heard()
            self.keep(storm, on_verdict(self.keys.get(storm), triage.verdict, **facts))

    def drawn(self) -> Signal:
        late = self.random.randrange(12) if self.random.random() < 0.3 else 0
        some = [*SHARED, *OTHERS, *SIGNALS.values()] if self.senders_repeat else [SIGNALS[f] for f in "AAABBCD"]
        return self.random.choice(some).model_copy(update={"occurred_at": self.now - timedelta(seconds=late)})

    def repeated(self) -> tuple[Signal, bytes]:
        """A signal that was sent before, or a new one that may be sent again."""
        if not self.sent or self.random.random() < 0.6:
            self.sent.append((self.drawn(), self.random.randbytes(16)))
            return self.sent[-1]
        return self.random.choice(self.sent)

    def case_decides(self) -> bool:
        waiting = [case_id for case_id, queue in self.commands.items() if queue]
        if not waiting:
            return False
        case_id = self.random.choice(waiting)
        queue = self.commands[case_id]
        place = self.random.randrange(min(2, len(queue)))  # units of other partitions tell side by side
        name, data = queue[place]
        del queue[place]
        told = self.cases[case_id].take(name, data, self.now, hand_back=self.hand_back)
        if told is not None:
            case = self.cases[case_id]
            after_it = case_event(case_id, case.dedup_key, cleared=case.cleared, flapping=case.flapping, **told[1])
            self.events[case_id].append((told[0], told[1], after_it))
        return True

    def case_event_heard(self) -> bool:
        waiting = [case_id for case_id, queue in self.events.items() if queue]
        if not waiting:
            return False
        name, _, event = self.events[self.random.choice(waiting)].popleft()
        dedup_key = event.case.signal.dedup_key
        key = self.keys.get(dedup_key)
        self.keep(dedup_key, on_case_event(key, name=name, event=event, now=self.now, policy=POLICY))
        return True

    def wake(self, *, due_only: bool) -> bool:
        woken = False
        for name, key in list(self.keys.items()):
            due = wake_at(key)
            if due is not None and (due <= self.now or not due_only):
                self.now = max(self.now, due)
                wake = Wake(tenant_id=TENANT, dedup_key=name, due_at=due)
                self.keep(name, on_wake(key, wake, now=self.now))
                woken = True
        return woken

    def someone_acts(self) -> None:
        if self.cases:
            case_id = self.random.choice(list(self.cases))
            self.commands[case_id].append((self.random.choice(["close", "close", "reopen"]), {}))

    def step(self) -> None:
        self.now += timedelta(seconds=self.random.choice((0, 0.5, 1, 3)))
        chance = self.random.random()
        if chance < 0.38:
            self.signal(Kind.RAISED)
        elif chance < 0.46:
            self.signal(Kind.CLEARED)
        elif chance < 0.5:
            self.wake(due_only=True)
        elif chance < 0.6:
            self.someone_acts()
        elif chance < 0.8:
            self.case_decides()
        else:
            self.case_event_heard()

    def run(self) -> None:
        for _ in range(self.random.randrange(20, 100)):
            self.step()
        for _ in range(2_000):
            moves = [self.case_decides, self.case_event_heard]
            self.random.shuffle(moves)
            if not any(move() for move in moves) and not self.wake(due_only=False):
                return
        raise AssertionError("never quiet")

    def uncounted(self) -> int:
        return self.counted - sum(case.count for case in self.cases.values())


@pytest.mark.parametrize("part", range(5))
def test_every_signal_is_in_exactly_one_count_whatever_races(part):
    for seed in range(part, SCHEDULES, 5):
        world = World(seed)
        world.run()
        assert world.uncounted() == 0, seed
        for case in world.cases.values():
            assert case.created, seed
        for key in world.keys.values():
            assert not key.untold
            if key.open:
                case = world.cases[key.case_id]
                assert (case.ended, case.dedup_key) == (None, key.dedup_key), seed
                assert (case.cleared, case.flapping) == (key.cleared, False), seed


def test_a_signal_sent_again_is_counted_once_wherever_it_was_counted():
    for seed in range(400):
        world = World(seed, senders_repeat=True)
        world.run()
        assert world.uncounted() == 0, seed


def test_without_handing_back_signals_would_be_lost():
    lost = 0
    for seed in range(100):
        world = World(seed, hand_back=False)
        world.run()
        lost += world.uncounted() > 0
    assert lost > 10
