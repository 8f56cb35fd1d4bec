"""Peak: the value jumps within a short window."""

from __future__ import annotations

from dataclasses import dataclass

from callout_agent.domain.judgement import Forgetful, Judgement, State
from callout_agent.domain.window import Window


@dataclass(frozen=True)
class Peak:
    """A jump of `height` (or `height_percent` of where it began) from the window's lowest or highest value before."""

    window_s: float
    height: float | None = None
    height_percent: float | None = None
    direction: str = "up"  # up, down, both
    hysteresis: float = 0.0
    window_limit: int = 2000

    def condition(self) -> PeakCondition:
        """Begin to watch a series."""
        return PeakCondition(self)

    def needed(self, base: float) -> float:
        """Return how far from this base is a peak."""
        if self.height is not None:
            return self.height
        return abs(base) * (self.height_percent or 0.0) / 100


class PeakCondition(Forgetful):
    """The peak, of one series."""

    def __init__(self, peak: Peak) -> None:
        self._peak = peak
        self._before = Window(peak.window_s, peak.window_limit)

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Judge the value against those before it in the window."""
        self._before.pass_to(at)
        judgement = self._judge(value) if judged else None
        self._before.add(at, value)
        return judgement

    def _judge(self, value: float) -> Judgement:
        if not self._before:
            return Judgement(State.NEITHER, {})
        peak, jumps = self._peak, []
        if peak.direction in ("up", "both"):
            jumps.append((value - self._before.least, self._before.least))
        if peak.direction in ("down", "both"):
            jumps.append((self._before.greatest - value, self._before.greatest))
        jump, base = max(jumps, key=lambda each: each[0] - peak.needed(each[1]))
        needed = peak.needed(base)
        facts = {"jump": jump, "from": base}
        if jump > 0 and jump >= needed:
            return Judgement(State.BAD, facts)
        return Judgement(State.FINE if jump < needed - peak.hysteresis or jump <= 0 else State.NEITHER, facts)
