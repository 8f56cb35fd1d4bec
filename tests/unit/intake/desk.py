"""A desk that signals come to one by one: it keeps the keys as the flow does, and checks all it is told by contract."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from pydantic_core import to_json

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
    settle,
)
from services.intake.domain.key import storm_key
from shared.contracts import intake
from shared.contracts.commands import COMMANDS
from shared.contracts.intake import Wake
from shared.contracts.signals import Signal
from shared.contracts.tenant import Flapping, Maintenance, Rule, Rules, Storm
from shared.contracts.words import Condition

TENANT, DEVICE, FAULT = "acme", "press-07", "E417"
KEY = f"{DEVICE}:{FAULT}"
START = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


def after(seconds: float = 0, *, minutes: float = 0) -> datetime:
    return START + timedelta(seconds=seconds, minutes=minutes)


def text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rules(*some: Rule, storm: Storm | None = None, flapping: Flapping | None = None, windows=()) -> Policy:
    return Policy(
        Rules(rules=some, storm=storm or Storm(), flapping=flapping or Flapping()),
        tuple(Maintenance(**window) for window in windows),
    )


def make_signal(**fields: Any) -> Signal:
    return Signal(**{"tenant_id": TENANT, "device_id": DEVICE, "fault": FAULT, **fields})


def case_event(case_id: str, dedup_key: str | None = KEY, *, cleared=False, flapping=False, **change: Any):
    condition = Condition.CLEARED if cleared else Condition.ACTIVE
    signal = SimpleNamespace(dedup_key=dedup_key, condition=condition, flapping=flapping) if dedup_key else None
    return SimpleNamespace(case_id=case_id, change=change, case=SimpleNamespace(signal=signal))


class Desk:
    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.keys: dict[str, Key] = {}
        self.commands: list[Any] = []
        self.decisions: list[Any] = []
        self.now = START

    @property
    def key(self) -> Key:
        return self.keys[KEY]

    def raised(self, at: datetime | None = None, **kept: Any) -> Triage:
        return self.hear(Kind.RAISED, at, **kept)

    def cleared(self, at: datetime | None = None, **kept: Any) -> Triage:
        return self.hear(Kind.CLEARED, at, **kept)

    def hear(self, kind: Kind, at: datetime | None, *, now=None, signal_id=None, **fields: Any) -> Triage:
        """A signal whose record comes at its event time, unless `now` says otherwise."""
        self.now = now or at or self.now
        signal = make_signal(occurred_at=at, **fields)
        storm = storm_key(signal.device_id)
        own = self.keys.get(signal.key)
        guide = self.keys.get(storm) if needs_guide(own, kind, signal, self.policy) else None
        facts = {"signal": signal, "signal_id": signal_id, "now": self.now, "policy": self.policy}
        triage = self._take(signal.key, on_signal(own, guide, kind=kind, **facts))
        if triage.verdict is not None:
            self._take(storm, on_verdict(guide, triage.verdict, **facts))
        return triage

    def case(self, name: str, case_id: str = "", *, now: datetime | None = None, **facts: Any) -> Triage:
        """An event of a case of the key: the current one, unless an id is given."""
        self.now = now or self.now
        dedup_key = facts.pop("dedup_key", KEY)
        key = self.keys.get(dedup_key)
        event = case_event(case_id or key.case_id, dedup_key, **facts)
        return self._take(dedup_key, on_case_event(key, name=name, event=event, now=self.now, policy=self.policy))

    def wake(self, now: datetime, dedup_key: str = KEY, *, due: datetime | None = None) -> Triage:
        wake = Wake(tenant_id=TENANT, dedup_key=dedup_key, due_at=due or now)
        return self._take(dedup_key, on_wake(self.keys.get(dedup_key), wake, now=now))

    def settle(self) -> list[Any]:
        told = []
        for name, key in self.keys.items():
            self.keys[name], decisions = settle(key)
            told += decisions
        self.decisions += told
        return told

    def told(self) -> list[tuple[Any, ...]]:
        """What cases were told since the last call: the command's name and its telling arguments."""
        told = [(c.name, *(c.data.get(a) for a in TELLING[c.name] if a in c.data)) for c in self.commands]
        self.commands = []
        return told

    def decided(self) -> list[tuple[str, str]]:
        """What was decided since the last call: name and reason."""
        decided = [(d.name, d.data["reason"]) for d in self.decisions]
        self.decisions = []
        return decided

    def _take(self, name: str, triage: Triage) -> Triage:
        self._keep(name, triage.key)
        for command in triage.commands:
            COMMANDS[command.name].model_validate_json(to_json(command.data))
            assert command.data["case_id"] == command.case_id
        for decision in triage.decisions:
            intake.Decision.model_validate_json(to_json(decision.data))
            assert decision.name in intake.DECISIONS
        self.commands += triage.commands
        self.decisions += triage.decisions
        return triage

    def _keep(self, name: str, key: Key | None) -> None:
        if key is not None:
            assert key.dedup_key == name
            assert key.open or not key.untold
            self.keys[name] = key


TELLING = {
    "create": (),
    "occur": ("count", "severity"),
    "clear": ("at",),
    "flag_flapping": ("flapping", "summary"),
}


def unsettled(key: Key) -> Key:
    """The key as it is stored: without what only lives within a batch."""
    return replace(key, joined=0, joined_at=Key(tenant_id="t", dedup_key="k").joined_at)
