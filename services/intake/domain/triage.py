"""What becomes of one signal: it is counted in exactly one episode, clears one, or is refused or suppressed."""

from datetime import datetime
from typing import Any, Final

from services.intake.domain.arrival import Arrival, Kind, arrive
from services.intake.domain.behaviour import calm, flip
from services.intake.domain.episode import join, open_with
from services.intake.domain.key import Key, storm_key
from services.intake.domain.messages import Decision, Step, Triage, decision
from services.intake.domain.policy import Policy
from services.intake.domain.storm import began, gather, new_guide, notice
from services.intake.domain.telling import clear, tell
from shared.contracts.fields import rfc3339
from shared.contracts.signals import Signal
from shared.evolution import evolve

OPEN: Final = "open"
STORM: Final = "storm"


def needs_guide(key: Key | None, kind: Kind, signal: Signal, policy: Policy) -> bool:
    """Tell whether the device's storm key has to be asked: this raise may open an episode."""
    if kind is not Kind.RAISED or (key is not None and key.open) or signal.key == storm_key(signal.device_id):
        return False
    rule = policy.rule(signal.fault, signal.device_id)
    return rule is None or not rule.suppress


def on_signal(
    key: Key | None,
    guide: Key | None,
    *,
    kind: Kind,
    signal: Signal,
    signal_id: bytes | None,
    now: datetime,
    policy: Policy,
) -> Triage:
    """Decide what one signal does, at its record's time.

    `guide` is the device's storm key (nothing: it has none yet), asked where `needs_guide` says so. Its verdict goes
    with the signal's own key, which remembers the signal even where the storm key counts it: see `on_verdict`.
    """
    key = key or Key(tenant_id=signal.tenant_id, dedup_key=signal.key)
    if signal_id is not None and key.remembers(signal_id):
        return _refused(Step(key), signal, "duplicate", now, changed=False)
    arrival = arrive(signal, signal_id, now, policy)
    if kind is Kind.CLEARED:
        return _on_cleared(key, arrival)
    suppressed = _suppressed(key, arrival, policy)
    if suppressed:
        return Triage(decisions=suppressed)
    if key.open:
        return join(key, arrival).triage()
    if key.dedup_key == storm_key(signal.device_id):
        return open_with(key, arrival).triage()
    _, stormy = notice(guide or new_guide(arrival), arrival.at, now=now, limits=policy.rules.storm)
    if stormy:
        return Triage(key=evolve(key, recent=key.remember(signal_id)), verdict=STORM)
    return open_with(key, arrival).triage(OPEN)


def on_verdict(
    guide: Key | None, verdict: str, *, signal: Signal, signal_id: bytes | None, now: datetime, policy: Policy
) -> Triage:
    """Note on the storm key what it said of a signal, and count the signal there if it said `storm`.

    Others may have changed the storm key since: what it said then holds.
    """
    arrival = arrive(signal, signal_id, now, policy)
    guide = guide or new_guide(arrival)
    noticed, stormy = notice(guide, arrival.at, now=now, limits=policy.rules.storm)
    if verdict == STORM:
        return gather(noticed if stormy else guide, arrival, policy).triage()
    return Triage(key=began(guide, arrival.at, policy.rules.storm, storm=guide.storm) if stormy else noticed)


def _suppressed(key: Key, arrival: Arrival, policy: Policy) -> tuple[Decision, ...]:
    signal, rule = arrival.signal, arrival.rule
    device_id, now = signal.device_id, arrival.now
    if rule is not None and rule.suppress:
        return (decision(key, "suppressed", "rule", now, device_id=device_id, rule=rule.name),)
    window = policy.window(signal.fault, device_id, arrival.at)
    if window is None:
        return ()
    details: dict[str, Any] = {"starts_at": rfc3339(window.starts_at), "until": rfc3339(window.until)}
    if window.reason is not None:
        details["reason"] = window.reason
    return (decision(key, "suppressed", "maintenance", now, device_id=device_id, details=details),)


def _on_cleared(key: Key, arrival: Arrival) -> Triage:
    """Note that the fault is gone; while no case is open, remember it for a case that is reopened or handed back to."""
    at, now, signal = arrival.at, arrival.now, arrival.signal
    stale = _stale(key, at, signal.seq)
    if not key.open:
        news = key.episode > 0 and not key.cleared and not stale
        known = evolve(key, cleared_at=max(at, key.raised_at)) if news else key
        return _refused(Step(known), signal, "no_open_case", now, changed=news)
    before = calm(key, at, now)
    if stale or key.cleared:
        changed = before.key is not key
        return _refused(before, signal, "stale_clear" if stale else "already_cleared", now, changed=changed)
    at = max(at, key.raised_at)
    recent = key.remember(arrival.signal_id)
    gone = evolve(before.key, cleared_at=at, device_id=signal.device_id, recent=recent)
    flipped = before.then(flip(gone, at, raised=False, now=now, limits=arrival.flapping))
    held = flipped.key.flapping is not None
    step = flipped if held else flipped.then(_tell_cleared(flipped.key, now))
    chosen = decision(gone, "cleared", "held" if held else "condition", now)
    return step.then(Step(step.key, (), (chosen,))).triage()


def _tell_cleared(key: Key, now: datetime) -> Step:
    told = tell(key, now)
    return told.then(Step(told.key, clear(told.key)))


def _stale(key: Key, at: datetime, seq: int | None) -> bool:
    if seq is not None and key.raised_seq is not None:
        return seq < key.raised_seq
    return at < key.raised_at


def _refused(before: Step, signal: Signal, reason: str, now: datetime, *, changed: bool) -> Triage:
    refusal = decision(before.key, "refused", reason, now, device_id=signal.device_id)
    decisions = (*before.decisions, refusal)
    return Triage(key=before.key if changed else None, commands=before.commands, decisions=decisions)
