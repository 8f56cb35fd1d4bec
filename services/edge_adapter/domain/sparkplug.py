"""Sparkplug B: births and deaths become presence, metrics become signals by rules. Pure.

An edge node's connection is told apart by `bdSeq`, which its birth and its death carry; it wraps around, so each new
one is the next epoch here. Data says what it is about by aliases that the birth named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from services.edge_adapter.domain import presence, sequence
from services.edge_adapter.domain.device import Device, Due, Sparkplug, seconds
from shared.contracts.fields import rfc3339
from shared.contracts.limits import FAULT_MAX
from shared.contracts.presence import EPOCH_MAX, DeviceWake, ObservationKind, Observed
from shared.contracts.sparkplug import Metric, MetricsSeen, SparkplugKind

BIRTHS: Final = frozenset({SparkplugKind.NBIRTH, SparkplugKind.DBIRTH})
DATA: Final = frozenset({SparkplugKind.NDATA, SparkplugKind.DDATA})
NO_INTERVAL: Final = 0.0
"""Sparkplug says things only when they change: silence means nothing, the broker says who is gone."""
CHILDREN_MAX: Final = 1_000
ALIASES_MAX: Final = 2_000
ASK_AGAIN_SECONDS: Final = 10.0
MISSING_SECONDS: Final = 1.0
"""So long a number must be missing while all sessions with the broker are heard: then its message is lost for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which metrics mean a fault: true (or more than `above`, less than `below`) raises it, anything else clears it.

    `fault` is the metric's name behind the part that the pattern fixes, unless said.
    """

    metric: str
    fault: str | None = None
    severity: str | None = None
    title: str | None = None
    above: float | None = None
    below: float | None = None

    def fault_of(self, name: str) -> str:
        """Return the fault of a metric."""
        fixed = self.metric.split("*", 1)[0]
        return (self.fault or name.removeprefix(fixed) or name)[:FAULT_MAX]

    def holds(self, value: object) -> bool:
        """Tell whether a value means the fault."""
        if self.above is None and self.below is None:
            return bool(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)


DEFAULT_RULES: Final = (Rule(metric="Alarms/*"), Rule(metric="Alarm/*"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a Sparkplug message makes: the device, its change of presence, signals, who died with it, what to ask."""

    device: Device
    presence: dict[str, Any] | None = None
    signals: tuple[tuple[bool, dict[str, Any]], ...] = ()
    orphans: tuple[str, ...] = ()
    ask_rebirth: bool = False


def rule_of(rules: Sequence[Rule], name: str) -> Rule | None:
    """Return the first rule that a metric's name fits."""
    return next((rule for rule in rules if fnmatchcase(name, rule.metric)), None)


def on_metrics(device: Device, seen: MetricsSeen, now: datetime, rules: Sequence[Rule]) -> Seen:
    """Return what a Sparkplug message makes of a device."""
    if seen.child is not None:
        device = _with_child(device, seen.child) if seen.kind in BIRTHS else device
        return Seen(device=_numbered(device, seen, now))
    if seen.kind in BIRTHS:
        return _on_birth(device, seen, now, rules)
    if seen.kind in DATA:
        return _on_data(_numbered(device, seen, now), seen, now, rules)
    known = device.sparkplug
    if known is None or (seen.bd_seq is not None and seen.bd_seq != known.bd_seq):
        return Seen(device=device)  # the death of an earlier connection
    kind = ObservationKind.LEAVE if seen.kind is SparkplugKind.DDEATH else ObservationKind.WILL
    after, change = presence.observe(device, _observed(device, kind, device.epoch, device.n + 1, seen), now)
    return Seen(device=after, presence=change, orphans=known.children)


def on_wake(device: Device, wake: DeviceWake, now: datetime) -> Seen:
    """Return whether to ask for a birth because a message is lost: all that was said meanwhile has been heard."""
    known, missing = device.sparkplug, due(device)
    if known is None or missing is None or wake.listened_until > now:
        return Seen(device=device)
    waited_s = (
        wake.listened_until - max(missing.at - seconds(missing.silence_s), wake.listening_since)
    ).total_seconds()
    if waited_s < missing.silence_s:
        return Seen(device=device)
    return Seen(device=replace(device, sparkplug=replace(known, asked_at=now)), ask_rebirth=True)


def due(device: Device) -> Due | None:
    """Return when a message that is missing counts as lost; nothing if none is, or a birth was asked for since."""
    known = device.sparkplug
    since = known.sequence.missing_since if known is not None and known.sequence is not None else None
    if known is None or since is None or not device.alive or (known.asked_at is not None and known.asked_at >= since):
        return None
    return Due(since + seconds(MISSING_SECONDS), MISSING_SECONDS)


def _numbered(device: Device, seen: MetricsSeen, now: datetime) -> Device:
    """Return the device with the number of a message noted; what is of an earlier birth is passed over."""
    known = device.sparkplug
    if known is None or known.sequence is None or seen.seq is None or not device.alive:
        return device
    if seen.timestamp is not None and known.born_at is not None and seen.timestamp < known.born_at:
        return device
    after = sequence.followed(known.sequence, seen.seq, now)
    asked = known.asked_at
    if after.missing_since is not None and asked is not None and now >= asked + seconds(ASK_AGAIN_SECONDS):
        after = replace(after, missing_since=max(after.missing_since, now))  # it did not do as it was asked
    return replace(device, sparkplug=replace(known, sequence=after))


def _on_birth(device: Device, seen: MetricsSeen, now: datetime, rules: Sequence[Rule]) -> Seen:
    known = device.sparkplug or Sparkplug()
    if seen.timestamp is not None and known.born_at is not None and seen.timestamp < known.born_at:
        return Seen(device=device)  # it was overtaken by a later birth
    again = device.alive and not device.ended and device.sparkplug is not None and seen.bd_seq == known.bd_seq
    epoch = device.epoch if again else min(max(device.epoch + 1, seen.timestamp or 0), EPOCH_MAX)
    n = device.n + 1 if again else 0
    observed = _observed(device, ObservationKind.BIRTH, epoch, n, seen)
    after, change = presence.observe(replace(device, interval_s=NO_INTERVAL), observed, now)
    aliases = {each.alias: each.name for each in seen.metrics if each.alias is not None and each.name is not None}
    named = dict(list(aliases.items())[:ALIASES_MAX])
    numbers = sequence.begun(known.sequence, seen.seq)
    born = replace(known, bd_seq=seen.bd_seq, born_at=seen.timestamp, aliases=named, asked_at=None, sequence=numbers)
    after, signals = _mapped(replace(after, sparkplug=born), seen, rules)
    return Seen(device=after, presence=change, signals=signals)


def _on_data(device: Device, seen: MetricsSeen, now: datetime, rules: Sequence[Rule]) -> Seen:
    known = device.sparkplug
    if known is None or (known.born_at is None and not known.aliases) or device.ended or not device.alive:
        known = known or Sparkplug()
        if known.asked_at is not None and now < known.asked_at + seconds(ASK_AGAIN_SECONDS):
            return Seen(device=device)
        return Seen(device=replace(device, sparkplug=replace(known, asked_at=now)), ask_rebirth=True)
    observed = _observed(device, ObservationKind.BEAT, device.epoch, device.n + 1, seen)
    after, change = presence.observe(device, observed, now)
    after, signals = _mapped(after, seen, rules)
    return Seen(device=after, presence=change, signals=signals)


def _mapped(
    device: Device, seen: MetricsSeen, rules: Sequence[Rule]
) -> tuple[Device, tuple[tuple[bool, dict[str, Any]], ...]]:
    """Return what metrics raise and clear; only what changed since it was last told."""
    known = device.sparkplug or Sparkplug()
    raised, signals = set(known.raised), []
    for metric in seen.metrics:
        name = metric.name or known.aliases.get(metric.alias if metric.alias is not None else -1)
        rule = rule_of(rules, name) if name is not None else None
        if name is None or rule is None or metric.value is None:
            continue
        holds = rule.holds(metric.value)
        if holds is (name in raised):
            continue
        raised.symmetric_difference_update({name})
        signals.append((holds, _signal(device, rule, name, metric, seen)))
    return replace(device, sparkplug=replace(known, raised=tuple(sorted(raised)))), tuple(signals)


def _signal(device: Device, rule: Rule, name: str, metric: Metric, seen: MetricsSeen) -> dict[str, Any]:
    stamp = metric.timestamp or seen.timestamp
    body: dict[str, Any] = {
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "fault": rule.fault_of(name),
        "severity": rule.severity,
        "title": rule.title,
        "measurements": {name: metric.value},
    }
    if stamp is not None and stamp < STAMP_END:
        body["occurred_at"] = rfc3339(datetime.fromtimestamp(stamp / 1000, UTC))
    return {field: value for field, value in body.items() if value is not None}


STAMP_END: Final = 253_402_300_800_000
"""The end of the year 9999, in milliseconds."""


def _with_child(device: Device, child: str) -> Device:
    known = device.sparkplug or Sparkplug()
    if child in known.children or len(known.children) >= CHILDREN_MAX:
        return device
    return replace(device, sparkplug=replace(known, children=(*known.children, child)))


def _observed(device: Device, kind: ObservationKind, epoch: int, n: int, seen: MetricsSeen) -> Observed:
    return Observed(
        tenant_id=device.tenant_id,
        device_id=device.device_id,
        kind=kind,
        epoch=max(epoch, 0),
        n=max(n, 0),
        received_at=seen.received_at,
    )
