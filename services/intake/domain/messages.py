"""What intake says: commands to cases, decisions, and both together with the keys they leave behind."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.intake.domain.key import Key
from shared.contracts.fields import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to a case; `data` is the body on the wire."""

    name: str
    case_id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was made of a signal; `data` is the body on the wire."""

    name: str
    dedup_key: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What one record does to a key (nothing: unchanged), what the guide said of it, and what to tell."""

    key: Key | None = None
    verdict: str | None = None
    commands: tuple[Command, ...] = ()
    decisions: tuple[Decision, ...] = ()


class Step(NamedTuple):
    """A key after a part of a decision, and what that part tells."""

    key: Key
    commands: tuple[Command, ...] = ()
    decisions: tuple[Decision, ...] = ()

    def then(self, step: "Step") -> "Step":
        """Return both steps as one."""
        return Step(step.key, self.commands + step.commands, self.decisions + step.decisions)

    def triage(self, verdict: str | None = None) -> Triage:
        """Return the step as all that a record does; `verdict` is what the guide said of it."""
        return Triage(key=self.key, verdict=verdict, commands=self.commands, decisions=self.decisions)


def command(key: Key, name: str, **arguments: Any) -> Command:  # noqa: ANN401
    """Return a command to the key's case, in the name of the device that reported last."""
    actor = {"id": key.device_id or "intake", "role": "device", "tenant_id": key.tenant_id}
    data = {"case_id": key.case_id, "tenant_id": key.tenant_id, "actor": actor, **arguments}
    return Command(name=name, case_id=key.case_id, data=data)


def decision(key: Key, name: str, reason: str, now: datetime, **facts: Any) -> Decision:  # noqa: ANN401
    """Return a decision about the key as of the record's time."""
    data: dict[str, Any] = {"tenant_id": key.tenant_id, "dedup_key": key.dedup_key}
    if key.device_id:
        data["device_id"] = key.device_id
    if key.case_id:
        data |= {"case_id": key.case_id, "episode": key.episode}
    data |= {"count": 1, "at": rfc3339(now), "reason": reason}
    data |= {name: value for name, value in facts.items() if value is not None}
    return Decision(name=name, dedup_key=key.dedup_key, data=data)
