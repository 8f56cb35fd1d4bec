"""One episode of a dedup key: it opens with a case of its own, and counts what joins it."""

import json
from datetime import datetime
from typing import Any

from services.intake.domain.arrival import Arrival
from services.intake.domain.behaviour import calm, flip
from services.intake.domain.key import Key, Report, episode_case_id
from services.intake.domain.messages import Step, command, decision
from services.intake.domain.telling import count_in, settle
from shared.contracts import limits
from shared.contracts.case import Machine
from shared.contracts.fields import rfc3339
from shared.contracts.signals import Signal
from shared.contracts.tenant import Rule
from shared.evolution import evolve


def open_episode(
    key: Key,
    report: Report,
    count: int,
    first_at: datetime,
    last_at: datetime,
    *,
    now: datetime,
    rule: Rule | None,
    reason: str | None = None,
    extra: dict[str, Any] | None = None,
) -> Step:
    """Open the next episode of a key, with a case that links back to the episode before."""
    ended, told = settle(key)
    episode = key.episode + 1
    opened = Key(
        tenant_id=key.tenant_id,
        dedup_key=key.dedup_key,
        device_id=report.device_id,
        episode=episode,
        case_id=episode_case_id(key.tenant_id, key.dedup_key, episode),
        previous_case_id=key.case_id,
        open=True,
        count=count,
        told=count,
        told_at=now,
        severity=report.severity,
        raised_at=last_at,
        report=report,
        openings=ended.openings,
        storm=ended.storm,
        recent=ended.recent,
    )
    name, cause = ("recurred", "ended_before") if key.episode else ("opened", "first")
    chosen = decision(opened, name, reason or cause, now, count=count, rule=rule.name if rule is not None else None)
    case = _new_case(opened, first_at, last_at, rule)
    return Step(opened, (command(opened, "create", case=case, **(extra or {})),), (*told, chosen))


def open_with(key: Key, arrival: Arrival) -> Step:
    """Open the next episode of a key with one signal."""
    step = open_episode(
        key,
        arrival.report(),
        1,
        arrival.at,
        arrival.at,
        now=arrival.now,
        rule=arrival.rule,
        reason="storm" if arrival.storm else None,
        extra={} if arrival.storm else _extra(arrival),
    )
    seen = evolve(step.key, raised_seq=arrival.seq, recent=key.remember(arrival.signal_id))
    return step._replace(key=seen)


def join(key: Key, arrival: Arrival) -> Step:
    """Count one signal on the open episode."""
    at, now = arrival.at, arrival.now
    before = calm(key, at, now)
    key = before.key
    came_back = key.cleared and not key.clears(at)
    at_once = came_back and key.flapping is None
    if came_back:
        before = before.then(flip(key, at, raised=True, now=now, limits=arrival.flapping))
        key = before.key
    report = arrival.report()
    step = count_in(
        key,
        1,
        at,
        at,
        now=now,
        severity=report.severity,
        at_once=at_once,
        device_id=report.device_id,
        raised_at=max(at, key.raised_at),
        raised_seq=_last_seq(key, at, arrival.seq),
        report=report,
        recent=key.remember(arrival.signal_id),
        joined=key.joined + 1,
        joined_at=now,
    )
    return before.then(step)


def _last_seq(key: Key, at: datetime, seq: int | None) -> int | None:
    if at < key.raised_at:
        return key.raised_seq
    if at == key.raised_at and seq is not None and key.raised_seq is not None:
        return max(seq, key.raised_seq)
    return seq


def _extra(arrival: Arrival) -> dict[str, Any]:
    signal: Signal = arrival.signal
    extra: dict[str, Any] = {}
    if signal.raw_json is not None:
        extra["raw"] = json.loads(signal.raw_json)
    if signal.measurements:
        extra["measurements"] = dict(signal.measurements)
    if arrival.skewed:
        extra["clock_skew"] = True
    return extra


def _new_case(key: Key, first_at: datetime, last_at: datetime, rule: Rule | None) -> dict[str, Any]:
    report = key.report
    plain = f"{report.fault} on {report.device_id}"[: limits.TITLE_MAX]
    # A template has a better title than ours; workflow knows it.
    case = {
        "title": report.title or (None if report.template else plain),
        "fallback_title": plain if report.template and not report.title else None,
        "description": report.description,
        "case_code": report.case_code,
        "severity": report.severity.value,
        "device_id": report.device_id,
        "machine": _machine(report.machine),
        "occurred_at": rfc3339(first_at),
        "origin": "device",
        "channel": "device",
        "template_id": report.template,
        "links": [{"kind": "recurrence_of", "id": key.previous_case_id}] if key.previous_case_id else None,
        "signal": _without_none(
            dedup_key=key.dedup_key,
            count=key.count,
            first_at=rfc3339(first_at),
            last_at=rfc3339(last_at),
            raw_severity=report.raw_severity,
        ),
        **(_ruled(rule) if rule is not None else {}),
    }
    return _without_none(**case)


def _ruled(rule: Rule) -> dict[str, Any]:
    return _without_none(
        title=rule.title,
        priority=rule.priority.value if rule.priority is not None else None,
        case_type=rule.case_type.value if rule.case_type is not None else None,
        assignees=[rule.assignee] if rule.assignee is not None else None,
    )


def _machine(machine: Machine | None) -> dict[str, Any] | None:
    if machine is None:
        return None
    known = _without_none(
        serial=machine.serial, model=machine.model, brand=machine.brand, technology=machine.technology
    )
    return known or None


def _without_none(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in fields.items() if value is not None}
