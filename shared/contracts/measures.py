"""What operations learn about cases: time that is used up, and how reliably machines are looked after."""

from datetime import datetime
from typing import Final

from pydantic import Field

from shared.contracts.fields import CaseId, DeviceId, Id, Instant, Model, TenantId, Word
from shared.contracts.words import Clock, Priority, Severity, State, Waiting

SLA: Final = "callout.ops.sla.v1"
CASE_RELIABILITY: Final = "callout.ops.reliability.case.v1"
MODEL_RELIABILITY: Final = "callout.ops.reliability.model.v1"
NO_MODEL: Final = "(none)"


class SlaForecast(Model):
    """What to expect if the case stays as it is; a clock that stands still or is over has no instants to come."""

    due_at: Instant | None = None
    next_percent: int | None = None
    next_at: Instant | None = None
    left_seconds: float = Field(description="Working time that is left; less than nothing: so much over")


class SlaShare(Model):
    """A share of the time that a case may take is used up: `percent` of `clock`, since `reached_at`."""

    tenant_id: TenantId
    case_id: CaseId
    number: str
    clock: Clock
    percent: int
    level: Word
    reached_at: Instant
    at: Instant = Field(description="When that was noticed; later than `reached_at` after an outage")
    started_at: Instant
    target_seconds: float
    spent_seconds: float
    running: bool
    forecast: SlaForecast
    state: State
    priority: Priority
    severity: Severity
    assignees: tuple[Id, ...] = ()
    teams: tuple[Id, ...] = ()
    device_id: DeviceId | None = None
    model: Word | None = None


class CaseMeasures(Model):
    """How one case went, each time it was closed or cancelled, and each time that was taken back (`reopened`).

    Seconds are of the clock on the wall, from the creation of the case, or from when it was last reopened; what never
    happened, or was told before the reopening, is left out. `waiting_seconds` has each of them once.
    """

    tenant_id: TenantId
    case_id: CaseId
    number: str
    at: Instant
    end: State | None = Field(None, description="CLOSED or CANCELLED; absent: reopened")
    model: Word = Field(NO_MODEL, description="The machine's model; `(none)` for a case without one")
    device_id: DeviceId | None = None
    priority: Priority
    detect_seconds: float | None = Field(None, description="From the occurrence to the creation of the case")
    acknowledge_seconds: float | None = Field(None, description="To the first step by which somebody took it up")
    first_response_seconds: float | None = None
    resolve_seconds: float | None = None
    restore_seconds: float | None = Field(None, description="From the first signal until its condition had cleared")
    close_seconds: float | None = None
    reopen_count: int = 0
    waiting_seconds: dict[Waiting, float] = Field(default_factory=dict)
    first_response_met: bool | None = Field(None, description="Whether the first response came in time")
    resolution_met: bool | None = None


class Mean(Model):
    """A mean: of how many, and of which sum; sums of several periods or models may be added."""

    count: int
    total_seconds: float
    mean_seconds: float


class Reliability(Model):
    """What the measures of many cases come to; `mean` has `detect`, `acknowledge` and so on, as far as there are any.

    `waiting_seconds` adds the time that closed cases waited; `reopen_rate` is of `closed`.
    """

    closed: int = 0
    cancelled: int = 0
    reopened: int = 0
    reopen_rate: float | None = None
    mean: dict[str, Mean] = Field(default_factory=dict)
    waiting_seconds: dict[Waiting, float] = Field(default_factory=dict)
    first_response_met: int = 0
    first_response_missed: int = 0
    resolution_met: int = 0
    resolution_missed: int = 0


class ModelReliability(Model):
    """How cases of one machine model of one tenant went: since ever, and in the month of the last end."""

    tenant_id: TenantId
    model: Word
    at: Instant
    total: Reliability
    month: str = Field(description="YYYY-MM, by UTC")
    in_month: Reliability


def month_of(at: datetime) -> str:
    """Return the month of an instant, by UTC."""
    return f"{at:%Y-%m}"
