"""Promises for every order of records: batches, restarts and crashes between two writes change nothing."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.domain import (
    Key,
    Kind,
    Policy,
    needs_guide,
    on_signal,
    on_verdict,
    on_wake,
    settle,
    wake_at,
)
from services.intake.domain.key import storm_key
from services.intake.store import from_document, to_document
from shared.contracts.intake import Wake
from shared.contracts.tenant import Flapping, Rule, Rules, Storm
from tests.unit.intake.desk import DEVICE, TENANT, after, make_signal, unsettled

STORM_KEY = storm_key(DEVICE)
FAULTS = ("A", "B", "C", "D", "noise", "storm")
POLICY = Policy(
    Rules(
        rules=(Rule(name="quiet", fault="noise", suppress=True),),
        storm=Storm(new_keys=2, quiet_minutes=0.2),
        flapping=Flapping(flips=2, window_minutes=1, quiet_minutes=0.25),
    )
)


@dataclass(frozen=True)
class Record:
    kind: Kind | None
    fault: str
    wait: int
    late: int
    severity: str
    seq: int | None
    signal_id: bytes | None


@dataclass
class Outcome:
    keys: dict[str, Key] = field(default_factory=dict)
    commands: list[Any] = field(default_factory=list)
    decisions: list[Any] = field(default_factory=list)
    joined: Counter[Any] = field(default_factory=Counter)
    counted: int = 0

    def batch_ends(self) -> None:
        for name, key in self.keys.items():
            settled, decisions = settle(key)
            for decision in decisions:
                self.joined[decision.dedup_key, decision.data["case_id"], decision.data["reason"]] += decision.data[
                    "count"
                ]
            self.keys[name] = from_document(to_document(settled))

    def tell(self, triage: Any) -> None:
        self.commands += triage.commands
        self.decisions += [d for d in triage.decisions if d.name != "joined"]
        for decision in triage.decisions:
            if decision.name == "joined":
                self.joined[decision.dedup_key, decision.data["case_id"], decision.data["reason"]] += decision.data[
                    "count"
                ]


RECORDS = st.lists(
    st.builds(
        Record,
        kind=st.sampled_from([Kind.RAISED, Kind.RAISED, Kind.RAISED, Kind.CLEARED, None]),
        fault=st.sampled_from(FAULTS),
        wait=st.integers(0, 12),
        late=st.sampled_from([0, 0, 0, 0, 1, 5, 40]),
        severity=st.sampled_from(["minor", "minor", "major"]),
        seq=st.one_of(st.none(), st.integers(0, 20)),
        signal_id=st.sampled_from([None, b"a" * 16, b"b" * 16, *(bytes([n]) * 16 for n in range(10))]),
    ),
    max_size=60,
)


def run(records: list[Record], *, ends: set[int] = frozenset(), late: set[int] = frozenset()) -> Outcome:
    """Decide all records; a batch ends after each of `ends`; others change the guide of `late` before it heeds."""
    outcome, now = Outcome(), after(0)
    for place, record in enumerate(records):
        now = now.__class__.fromtimestamp(now.timestamp() + record.wait, now.tzinfo)
        if record.kind is None:
            wake(outcome, f"{DEVICE}:{record.fault}", now)
        else:
            signal_comes(outcome, record, now, late=place in late)
        if place in ends:
            outcome.batch_ends()
    outcome.batch_ends()
    return outcome


def wake(outcome: Outcome, name: str, now: Any) -> None:
    triage = on_wake(outcome.keys.get(name), Wake(tenant_id=TENANT, dedup_key=name, due_at=now), now=now)
    if triage.key:
        outcome.keys[name] = triage.key
    outcome.tell(triage)


def signal_comes(outcome: Outcome, record: Record, now: Any, *, late: bool) -> None:
    at = now.__class__.fromtimestamp(now.timestamp() - record.late, now.tzinfo)
    signal = make_signal(fault=record.fault, severity=record.severity, seq=record.seq, occurred_at=at)
    facts = {"signal": signal, "signal_id": record.signal_id, "now": now, "policy": POLICY}
    own = outcome.keys.get(signal.key)
    guide = outcome.keys.get(STORM_KEY) if needs_guide(own, record.kind, signal, POLICY) else None
    triage = on_signal(own, guide, kind=record.kind, **facts)
    assert triage == on_signal(own, guide, kind=record.kind, **facts)
    if triage.key:
        outcome.keys[signal.key] = triage.key
    outcome.tell(triage)
    if triage.verdict is not None:
        assert triage.key
        if late:
            wake(outcome, STORM_KEY, after(10_000))
        heeded = on_verdict(outcome.keys.get(STORM_KEY), triage.verdict, **facts)
        assert triage.verdict == "storm" or not (heeded.commands or heeded.decisions)
        outcome.keys[STORM_KEY] = heeded.key
        outcome.tell(heeded)
    refused = {d.name for d in triage.decisions} & {"suppressed", "refused"}
    outcome.counted += record.kind is Kind.RAISED and not refused


@settings(max_examples=300, deadline=None)
@given(records=RECORDS, ends=st.sets(st.integers(0, 60)))
def test_batches_and_restarts_change_neither_keys_nor_commands_nor_decisions(records, ends):
    whole, split = run(records), run(records, ends=ends)
    assert split.keys == whole.keys == {name: unsettled(key) for name, key in whole.keys.items()}
    assert split.commands == whole.commands
    assert split.decisions == whole.decisions
    assert split.joined == whole.joined


@settings(max_examples=300, deadline=None)
@given(records=RECORDS, ends=st.sets(st.integers(0, 60)))
def test_what_was_told_and_what_is_untold_is_what_was_counted(records, ends):
    outcome = run(records, ends=ends)
    told = sum(c.data["case"]["signal"]["count"] for c in outcome.commands if c.name == "create")
    told += sum(c.data["count"] for c in outcome.commands if c.name == "occur")
    assert told + sum(key.untold for key in outcome.keys.values()) == outcome.counted
    opened = sum(d.data["count"] for d in outcome.decisions if d.name in ("opened", "recurred"))
    assert opened + outcome.joined.total() == outcome.counted


@settings(max_examples=300, deadline=None)
@given(records=RECORDS, late=st.sets(st.integers(0, 60)))
def test_a_guide_that_heeds_late_counts_all_the_same(records, late):
    outcome = run(records, late=late)
    told = sum(c.data["case"]["signal"]["count"] for c in outcome.commands if c.name == "create")
    told += sum(c.data["count"] for c in outcome.commands if c.name == "occur")
    assert told + sum(key.untold for key in outcome.keys.values()) == outcome.counted


@settings(max_examples=200, deadline=None)
@given(records=RECORDS)
def test_time_alone_brings_every_key_to_rest(records):
    outcome = run(records)
    for name in outcome.keys:
        for _ in range(4):
            due = wake_at(outcome.keys[name])
            if due is None:
                break
            wake(outcome, name, due)
            assert (wake_at(outcome.keys[name]) or due.max.replace(tzinfo=due.tzinfo)) > due
        key = outcome.keys[name]
        assert (wake_at(key), key.untold, key.flapping, key.storm) == (None, 0, None, None)
