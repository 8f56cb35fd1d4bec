"""What a device says: a fault was raised, or it cleared."""

from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, model_validator

from shared.contracts import limits
from shared.contracts.case import Machine
from shared.contracts.fields import CaseCode, DeviceId, Id, Instant, Model, TenantId, Word
from shared.contracts.raw import check_raw, raw_json
from shared.contracts.words import Severity

RAISED: Final = "callout.signal.raised.v1"
CLEARED: Final = "callout.signal.cleared.v1"

SEVERITIES: Final[dict[str, Severity]] = {
    **{word.value: word for word in Severity},
    "urgent": Severity.MAJOR,
    "error": Severity.MAJOR,
    "standard": Severity.MINOR,
    "low": Severity.WARNING,
    "security": Severity.CRITICAL,
    "informational": Severity.INFO,
    "indeterminate": Severity.INFO,
    "debug": Severity.INFO,
    "trace": Severity.INFO,
    "unknown": Severity.INFO,
}

Measurement = (
    bool
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | float
    | Annotated[str, Field(max_length=limits.TEXT_MAX)]
    | None
)


class ReportedMachine(Model):
    """What the device is built into, in its own words."""

    model_config = ConfigDict(extra="allow")

    serial: Word | None = None
    model: Word | None = None
    brand: Word | None = None
    technology: Word | None = None


class Signal(Model):
    """One report of a device; what it says beyond the known fields stays readable in `raw`."""

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)

    tenant_id: TenantId
    device_id: DeviceId
    fault: Annotated[str, Field(min_length=1, max_length=limits.FAULT_MAX)]
    severity: Annotated[str, Field(max_length=limits.TITLE_MAX)] | None = None
    title: str | None = None
    description: str | None = None
    occurred_at: Instant | None = None
    reported_machine: Annotated[ReportedMachine | None, Field(alias="machine")] = None
    measurements: dict[str, Measurement] | None = None
    dedup_key: Annotated[str, Field(min_length=1, max_length=limits.DEDUP_KEY_MAX)] | None = None
    case_code: CaseCode | None = None
    template: Id | None = None
    seq: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def _bound_raw(self) -> "Signal":
        if self.model_extra or self.cut or (self.reported_machine and self.reported_machine.model_extra):
            check_raw(self._rest(), self.raw_json or b"")
        return self

    @property
    def key(self) -> str:
        """The dedup key: the device's own, or `<device>:<fault>`."""
        return self.dedup_key or f"{self.device_id}:{self.fault}"

    @property
    def machine(self) -> Machine | None:
        """What the device is built into, as far as a case has fields for it."""
        told = self.reported_machine
        if told is None:
            return None
        return Machine(serial=told.serial, model=told.model, brand=told.brand, technology=told.technology)

    @property
    def cut(self) -> bool:
        """Whether the title or description is longer than a case can hold."""
        return len(self.title or "") > limits.TITLE_MAX or len(self.description or "") > limits.TEXT_MAX

    @property
    def core_severity(self) -> Severity:
        """The severity in core words; `minor` for none and for a word nobody knows."""
        return SEVERITIES.get((self.severity or "minor").strip().lower(), Severity.MINOR)

    @property
    def raw_severity(self) -> str | None:
        """The device's own word, where it is not a core word."""
        return self.severity[:128] if self.severity and self.severity != self.core_severity else None

    @cached_property
    def raw_json(self) -> bytes | None:
        """What a case has no field for, as a JSON object; nothing if all fits."""
        rest = self._rest()
        return raw_json(rest) if rest else None

    def _rest(self) -> dict[str, Any]:
        rest: dict[str, Any] = dict(self.model_extra or {})
        if len(self.title or "") > limits.TITLE_MAX:
            rest["title"] = self.title
        if len(self.description or "") > limits.TEXT_MAX:
            rest["description"] = self.description
        if self.reported_machine and self.reported_machine.model_extra:
            rest["machine"] = self.reported_machine.model_extra
        return rest
