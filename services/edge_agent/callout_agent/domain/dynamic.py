"""Dynamic: limits that are learned from the series itself, and learned again."""

from __future__ import annotations

from dataclasses import dataclass

from callout_agent.domain.judgement import Forgetful, Judgement, State
from callout_agent.domain.window import Window


@dataclass(frozen=True)
class Dynamic:
    """Outside the quantiles `low` and `high` of the window, widened on both sides by `margin` times their distance.

    Learned from `count` readings on, and anew every `learn_every_s`. What is outside teaches nothing, until it has
    stayed outside for `adapt_after_s`: then it is the new normal.
    """

    window_s: float
    low: float = 0.05
    high: float = 0.95
    margin: float = 1.0
    learn_every_s: float = 0.0
    adapt_after_s: float | None = None
    count: int = 20
    hysteresis: float = 0.0
    window_limit: int = 2000

    def condition(self) -> DynamicCondition:
        """Begin to watch a series."""
        return DynamicCondition(self)


def quantile(ordered: list[float], part: float) -> float:
    """Return the value below which this part of the ordered values lies, in between where none does."""
    place = part * (len(ordered) - 1)
    below = int(place)
    if below + 1 >= len(ordered):
        return ordered[-1]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


class DynamicCondition(Forgetful):
    """The learned limits, of one series."""

    def __init__(self, dynamic: Dynamic) -> None:
        self._asked = dynamic
        self._window = Window(dynamic.window_s, dynamic.window_limit)
        self._limits: tuple[float, float] | None = None
        self._learned_at = 0.0
        self._outside_since: float | None = None

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Judge the value by the limits learned before it; then learn from it."""
        self._learn(at)
        outside = self._limits is not None and not self._limits[0] <= value <= self._limits[1]
        judgement = self._judge(value, outside=outside) if judged else None
        if not outside:
            self._outside_since = None
            self._window.add(at, value)
            return judgement
        if self._outside_since is None:
            self._outside_since = at
        asked = self._asked
        if at - self._outside_since >= (asked.window_s if asked.adapt_after_s is None else asked.adapt_after_s):
            self._window.clear()
            self._limits = self._outside_since = None
            self._window.add(at, value)
        return judgement

    def _learn(self, at: float) -> None:
        asked = self._asked
        if self._outside_since is not None or (
            self._limits is not None and at - self._learned_at < asked.learn_every_s
        ):
            return
        self._window.pass_to(at)
        if len(self._window) < asked.count:
            return
        ordered = sorted(self._window.values())
        low, high = quantile(ordered, asked.low), quantile(ordered, asked.high)
        wider = asked.margin * (high - low)
        self._limits, self._learned_at = (low - wider, high + wider), at

    def _judge(self, value: float, *, outside: bool) -> Judgement:
        if self._limits is None:
            return Judgement(State.NEITHER, {})
        low, high = self._limits
        facts = {"low": low, "high": high}
        if outside:
            return Judgement(State.BAD, facts)
        slack = min(self._asked.hysteresis, (high - low) / 2)
        return Judgement(State.FINE if low + slack <= value <= high - slack else State.NEITHER, facts)
