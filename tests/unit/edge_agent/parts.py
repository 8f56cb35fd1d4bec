"""Triggers and readings that are valid by default."""

from typing import Any

from callout_agent.domain.reading import Reading
from callout_agent.domain.trigger import Trigger
from callout_agent.domain.zone import Zone


def hot(**changed: Any) -> Trigger:
    return Trigger(
        **{"name": "hot", "series": "temp*", "preset": Zone(above=90, hysteresis=5), "fault": "E417", **changed}
    )


def reading(value: float, at: float = 1000.0, series: str = "temp_c") -> Reading:
    return Reading(series, at, value)
