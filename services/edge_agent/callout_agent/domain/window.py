"""The readings of the last so many seconds, and what they come to, at a cost that does not grow with them."""

from __future__ import annotations

from collections import deque
from math import sqrt


class Window:
    """Readings later than the newest one less `seconds`, at most `limit` of them (then the oldest go early)."""

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._readings: deque[tuple[float, float]] = deque()
        # Numbers and values of those that nothing later is below (above): the first is the least (the greatest).
        self._least: deque[tuple[int, float]] = deque()
        self._greatest: deque[tuple[int, float]] = deque()
        self._taken = self._dropped = 0
        self._left = 0
        self._begin_sums()

    def __len__(self) -> int:
        return len(self._readings)

    def add(self, at: float, value: float) -> None:
        """Take in a reading that is not earlier than the one before, and let go what is too old."""
        self.pass_to(at)
        if len(self._readings) >= self._limit:
            self._drop()
        self._readings.append((at, value))
        self._count_in(at, value)
        while self._least and self._least[-1][1] >= value:
            self._least.pop()
        self._least.append((self._taken, value))
        while self._greatest and self._greatest[-1][1] <= value:
            self._greatest.pop()
        self._greatest.append((self._taken, value))
        self._taken += 1

    def pass_to(self, at: float) -> None:
        """Let go what is too old at this time."""
        while self._readings and self._readings[0][0] <= at - self._seconds:
            self._drop()

    def clear(self) -> None:
        """Forget all."""
        self._readings.clear()
        self._least.clear()
        self._greatest.clear()
        self._dropped = self._taken
        self._begin_sums()

    def values(self) -> list[float]:
        """Return the values, oldest first."""
        return [value for _, value in self._readings]

    @property
    def span(self) -> float:
        """Seconds from the oldest to the newest reading."""
        return self._readings[-1][0] - self._readings[0][0] if self._readings else 0.0

    @property
    def least(self) -> float:
        """The smallest value."""
        return self._least[0][1]

    @property
    def greatest(self) -> float:
        """The largest value."""
        return self._greatest[0][1]

    @property
    def mean(self) -> float:
        """The mean value."""
        return self._value_0 + self._v / len(self._readings)

    @property
    def total(self) -> float:
        """The sum of the values."""
        return self._v + self._value_0 * len(self._readings)

    @property
    def deviation(self) -> float:
        """The standard deviation of the values (of the whole window, not of a sample)."""
        count = len(self._readings)
        return sqrt(max(0.0, self._vv / count - (self._v / count) ** 2))

    @property
    def slope(self) -> float | None:
        """The change per second of the line that fits best; none if all readings are of one instant."""
        count = len(self._readings)
        spread = count * self._tt - self._t**2
        return (count * self._tv - self._t * self._v) / spread if spread > 0 else None

    def _drop(self) -> None:
        at, value = self._readings.popleft()
        if self._least[0][0] == self._dropped:
            self._least.popleft()
        if self._greatest[0][0] == self._dropped:
            self._greatest.popleft()
        self._dropped += 1
        t, v = at - self._at_0, value - self._value_0
        self._t -= t
        self._v -= v
        self._tt -= t * t
        self._vv -= v * v
        self._tv -= t * v
        self._left += 1
        # Sums that readings leave drift, and one huge value leaves nothing but rounding behind: sum up anew.
        if self._left > len(self._readings) or v * v > 1000 * self._vv:
            self._begin_sums()
            for reading in self._readings:
                self._count_in(*reading)

    def _begin_sums(self) -> None:
        self._left = 0
        self._at_0, self._value_0 = self._readings[0] if self._readings else (0.0, 0.0)
        self._fresh = not self._readings
        self._t = self._v = self._tt = self._vv = self._tv = 0.0

    def _count_in(self, at: float, value: float) -> None:
        if self._fresh:
            self._at_0, self._value_0, self._fresh = at, value, False
        t, v = at - self._at_0, value - self._value_0
        self._t += t
        self._v += v
        self._tt += t * t
        self._vv += v * v
        self._tv += t * v
