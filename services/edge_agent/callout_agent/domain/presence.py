"""Being there: epochs that only rise, beats with numbers, and how long to wait before the next attempt."""

from __future__ import annotations

from typing import Any

BASE_S = 1.0
CAP_S = 60.0
STEADY_S = 30.0


def next_epoch(last: int, now: float) -> int:
    """Return an epoch above the last one: the time in milliseconds, unless the clock was set back."""
    return max(last + 1, int(now * 1000))


def pause(attempt: int, chance: float, *, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """Return how long to wait before an attempt: anything from nothing to a bound that doubles (`chance` in [0, 1))."""
    return chance * min(cap_s, base_s * 2.0 ** min(attempt, 30))


def attempts_after(connected_s: float | None, attempts: int) -> int:
    """Count attempts anew only after a connection that held: one that breaks at once is a failure too."""
    return 0 if connected_s is not None and connected_s >= STEADY_S else attempts + 1


def word(epoch: int, n: int, interval_s: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make the body of a birth, beat, leave or will."""
    return {
        "epoch": epoch,
        "n": n,
        "interval_s": interval_s,
        **{key: said for key, said in more.items() if said is not None},
    }
