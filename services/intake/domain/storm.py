"""When too many new faults of one device begin at once, they join the device's storm key."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.intake.domain.arrival import Arrival, forced_severity
from services.intake.domain.episode import join, open_with
from services.intake.domain.key import STORM_FAULT, Key, Storm, storm_key
from services.intake.domain.messages import Step
from services.intake.domain.policy import Policy
from shared.contracts import tenant
from shared.evolution import evolve


def notice(guide: Key, at: datetime, *, now: datetime, limits: tenant.Storm) -> tuple[Key, bool]:
    """Note on the guide that a fault would begin; tell whether it belongs to a storm."""
    window = timedelta(seconds=limits.window_seconds)
    storm = guide.storm
    if storm is not None and at - storm.last_at >= storm.quiet:
        storm = None
    if storm is not None and storm.since - at < window:
        storm = replace(storm, last_at=max(storm.last_at, at), arrived_at=now)
        return evolve(guide, storm=storm), True
    if storm is None and _crowded(guide.openings, at, limits.new_keys, window):
        quiet = timedelta(minutes=limits.quiet_minutes)
        return evolve(guide, openings=(), storm=Storm(since=at, last_at=at, arrived_at=now, quiet=quiet)), True
    return began(guide, at, limits, storm=storm), False


def began(guide: Key, at: datetime, limits: tenant.Storm, *, storm: Storm | None) -> Key:
    """Note on the guide that a fault began with a case of its own, and the storm there is."""
    return evolve(guide, openings=(*guide.openings, at)[-2 * limits.new_keys :], storm=storm)


def new_guide(arrival: Arrival) -> Key:
    """Return the storm key of a device that had no new fault before."""
    signal = arrival.signal
    return Key(tenant_id=signal.tenant_id, dedup_key=storm_key(signal.device_id), device_id=signal.device_id)


def gather(guide: Key, arrival: Arrival, policy: Policy) -> Step:
    """Count a signal on the device's storm key, under the rule for storms."""
    rule = policy.rule(STORM_FAULT, arrival.signal.device_id)
    severity = forced_severity(rule) or arrival.severity
    counted = arrival._replace(storm=True, rule=rule, severity=severity, flapping=policy.flapping(rule))
    return (join if guide.open else open_with)(guide, counted)


def _crowded(openings: tuple[datetime, ...], at: datetime, limit: int, window: timedelta) -> bool:
    near = sorted((*(other for other in openings if abs(other - at) < window), at))
    return any(near[first + limit] - near[first] < window for first in range(len(near) - limit))
