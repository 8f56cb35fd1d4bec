"""What intake tells of its decisions, and how it wakes itself."""

from typing import Any, Final

from shared.contracts.fields import CaseId, DeviceId, Instant, Model, TenantId

DECISIONS: Final = ("opened", "joined", "recurred", "suppressed", "flapping", "cleared", "refused")
WAKE: Final = "callout.intake.wake.v1"


def decision_type(name: str) -> str:
    """Return the type on the wire of a decision."""
    return f"callout.intake.{name}.v1"


class Decision(Model):
    """What intake made of signals, by which rule and why; `count` signals are summed in one `joined`.

    `reason` is a stable word: `first`, `ended_before`, `open_case`, `storm`, `returned`, `maintenance`, `flips`,
    `quiet`, `condition`, `held`, `no_open_case`, `stale_clear`, `already_cleared`, `duplicate`, `rule`.
    """

    tenant_id: TenantId
    dedup_key: str
    device_id: DeviceId | None = None
    case_id: CaseId | None = None
    episode: int | None = None
    count: int = 1
    at: Instant
    reason: str
    rule: str | None = None
    details: dict[str, Any] | None = None


class Wake(Model):
    """It is time to look at a dedup key again: a recorded tick of the clock."""

    tenant_id: TenantId
    dedup_key: str
    due_at: Instant
