"""How fast one device may speak: a bucket of tokens for each, in bounded memory."""

from collections import OrderedDict
from typing import Final

REMEMBERED: Final = 200_000


class Rates:
    """Lets each device have `burst` at once and `per_second` in the long run; `share` of it in this process."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._share = 1.0
        # Who is not here has a full bucket.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def share(self, part: float) -> None:
        """Set how much of what a device says comes to this process: 0 to 1."""
        self._share = part

    def take(self, device: str, now: float) -> float | None:
        """Take one token of a device; return nothing, or after how many seconds there will be one."""
        burst, rate = max(1.0, self._burst * self._share), max(1e-6, self._per_second * self._share)
        left, at = self._buckets.pop(device, (burst, now))
        left = min(burst, left + max(0.0, now - at) * rate)
        granted = left >= 1.0
        self._buckets[device] = (left - 1.0 if granted else left, max(at, now))
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return None if granted else (1.0 - left) / rate
