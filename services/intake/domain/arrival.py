"""A signal made ready to decide on: its event time, its id and what the tenant's rules say of it."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from services.intake.domain.key import STORM_FAULT, Report
from services.intake.domain.policy import Policy
from shared.contracts import limits
from shared.contracts.signals import Signal
from shared.contracts.tenant import Flapping, Rule
from shared.contracts.words import Severity

AHEAD_MAX: Final = timedelta(minutes=5)


class Kind(StrEnum):
    """What a signal says of its fault."""

    RAISED = "raised"
    CLEARED = "cleared"


class Arrival(NamedTuple):
    """One signal at the time of its record (`now`); `storm` says that it counts on its device's storm key."""

    signal: Signal
    signal_id: bytes | None
    now: datetime
    at: datetime
    skewed: bool
    severity: Severity
    rule: Rule | None
    flapping: Flapping
    storm: bool = False

    @property
    def seq(self) -> int | None:
        """The device's own order of its signals; it says nothing about the storm of many faults."""
        return None if self.storm else self.signal.seq

    def report(self) -> Report:
        """Return what a case can be made of."""
        signal = self.signal
        if self.storm:
            title = f"Storm of new faults on {signal.device_id}"[: limits.TITLE_MAX]
            machine = signal.machine
            return Report(
                fault=STORM_FAULT, device_id=signal.device_id, severity=self.severity, title=title, machine=machine
            )
        return Report(
            fault=signal.fault,
            device_id=signal.device_id,
            severity=self.severity,
            raw_severity=signal.raw_severity,
            title=signal.title[: limits.TITLE_MAX] if signal.title else None,
            description=signal.description[: limits.TEXT_MAX] if signal.description else None,
            machine=signal.machine,
            case_code=signal.case_code,
            template=signal.template,
        )


def forced_severity(rule: Rule | None) -> Severity | None:
    """Return the severity that a rule gives whatever the device says."""
    return rule.severity if rule is not None else None


def arrive(signal: Signal, signal_id: bytes | None, now: datetime, policy: Policy) -> Arrival:
    """Return the signal as its record's time and the tenant's rules see it; a clock that runs ahead is set back."""
    at = signal.occurred_at or now
    skewed = at - now > AHEAD_MAX
    rule = policy.rule(signal.fault, signal.device_id)
    return Arrival(
        signal=signal,
        signal_id=signal_id,
        now=now,
        at=now if skewed else at,
        skewed=skewed,
        severity=forced_severity(rule) or signal.core_severity,
        rule=rule,
        flapping=policy.flapping(rule),
    )
