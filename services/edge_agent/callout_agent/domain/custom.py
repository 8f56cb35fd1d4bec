"""Custom: a condition in words of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from callout_agent.domain.expression import Expression, Unknown
from callout_agent.domain.judgement import Forgetful, Judgement, State
from callout_agent.domain.window import Window

NAMES = frozenset(
    {"value", "previous", "rate", "mean", "least", "greatest", "deviation", "slope", "count", "span", "total"}
)

Latest = Callable[[str], float]


@dataclass(frozen=True)
class Custom:
    """Bad where `raise_when` holds, fine where `clear_when` does (else: where `raise_when` does not).

    Names: the value, the one before and the rate of change per second, and what the window (value included) comes to.
    Where an expression has no value yet, nothing is judged.
    """

    raise_when: Expression
    clear_when: Expression | None = None
    window_s: float = 300.0
    window_limit: int = 2000

    def condition(self, latest: Latest) -> CustomCondition:
        """Begin to watch a series; `latest` tells the newest value of another."""
        return CustomCondition(self, latest)


class CustomCondition(Forgetful):
    """The expressions, of one series."""

    def __init__(self, custom: Custom, latest: Latest) -> None:
        self._custom = custom
        self._latest = latest
        self._window = Window(custom.window_s, custom.window_limit)
        self._before: tuple[float, float] | None = None

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Work out the expressions for the value."""
        self._window.add(at, value)
        before, self._before = self._before, (at, value)
        return self._judge(at, value, before) if judged else None

    def _judge(self, at: float, value: float, before: tuple[float, float] | None) -> Judgement:
        window = self._window
        values = {
            "value": value,
            "mean": window.mean,
            "least": window.least,
            "greatest": window.greatest,
            "deviation": window.deviation,
            "count": float(len(window)),
            "span": window.span,
            "total": window.total,
        }
        slope = window.slope
        if slope is not None:
            values["slope"] = slope
        if before is not None:
            values["previous"] = before[1]
            if at > before[0]:
                values["rate"] = (value - before[1]) / (at - before[0])
        try:
            if self._custom.raise_when(values, self._latest):
                return Judgement(State.BAD, {})
            if self._custom.clear_when is None or self._custom.clear_when(values, self._latest):
                return Judgement(State.FINE, {})
        except Unknown:
            pass
        return Judgement(State.NEITHER, {})
