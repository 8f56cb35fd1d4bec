"""A trigger: which series it watches, what it asks of them, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Union

from callout_agent.domain.custom import Custom
from callout_agent.domain.deviation import Deviation
from callout_agent.domain.dynamic import Dynamic
from callout_agent.domain.peak import Peak
from callout_agent.domain.trend import Trend
from callout_agent.domain.usage import Usage
from callout_agent.domain.zone import Zone

Preset = Union[Peak, Trend, Usage, Deviation, Zone, Dynamic, Custom]


@dataclass(frozen=True)
class Trigger:
    """One rule of the device.

    `series` is a shell pattern; `models` too: the machine models it is for (none named: any). A reading goes through
    `transform` (none, rate, change, absolute) first. It is judged at most every `every_s`.
    """

    name: str
    series: str
    preset: Preset
    fault: str
    severity: str = "minor"
    title: str | None = None
    description: str | None = None
    template: str | None = None
    case_code: str | None = None
    models: tuple[str, ...] = ()
    transform: str = "none"
    every_s: float = 0.0
    for_s: float = 0.0
    clear_for_s: float = 0.0

    def watches(self, series: str) -> bool:
        """Say whether a series is this trigger's business."""
        return fnmatchcase(series, self.series)

    def fits(self, model: str | None) -> bool:
        """Say whether it is for this machine model."""
        return not self.models or any(fnmatchcase(model or "", pattern) for pattern in self.models)
