"""What signals do to a case: count, clear, flapping; all by event time."""

from datetime import datetime
from typing import Any, Final, cast

from services.workflow.domain.case import Refused
from services.workflow.domain.guards import Scene
from services.workflow.domain.steps import Step, condition_of
from shared.contracts.case import SignalState
from shared.contracts.commands import Clear, FlagFlapping, Occur
from shared.contracts.words import RefusalCode, Severity, State

COUNT_MAX: Final = 2**53 - 1
SEVERITIES: Final = tuple(Severity)

TOO_MANY: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, "The case cannot count more signals; close it and create a new one.", ("count",)
)


def occur(scene: Scene, command: Occur) -> Step | Refused:
    """Count signals; those later than a resolution make the case recur, those later than its end are handed back."""
    ended_at, state = scene.case.ended_at, scene.state
    if ended_at is not None and command.last_at > ended_at:
        return _hand_back(command)
    signal = _count(scene, command)
    if signal["count"] > COUNT_MAX:
        return TOO_MANY
    fields: dict[str, Any] = {}
    if command.severity is not None and SEVERITIES.index(command.severity) < SEVERITIES.index(state.severity):
        fields["severity"] = command.severity
    if ended_at is None and state.state is State.RESOLVED and command.last_at > cast("datetime", state.resolved_at):
        return Step(event="recurred", fields=fields | {"resolved_at": None}, signal=signal)
    return Step(event="occurred", moves=False, fields=fields, signal=signal)


def clear(scene: Scene, command: Clear) -> Step:
    """Note that the fault was gone at an instant; `condition` tells whether that still is the latest word."""
    cleared_at = max(command.at, scene.case.cleared_at or command.at)
    condition = condition_of(_signal(scene).last_at, cleared_at)
    return Step(
        event="condition_cleared",
        signal={"condition": condition},
        text={"at": command.at},
        internal={"cleared_at": cleared_at},
    )


def flag_flapping(scene: Scene, command: FlagFlapping) -> Step:
    """Note whether the fault comes and goes: the later word wins, at one instant that it does not."""
    at, known_at, flapping = command.at or scene.at, scene.case.flapping_at, _signal(scene).flapping
    if known_at is None or at > known_at:
        known_at, flapping = at, command.flapping
    elif at == known_at:
        flapping = flapping and command.flapping
    return Step(
        event="flapping_changed",
        signal={"flapping": flapping},
        text={"at": at, "summary": command.summary},
        internal={"flapping_at": known_at},
    )


def _count(scene: Scene, command: Occur) -> dict[str, Any]:
    signal = _signal(scene)
    changed: dict[str, Any] = {"count": signal.count + command.count}
    first_at = min(signal.first_at, command.first_at or command.last_at, command.last_at)
    last_at = max(signal.last_at, command.last_at)
    condition = condition_of(last_at, scene.case.cleared_at)
    if first_at != signal.first_at:
        changed["first_at"] = first_at
    if last_at != signal.last_at:
        changed["last_at"] = last_at
    if condition is not signal.condition:
        changed["condition"] = condition
    return changed


def _hand_back(command: Occur) -> Step:
    returned = {"count": command.count, "last_at": command.last_at, "first_at": command.first_at}
    return Step(event="occurrences_returned", moves=False, text=returned)


def _signal(scene: Scene) -> SignalState:
    return cast("SignalState", scene.state.signal)  # the table's guard saw to it
