"""What a case is told of its signals: a difference each time, at once where it matters and else every 10 seconds."""

from datetime import datetime
from typing import Any

from services.intake.domain.key import EPOCH, RANK, STORM_FAULT, TELL_EVERY, Key
from services.intake.domain.messages import Command, Decision, Step, command, decision
from shared.contracts.fields import rfc3339
from shared.contracts.words import Severity
from shared.evolution import evolve


def count_in(
    key: Key,
    count: int,
    first_at: datetime,
    last_at: datetime,
    *,
    now: datetime,
    severity: Severity,
    at_once: bool,
    **changes: Any,  # noqa: ANN401 - fields of the key that change along with its counts
) -> Step:
    """Count signals of the open episode, and tell the case what is untold when it is time to.

    It is time when the count passes a power of two, the severity rises, 10 seconds went by, or the caller says so.
    """
    total = key.count + count
    if key.untold:
        first_at = min(first_at, key.untold_first_at)
        last_at = max(last_at, key.untold_last_at)
    rises = RANK[severity] > RANK[key.severity]
    doubled = total.bit_length() > key.count.bit_length()
    if not (at_once or rises or doubled or now - key.told_at >= TELL_EVERY):
        return Step(evolve(key, count=total, untold_first_at=first_at, untold_last_at=last_at, **changes))
    told = evolve(
        key,
        count=total,
        told=total,
        told_at=now,
        untold_first_at=EPOCH,
        untold_last_at=EPOCH,
        severity=severity if rises else key.severity,
        **changes,
    )
    return Step(told, (_occur(told, total - key.told, first_at, last_at, severity if rises else None),))


def tell(key: Key, now: datetime) -> Step:
    """Tell the case what is untold, if anything is."""
    if not key.untold:
        return Step(key)
    occur = _occur(key, key.untold, key.untold_first_at, key.untold_last_at, None)
    return Step(evolve(key, told=key.count, told_at=now, untold_first_at=EPOCH, untold_last_at=EPOCH), (occur,))


def clear(key: Key) -> tuple[Command, ...]:
    """Tell the case that the fault is gone, if it is."""
    if not key.cleared or key.cleared_at is None:
        return ()
    return (command(key, "clear", at=rfc3339(key.cleared_at)),)


def settle(key: Key) -> tuple[Key, tuple[Decision, ...]]:
    """Sum up, at the end of a batch, the signals that joined the key's open case."""
    if not key.joined:
        return key, ()
    reason = "storm" if key.dedup_key.endswith(f":{STORM_FAULT}") else "open_case"
    joined = decision(key, "joined", reason, key.joined_at, count=key.joined)
    return evolve(key, joined=0, joined_at=EPOCH), (joined,)


def _occur(key: Key, count: int, first_at: datetime, last_at: datetime, severity: Severity | None) -> Command:
    arguments: dict[str, Any] = {"count": count, "first_at": rfc3339(first_at), "last_at": rfc3339(last_at)}
    if severity is not None:
        arguments["severity"] = severity.value
    return command(key, "occur", **arguments)
