"""The maintenance switch: while people work on the machine, what it says is held back, or marked."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from callout_agent.domain.judgement import Move
from callout_agent.domain.notice import Notice

HOLD, MARK = "hold", "mark"


class Maintenance(NamedTuple):
    """How signals are treated, until when (seconds since 1970; none: until it is switched off), and why."""

    mode: str
    until: float | None = None
    reason: str | None = None

    def over(self, at: float) -> bool:
        """Say whether its time has come."""
        return self.until is not None and at >= self.until


class Gate:
    """Lets notices through or not; `told` are the keys that the world knows as raised (kept by whoever tells it).

    What was held back is told when the switch goes off, as far as it still matters: what is raised then, and the
    clear of what had been told before. `held` counts notices held back since the switch went on.
    """

    def __init__(self, told: AbstractSet[str], maintenance: Maintenance | None = None) -> None:
        self._told = told
        self._last: dict[str, Notice] = {}
        self.maintenance = maintenance
        self.held = 0

    def let(self, notice: Notice) -> Notice | None:
        """Return the notice as it is to be told now, or nothing."""
        if self.maintenance is None:
            return notice
        if self.maintenance.mode == MARK:
            return notice._replace(body={**notice.body, "maintenance": True})
        self.held += 1
        self._last[notice.key] = notice
        return None

    def switch(self, maintenance: Maintenance | None) -> list[Notice]:
        """Switch on or off; return what is to be told because of it."""
        if maintenance is not None and maintenance.mode == HOLD:
            if self.maintenance is None:
                self.held = 0
            self.maintenance = maintenance
            return []
        self.maintenance = maintenance
        self.held = 0
        last, self._last = self._last, {}
        due = [each for each in last.values() if each.move is Move.RAISE or each.key in self._told]
        return [told for each in due for told in [self.let(each)] if told]
