"""Working time: which instants count, how much of it lies between two of them, and when so much of it is over.

An instant is working time if its local time of day lies in a span of working hours of its local date. So an hour that a
change to summer time leaves out counts for nothing, and one that is repeated counts twice.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts import tenant_time
from shared.contracts.working_days import HORIZON_DAYS, Span, WorkingDays

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
EPOCH_DAY: Final = EPOCH.toordinal()
MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

Zone = ZoneInfo | timezone


class Calendar(WorkingDays):
    """The working days and hours of one tenant; without a body Monday to Friday by UTC, around the clock."""

    def __init__(self, body: tenant_time.Calendar | None = None) -> None:
        super().__init__(body)
        self.around_the_clock = body is None

    def end_of(self, day: date) -> datetime:
        """Return the first instant after a local date."""
        midnight = _milliseconds_of(day) + DAY

        def is_over(at: int) -> bool:
            return at + _offset(self.zone, at) >= midnight

        at = midnight - _offset(self.zone, midnight - _offset(self.zone, midnight))
        if is_over(at) and not is_over(at - 1):
            return _instant(at)
        # Clocks change around this midnight: there may be none, or two, of which the first counts.
        quarters = range(midnight - 18 * HOUR, midnight + 18 * HOUR, 15 * MINUTE)
        over = next(quarter for quarter in quarters if is_over(quarter))
        minutes = range(over - 15 * MINUTE, over)
        return _instant(minutes.start + bisect_left(minutes, True, key=is_over))

    def worked(self, start: datetime, end: datetime) -> int:
        """Return how much working time lies between two instants, in milliseconds; none if they are in no order."""
        if start >= end:
            return 0
        if self.around_the_clock:
            return (end - start) // MILLISECOND
        begins, ends = _milliseconds(start), _milliseconds(end)
        pieces = self._pieces(begins, (ends - 1) // DAY)
        return sum(max(0, min(to, ends) - max(begun, begins)) for begun, to in pieces)

    def after(self, start: datetime, work: int) -> datetime | None:
        """Return when so many milliseconds of working time are over; nothing if that is not in sight.

        It is the earliest such instant: the end of a day's work, not the beginning of the next.
        """
        if work <= 0:
            return start
        if self.around_the_clock:
            return start + work * MILLISECOND
        begins = _milliseconds(start)
        for begun, to in self._pieces(begins, begins // DAY + HORIZON_DAYS):
            length = to - max(begun, begins)
            if length >= work:
                return _instant(to - length + work)
            work -= max(0, length)
        return None

    def _pieces(self, begins: int, last_day: int) -> Iterator[Span]:
        for day in range(begins // DAY, last_day + 1):
            yield from _pieces_of(self, day)


@lru_cache(maxsize=65_536)
def _pieces_of(calendar: Calendar, day: int) -> tuple[Span, ...]:
    """Return the working time of one day by UTC, in order."""
    return tuple(
        (max(begins, local - offset + begun), min(ends, local - offset + to))
        for begins, ends, offset in _steady(calendar.zone, day)
        for local in range((begins + offset) // DAY * DAY, ends + offset, DAY)
        for begun, to in calendar.spans_of(_date(local))
        if local - offset + begun < ends and local - offset + to > begins
    )


@lru_cache(maxsize=16_384)
def _steady(zone: Zone, day: int) -> tuple[tuple[int, int, int], ...]:
    """Return the parts of a day by UTC in which the local clock goes steadily, with how far it is ahead of UTC."""
    begins = day * DAY
    hours = [_offset(zone, begins + hour * HOUR) for hour in (0, 12, 24)]
    if len(set(hours)) == 1:
        return ((begins, begins + DAY, hours[0]),)
    parts = []
    start, offset = begins, hours[0]
    for at in range(begins, begins + DAY, HOUR):
        if _offset(zone, at + HOUR) != offset:
            steady = offset
            change = at + bisect_left(range(at, at + HOUR), True, key=lambda when: _offset(zone, when) != steady)
            parts.append((start, change, offset))
            start, offset = change, _offset(zone, change)
    return tuple(part for part in (*parts, (start, begins + DAY, offset)) if part[0] < part[1])


def _offset(zone: Zone, at: int) -> int:
    ahead = _instant(at).astimezone(zone).utcoffset()
    return 0 if ahead is None else ahead // MILLISECOND


def _milliseconds(at: datetime) -> int:
    return (at - EPOCH) // MILLISECOND


def _milliseconds_of(day: date) -> int:
    return (day.toordinal() - EPOCH_DAY) * DAY


def _instant(at: int) -> datetime:
    return EPOCH + at * MILLISECOND


def _date(local: int) -> date:
    return date.fromordinal(local // DAY + EPOCH_DAY)
