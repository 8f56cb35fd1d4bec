"""Trend: the value rises or falls too fast, or is on its way to a limit."""

from __future__ import annotations

from dataclasses import dataclass

from callout_agent.domain.judgement import Forgetful, Judgement, State
from callout_agent.domain.window import Window


@dataclass(frozen=True)
class Trend:
    """The line that fits the window best rises by `rise` or falls by `fall` per `per_s`.

    Or it leads from the present value to or past a limit within `within_s`. Nothing is judged before the readings
    cover the part `fill` of the window.
    """

    window_s: float
    rise: float | None = None
    fall: float | None = None
    per_s: float = 3600.0
    reaches_above: float | None = None
    reaches_below: float | None = None
    within_s: float = 0.0
    hysteresis: float = 0.0
    fill: float = 0.5
    window_limit: int = 2000

    def condition(self) -> TrendCondition:
        """Begin to watch a series."""
        return TrendCondition(self)


class TrendCondition(Forgetful):
    """The trend, of one series."""

    def __init__(self, trend: Trend) -> None:
        self._trend = trend
        self._window = Window(trend.window_s, trend.window_limit)

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Judge the slope of the window, the value included."""
        self._window.add(at, value)
        return self._judge(value) if judged else None

    def _judge(self, value: float) -> Judgement:
        trend, slope = self._trend, self._window.slope
        if slope is None or len(self._window) < 3 or self._window.span < trend.fill * trend.window_s:
            return Judgement(State.NEITHER, {})
        change = slope * trend.per_s
        facts = {"change": change, "per_s": trend.per_s}
        margins = []  # above 0: bad; below minus the hysteresis: fine
        if trend.rise is not None:
            margins.append(change - trend.rise)
        if trend.fall is not None:
            margins.append(-change - trend.fall)
        forecast = value + slope * trend.within_s
        if trend.reaches_above is not None:
            margins.append(forecast - trend.reaches_above)
        if trend.reaches_below is not None:
            margins.append(trend.reaches_below - forecast)
        if trend.within_s:
            facts["forecast"] = forecast
        worst = max(margins)
        if worst >= 0:
            return Judgement(State.BAD, facts)
        return Judgement(State.FINE if worst < -trend.hysteresis or not trend.hysteresis else State.NEITHER, facts)
