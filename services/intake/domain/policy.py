"""What a tenant wants done with its signals: rules by fault and device, and maintenance windows."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import translate
from functools import lru_cache

from shared.contracts.tenant import Flapping, Maintenance, Rule, Rules

REMEMBERED_MAX = 10_000


@lru_cache(maxsize=REMEMBERED_MAX)
def _matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(translate(pattern)).match


def _matches(pattern: str, text: str) -> bool:
    return pattern == "*" or _matcher(pattern)(text) is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules and maintenance windows of one tenant; build it once per change, it remembers what matched."""

    rules: Rules = field(default_factory=Rules)
    maintenance: tuple[Maintenance, ...] = ()
    _found: dict[tuple[str, str], Rule | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def rule(self, fault: str, device_id: str) -> Rule | None:
        """Return the first rule for a fault of a device."""
        if not self.rules.rules:
            return None
        wanted = (fault, device_id)
        if wanted not in self._found:
            if len(self._found) >= REMEMBERED_MAX:
                self._found.clear()
            fitting = (r for r in self.rules.rules if _matches(r.fault, fault) and _matches(r.device, device_id))
            self._found[wanted] = next(fitting, None)
        return self._found[wanted]

    def window(self, fault: str, device_id: str, at: datetime) -> Maintenance | None:
        """Return the first maintenance window that holds for a fault of a device at that event time."""
        for window in self.maintenance:
            timely = window.starts_at <= at < window.until
            if timely and _matches(window.device, device_id) and _matches(window.fault, fault):
                return window
        return None

    def flapping(self, rule: Rule | None) -> Flapping:
        """Return when a fault under this rule counts as flapping."""
        return rule.flapping if rule is not None and rule.flapping is not None else self.rules.flapping
