"""Usage: so much was counted, made or run, in a window or since the last time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import floor, isfinite

from callout_agent.domain.judgement import Condition, Forgetful, Judgement, State

COUNTER, AMOUNT, TIME = "counter", "amount", "time"


@dataclass(frozen=True)
class Usage:
    """`limit` used within `window_s`, or another `every` used up.

    The reading is a `counter` (its increases count; where it falls it began anew), an `amount` (each counts), or for
    `time` the seconds count from a reading of at least `on_above` to the next, `gap_s` of them at most.
    """

    kind: str = COUNTER
    limit: float | None = None
    window_s: float | None = None
    every: float | None = None
    on_above: float = 0.5
    gap_s: float = 300.0
    hysteresis: float = 0.0
    window_limit: int = 2000

    def condition(self) -> Condition:
        """Begin to watch a series."""
        return EveryCondition(self) if self.every is not None else WindowCondition(self)


class _Meter:
    """How much one series used between two readings."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self.before: tuple[float, float] | None = None

    def used(self, at: float, value: float) -> float:
        before, self.before = self.before, (at, value)
        if self._usage.kind == AMOUNT:
            return value
        if before is None:
            return 0.0
        if self._usage.kind == COUNTER:
            return value - before[1] if value >= before[1] else value
        return min(at - before[0], self._usage.gap_s) if before[1] >= self._usage.on_above else 0.0


class WindowCondition(Forgetful):
    """The use within a window, of one series."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._meter = _Meter(usage)
        self._parts: deque[tuple[float, float]] = deque()

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Judge what was used within the window that ends here."""
        usage = self._usage
        used = self._meter.used(at, value)
        if used:
            self._parts.append((at, used))
        while self._parts and (
            self._parts[0][0] <= at - (usage.window_s or 0.0) or len(self._parts) > usage.window_limit
        ):
            self._parts.popleft()
        if not judged:
            return None
        total, limit = sum(part for _, part in self._parts), usage.limit or 0.0
        facts = {"used": total}
        if total >= limit:
            return Judgement(State.BAD, facts)
        return Judgement(
            State.FINE if total < limit - usage.hysteresis or not usage.hysteresis else State.NEITHER, facts
        )


class EveryCondition:
    """The use since the beginning, of one series: due at each multiple of `every`, until the counter begins anew."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._meter = _Meter(usage)
        self._total = 0.0
        self._told: int | None = None

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Judge what was used in all; a counter is what it shows."""
        counter = self._usage.kind == COUNTER
        began_anew = counter and self._told is not None and value < self._total
        self._total = value if counter else self._total + self._meter.used(at, value)
        if not judged and not began_anew:
            return None
        times = floor(self._total / (self._usage.every or 1.0))
        facts = {"used": self._total, "times": float(times)}
        if self._told is None or began_anew:
            self._told = times
            return Judgement(State.FINE if began_anew else State.NEITHER, facts)
        if times > self._told:
            self._told = times
            return Judgement(State.BAD, facts, again=True)
        return Judgement(State.NEITHER, facts)

    def recall(self, memory: object) -> None:
        """Go on with the total and the last multiple that was told."""
        if isinstance(memory, list) and len(memory) == 2 and all(isinstance(part, (int, float)) for part in memory):
            total, told = memory
            if isfinite(total) and isfinite(told):
                self._total, self._told = float(total), int(told)

    def memory(self) -> object:
        """Return the total and the last multiple that was told."""
        return [self._total, self._told] if self._told is not None else None
