"""What follows on a key's signals later: its case ended, was reopened or handed signals back, or time went by."""

from datetime import datetime
from typing import Any, Final

from services.intake.domain.behaviour import end_flapping, flag
from services.intake.domain.episode import open_episode
from services.intake.domain.key import TELL_EVERY, Key
from services.intake.domain.messages import Command, Step, Triage, decision
from services.intake.domain.policy import Policy
from services.intake.domain.telling import clear, count_in, tell
from shared.contracts.case import SignalState
from shared.contracts.events import CaseEvent
from shared.contracts.intake import Wake
from shared.contracts.words import Condition
from shared.evolution import evolve

#: A merged case counts on; it ends with the case that it was merged into.
ENDED: Final = frozenset({"closed", "cancelled", "archived", "deleted", "ended_with_target"})
REOPENED: Final = frozenset({"reopened", "unmerged", "reopened_with_target"})
RETURNED: Final = "occurrences_returned"


def on_case_event(key: Key | None, *, name: str, event: CaseEvent, now: datetime, policy: Policy) -> Triage:
    """Follow what happened to a case of this key; signals that any of its cases handed back are counted anew."""
    signal = event.case.signal
    if key is None or signal is None:
        return Triage()
    if name == RETURNED:
        return _take_back(key, event.change, now, policy).triage()
    if event.case_id != key.case_id:
        return Triage()
    if name in ENDED and key.open:
        told = tell(key, now)
        return Triage(key=evolve(told.key, open=False), commands=told.commands)
    if name in REOPENED and not key.open:
        return Triage(key=evolve(key, open=True), commands=_catch_up(key, signal))
    return Triage()


def on_wake(key: Key | None, wake: Wake, *, now: datetime) -> Triage:
    """Do what is due; a wake that comes twice, or too early, finds nothing to do."""
    if key is None:
        return Triage()
    time = max(now, wake.due_at)
    step = Step(key)
    if key.open and key.flapping is not None and key.flapping.arrived_at + key.flapping.quiet <= time:
        step = end_flapping(key, key.flapping, now)
    if key.open and time - key.told_at >= TELL_EVERY:
        step = step.then(tell(step.key, now))
    if key.storm is not None and key.storm.arrived_at + key.storm.quiet <= time:
        over = decision(key, "cleared", "quiet", now)
        step = step.then(Step(evolve(step.key, storm=None), (), (over,)))
    return Triage() if step.key is key else step.triage()


def _take_back(key: Key, change: dict[str, Any], now: datetime, policy: Policy) -> Step:
    count, last_at = int(change["count"]), datetime.fromisoformat(change["last_at"])
    first_at = datetime.fromisoformat(change.get("first_at") or change["last_at"])
    if not key.open:
        return _reopen_with(key, count, first_at, last_at, now, policy)
    at_once = key.flapping is None and key.cleared and not key.clears(last_at)
    raised_at = max(last_at, key.raised_at)
    step = count_in(key, count, first_at, last_at, now=now, severity=key.severity, at_once=at_once, raised_at=raised_at)
    joined = decision(step.key, "joined", "returned", now, count=count)
    return step.then(Step(step.key, (), (joined,)))


def _reopen_with(key: Key, count: int, first_at: datetime, last_at: datetime, now: datetime, policy: Policy) -> Step:
    """Open the next episode with signals handed back; what cleared after them is cleared in the new case too."""
    report = key.report
    rule = policy.rule(report.fault, report.device_id)
    step = open_episode(key, report, count, first_at, last_at, now=now, rule=rule, reason="returned")
    if not key.clears(last_at):
        return step
    gone = evolve(step.key, cleared_at=key.cleared_at)
    return step.then(Step(gone, clear(gone)))


def _catch_up(key: Key, told: SignalState) -> tuple[Command, ...]:
    """Tell a reopened case what it missed while it was ended; flapping goes on where it was, and holds clears."""
    if key.flapping is not None:
        return ()
    over = (flag(key, max(key.raised_at, key.cleared_at or key.raised_at), flapping=False),) if told.flapping else ()
    return over + (clear(key) if told.condition is Condition.ACTIVE else ())
