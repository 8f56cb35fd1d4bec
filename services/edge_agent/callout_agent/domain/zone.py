"""Threshold zone: the value leaves the band it belongs in."""

from __future__ import annotations

from dataclasses import dataclass

from callout_agent.domain.judgement import Forgetful, Judgement, State


@dataclass(frozen=True)
class Zone:
    """`above` and `below` bound the band; back in it only beyond `hysteresis`."""

    above: float | None = None
    below: float | None = None
    hysteresis: float = 0.0

    def condition(self) -> ZoneCondition:
        """Begin to watch a series."""
        return ZoneCondition(self)

    def state(self, value: float) -> State:
        """Say how a value stands with the band."""
        high, low = self.above, self.below
        if (high is not None and value > high) or (low is not None and value < low):
            return State.BAD
        if (high is None or value <= high - self.hysteresis) and (low is None or value >= low + self.hysteresis):
            return State.FINE
        return State.NEITHER


class ZoneCondition(Forgetful):
    """The zone, of one series."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:  # noqa: ARG002 - of no meaning here
        """Judge the value alone."""
        return Judgement(self._zone.state(value), {}) if judged else None
