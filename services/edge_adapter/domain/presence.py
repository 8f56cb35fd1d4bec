"""Presence: is a device there? Decided by what was seen of it, and by silence while somebody listened. Pure.

An *epoch* is one connection of a device; it rises with each. Within an epoch `n` rises with each message. So whatever
order messages come in, only what is newer than all before counts: a late death never ends a newer birth, and an epoch
that has ended never begins again.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.edge_adapter.domain.device import CLOCK_SET_SECONDS, NO_EPOCH, Device, Due, Rival, seconds
from shared.contracts.fields import rfc3339
from shared.contracts.presence import DeviceWake, ObservationKind, Observed, Presence, PresenceCause

GRACE_S: Final = 0.1
"""What a message may take on its way, beyond the interval."""
DEGRADED_INTERVALS: Final = 1.25
OFFLINE_INTERVALS: Final = 1.5
RIVAL_INTERVALS: Final = 0.75
"""So long a lower epoch must show life, and the current one none, until it is believed."""
UNSTABLE_SECONDS: Final = 300.0
UNSTABLE_CHANGES: Final = 6
"""More changes than these within the window: unstable."""
CALM_CHANGES: Final = 3
"""No more than these within the window: stable again."""
DEATHS: Final = {
    ObservationKind.WILL: PresenceCause.WILL,
    ObservationKind.LEAVE: PresenceCause.CLEAN,
    ObservationKind.DECOMMISSION: PresenceCause.DECOMMISSION,
}
SIGNS: Final = {
    ObservationKind.BIRTH: PresenceCause.BIRTH,
    ObservationKind.BEAT: PresenceCause.HEARTBEAT,
}

Told = tuple[Device, dict[str, Any] | None]


def degraded_after_s(interval_s: float) -> float:
    """Return after how much silence a message is missing."""
    return DEGRADED_INTERVALS * interval_s + GRACE_S


def offline_after_s(interval_s: float) -> float:
    """Return after how much silence a device is gone."""
    return OFFLINE_INTERVALS * interval_s + GRACE_S


def observe(device: Device, seen: Observed, now: datetime) -> Told:
    """Return the device after something was seen of it, and what is told if that changed it."""
    if seen.kind is ObservationKind.DECOMMISSION:
        return _end(replace(device, decommissioned=True), seen, now)
    if seen.kind in DEATHS:
        return _on_death(device, seen, now)
    return _on_sign(device, seen, now)


def on_silence(device: Device, wake: DeviceWake, now: datetime) -> Told:
    """Return the device after a look at the clock: silence counts only while somebody listened."""
    if wake.listened_until > now:
        return device, None  # the brokers' clock was set back since: what it said then proves nothing now
    if device.alive and device.seen_at is not None and device.seen_at > now + seconds(CLOCK_SET_SECONDS):
        return replace(device, seen_at=wake.listened_until), None  # the same: its silence counts from here on
    status = device.status
    if device.alive and device.seen_at is not None and device.interval_s > 0:
        silent_s = (wake.listened_until - max(device.seen_at, wake.listening_since)).total_seconds()
        if silent_s >= offline_after_s(device.interval_s):
            status = Presence.OFFLINE
        elif silent_s >= degraded_after_s(device.interval_s):
            status = Presence.DEGRADED
    if status is not device.status:
        evidence = _silence(device, wake)
        return _changed(device, status, PresenceCause.TIMEOUT, now, evidence=evidence, happened_at=device.seen_at)
    if device.unstable and now >= _calm_at(device):
        calm = replace(device, unstable=False, change=device.change + 1)
        return calm, told(calm, device.status, now, evidence={"kind": "calm"}, happened_at=now)
    return device, None


def due(device: Device) -> Due | None:
    """Return when time may change what is known of a device; nothing if it cannot."""
    found = []
    if device.alive and device.seen_at is not None and device.interval_s > 0:
        after = degraded_after_s if device.status is Presence.ONLINE else offline_after_s
        silence_s = after(device.interval_s)
        found.append(Due(device.seen_at + seconds(silence_s), silence_s))
    if device.unstable:
        found.append(Due(_calm_at(device), 0.0))
    return min(found, key=lambda each: each.at, default=None)


def _on_death(device: Device, seen: Observed, now: datetime) -> Told:
    if seen.epoch < device.epoch:
        rival = device.rival
        return (replace(device, rival=None), None) if rival and rival.epoch == seen.epoch else (device, None)
    if seen.epoch == device.epoch and device.ended:
        return device, None
    return _end(device, seen, now)


def _end(device: Device, seen: Observed, now: datetime) -> Told:
    if seen.epoch > device.epoch:
        device = replace(device, epoch=seen.epoch, boot=seen.boot, n=seen.n)
    ended = replace(device, ended=True, rival=None)
    cause = DEATHS[seen.kind]
    news = cause is PresenceCause.DECOMMISSION and device.cause is not cause
    if device.status is Presence.OFFLINE and not news:
        return ended, None
    return _changed(ended, Presence.OFFLINE, cause, now, evidence=_message(seen), happened_at=_at(seen, now))


def _on_sign(device: Device, seen: Observed, now: datetime) -> Told:
    if seen.epoch < device.epoch:
        return _on_lower(device, seen, now)
    if seen.epoch == device.epoch and (device.ended or seen.n <= device.n):
        return device, None
    return _alive(device, seen, now)


def _on_lower(device: Device, seen: Observed, now: datetime) -> Told:
    """Believe an epoch below the current one only if it goes on living while the current one does not."""
    rival = device.rival
    if seen.queued or (rival is not None and rival.epoch == seen.epoch and seen.n <= rival.n):
        return device, None
    if rival is None or rival.epoch != seen.epoch:
        return replace(device, rival=Rival(epoch=seen.epoch, n=seen.n, first_at=now)), None
    interval_s = seen.interval_s or device.interval_s
    if (now - rival.first_at).total_seconds() < RIVAL_INTERVALS * interval_s:
        return replace(device, rival=replace(rival, n=seen.n)), None
    return _alive(device, seen, now)


def _alive(device: Device, seen: Observed, now: datetime) -> Told:
    same = seen.epoch == device.epoch
    after = replace(
        device,
        epoch=seen.epoch,
        boot=seen.boot if seen.boot is not None or not same else device.boot,
        n=seen.n,
        ended=False,
        decommissioned=False,
        seen_at=now,
        interval_s=seen.interval_s or device.interval_s,
        rival=None,
    )
    if same and device.status is Presence.ONLINE:
        return after, None
    return _changed(after, Presence.ONLINE, SIGNS[seen.kind], now, evidence=_message(seen), happened_at=_at(seen, now))


def _changed(
    device: Device,
    status: Presence,
    cause: PresenceCause,
    now: datetime,
    *,
    evidence: dict[str, Any],
    happened_at: datetime | None,
) -> Told:
    window = now - seconds(UNSTABLE_SECONDS)
    changed_at = (*device.changed_at, now)[-(UNSTABLE_CHANGES + 1) :]
    many = len(changed_at) > UNSTABLE_CHANGES and changed_at[0] > window
    after = replace(
        device,
        status=status,
        cause=cause,
        since=now,
        change=device.change + 1,
        changed_at=changed_at,
        unstable=many or (device.unstable and now < _calm_at(replace(device, changed_at=changed_at))),
    )
    return after, told(after, device.status, now, evidence=evidence, happened_at=happened_at)


def _calm_at(device: Device) -> datetime:
    """Return when no more changes than those of a calm device lie in the window."""
    return device.changed_at[-(CALM_CHANGES + 1)] + seconds(UNSTABLE_SECONDS)


def told(
    device: Device, previous: Presence, now: datetime, *, evidence: dict[str, Any], happened_at: datetime | None
) -> dict[str, Any]:
    """Return the body of a change."""
    delay_s = max(0.0, (now - happened_at).total_seconds()) if happened_at is not None else 0.0
    body = {
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "status": device.status.value,
        "previous": previous.value,
        "epoch": max(device.epoch, NO_EPOCH + 1),
        "boot": device.boot,
        "change": device.change,
        "since": rfc3339(device.since or now),
        "cause": device.cause.value if device.cause is not None else None,
        "last_seen": rfc3339(device.seen_at) if device.seen_at is not None else None,
        "interval_s": device.interval_s or None,
        "unstable": device.unstable,
        "detection_delay_s": round(delay_s, 3),
        "evidence": evidence,
        "at": rfc3339(now),
    }
    return {name: value for name, value in body.items() if value is not None}


def _at(seen: Observed, now: datetime) -> datetime:
    """Return when a message was received; the adapter's clock is not believed beyond the brokers'."""
    return min(seen.received_at or now, now)


def _message(seen: Observed) -> dict[str, Any]:
    evidence: dict[str, Any] = {"kind": seen.kind.value, "n": seen.n}
    if seen.adapter is not None:
        evidence["adapter"] = seen.adapter
    if seen.received_at is not None:
        evidence["received_at"] = rfc3339(seen.received_at)
    return evidence


def _silence(device: Device, wake: DeviceWake) -> dict[str, Any]:
    quiet_since = max(device.seen_at or wake.listening_since, wake.listening_since)
    return {
        "kind": "silence",
        "n": max(device.n, 0),
        "silent_s": round((wake.listened_until - quiet_since).total_seconds(), 3),
        "listening_since": rfc3339(wake.listening_since),
        "listened_until": rfc3339(wake.listened_until),
    }
