"""Whether a fault comes and goes too often to tell each time: the start and the end of flapping."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.intake.domain.key import Flapping, Key
from services.intake.domain.messages import Command, Step, command, decision
from services.intake.domain.telling import clear, tell
from shared.contracts import tenant
from shared.contracts.fields import rfc3339
from shared.evolution import evolve


def flip(key: Key, at: datetime, *, raised: bool, now: datetime, limits: tenant.Flapping) -> Step:
    """Note that the fault came or went; too often within the window is flapping, and its start is told once."""
    flapping = key.flapping
    if flapping is not None:
        flapping = replace(
            flapping,
            raised=flapping.raised + raised,
            cleared=flapping.cleared + (not raised),
            last_at=at,
            arrived_at=now,
        )
        return Step(evolve(key, flapping=flapping))
    window = timedelta(minutes=limits.window_minutes)
    flips = (*(flip_at for flip_at in key.flips if at - flip_at < window), at)
    if len(flips) <= limits.flips:
        return Step(evolve(key, flips=flips))
    same, other = (len(flips) + 1) // 2, len(flips) // 2
    flapping = Flapping(
        since=flips[0],
        raised=same if raised else other,
        cleared=other if raised else same,
        last_at=at,
        arrived_at=now,
        quiet=timedelta(minutes=limits.quiet_minutes),
    )
    details = {"flapping": True, "summary": _summary(flapping)}
    return Step(
        evolve(key, flips=(), flapping=flapping),
        (flag(key, at, flapping=True),),
        (decision(key, "flapping", "flips", now, details=details),),
    )


def calm(key: Key, at: datetime, now: datetime) -> Step:
    """End the flapping of a key if it was quiet for long enough before this event time."""
    if key.flapping is None or at - key.flapping.last_at < key.flapping.quiet:
        return Step(key)
    return end_flapping(key, key.flapping, now)


def end_flapping(key: Key, flapping: Flapping, now: datetime) -> Step:
    """Tell what is untold, that the flapping is over, and a clear that was held."""
    told = tell(evolve(key, flapping=None), now)
    summary = _summary(flapping)
    over = decision(key, "flapping", "quiet", now, details={"flapping": False, "summary": summary})
    flagged = flag(key, flapping.last_at, flapping=False, summary=summary)
    return told.then(Step(told.key, (flagged, *clear(key)), (over,)))


def flag(key: Key, at: datetime, *, flapping: bool, summary: str | None = None) -> Command:
    """Return the command that tells the case whether its fault is flapping, as of the last flip."""
    text = {} if summary is None else {"summary": summary}
    return command(key, "flag_flapping", flapping=flapping, at=rfc3339(at), **text)


def _summary(flapping: Flapping) -> str:
    span = f"between {rfc3339(flapping.since)} and {rfc3339(flapping.last_at)}"
    return f"{flapping.raised} raised and {flapping.cleared} cleared {span}"
