"""What intake tells of its decisions, and how it wakes itself."""

from typing import Any, Final

from shared.contracts.fields import CaseId, DeviceId, Instant, Model, TenantId

DECISIONS: Final = ("opened", "joined", "recurred", "suppressed", "flapping", "cleared", "refused")
REASONS: Final[dict[str, str]] = {
    "first": "the key has no case yet",
    "ended_before": "the last case of the key has ended",
    "open_case": "the key has an open case",
    "storm": "its device raises too many new keys: they go to the case of the storm",
    "returned": "signals came back from a case that had ended before they happened",
    "maintenance": "a maintenance window covers it",
    "rule": "a rule of the tenant suppresses it",
    "flips": "the fault comes and goes too often",
    "quiet": "the fault has ceased to come and go",
    "condition": "the fault is gone",
    "held": "the fault is gone for now, but it is flapping: the clear waits",
    "no_open_case": "there is nothing to clear",
    "stale_clear": "the clear is older than the last raise",
    "already_cleared": "the fault was gone before",
    "duplicate": "the same source and id came before",
    "rate_limited": "its device says more than it may; nothing was stored, and the device was told so (over MQTT)",
}
WAKE: Final = "callout.intake.wake.v1"


def decision_type(name: str) -> str:
    """Return the type on the wire of a decision."""
    return f"callout.intake.{name}.v1"


class Decision(Model):
    """What intake made of signals, by which rule and why; `count` signals are summed in one `joined`.

    `reason` is a stable word, one of the reasons of intake's decisions.
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
