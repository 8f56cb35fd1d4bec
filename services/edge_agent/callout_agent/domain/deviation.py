"""Deviation: the value strays from the mean of what came before it."""

from __future__ import annotations

from dataclasses import dataclass

from callout_agent.domain.judgement import Forgetful, Judgement, State
from callout_agent.domain.window import Window


@dataclass(frozen=True)
class Deviation:
    """Farther from the window's mean than `sigmas` standard deviations, `by`, or `percent` of the mean.

    The farthest of them counts. Nothing is judged before `count` readings.
    """

    window_s: float
    sigmas: float | None = None
    by: float | None = None
    percent: float | None = None
    direction: str = "both"  # up, down, both
    count: int = 10
    hysteresis: float = 0.0
    window_limit: int = 2000

    def condition(self) -> DeviationCondition:
        """Begin to watch a series."""
        return DeviationCondition(self)


class DeviationCondition(Forgetful):
    """The deviation, of one series."""

    def __init__(self, deviation: Deviation) -> None:
        self._asked = deviation
        self._before = Window(deviation.window_s, deviation.window_limit)

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Judge the value by those before it in the window."""
        self._before.pass_to(at)
        judgement = self._judge(value) if judged else None
        self._before.add(at, value)
        return judgement

    def _judge(self, value: float) -> Judgement:
        asked = self._asked
        if len(self._before) < asked.count:
            return Judgement(State.NEITHER, {})
        mean = self._before.mean
        allowed = max(
            (asked.sigmas or 0.0) * self._before.deviation, asked.by or 0.0, (asked.percent or 0.0) * abs(mean) / 100
        )
        off = value - mean
        off = {"up": off, "down": -off}.get(asked.direction, abs(off))
        facts = {"mean": mean, "off": off, "allowed": allowed}
        if off > allowed:
            return Judgement(State.BAD, facts)
        return Judgement(State.FINE if off <= allowed - asked.hysteresis or off <= 0 else State.NEITHER, facts)
