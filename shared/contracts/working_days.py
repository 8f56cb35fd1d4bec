"""Working days of a tenant, and until when a closed case may be reopened: one reckoning for all who need it."""

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.tenant_time import Calendar, minutes, time_zone

MINUTE_MS: Final = 60_000
HORIZON_DAYS: Final = 3660
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONDAY_TO_FRIDAY: Final = Calendar()

Span = tuple[int, int]
"""Working hours of a day, in milliseconds from midnight."""


class WorkingDays:
    """The working days of one tenant; without a body Monday to Friday by UTC."""

    def __init__(self, body: Calendar | None = None) -> None:
        said = body or MONDAY_TO_FRIDAY
        self.zone: ZoneInfo | timezone = time_zone(said.time_zone) if body else UTC
        self._week = tuple(_spans(getattr(said.week, day)) for day in WEEKDAYS)
        self._days = {day.date: _spans(day.hours) for day in said.days}
        self._holidays = said.holidays

    def is_working_day(self, day: date) -> bool:
        """Tell whether a local date has any working hours."""
        return bool(self.spans_of(day))

    def working_day_after(self, day: date, number: int) -> date | None:
        """Return the so-manieth working day after a date; nothing if that is not in sight."""
        return _working_day_after(self, day, number)

    def local_date(self, at: datetime) -> date:
        """Return the date that an instant has here."""
        return at.astimezone(self.zone).date()

    def is_reopenable(self, closed_at: datetime, at: datetime, days: int) -> bool:
        """Tell whether at an instant not more than so many working days have gone by since the day of closing."""
        last = self.working_day_after(self.local_date(closed_at), days)
        return last is None or self.local_date(at) <= last

    def spans_of(self, day: date) -> tuple[Span, ...]:
        """Return the working hours of a local date."""
        own = self._days.get(day)
        if own is not None:
            return own
        if self._holidays is not None and day in self._holidays.of(day.year):
            return ()
        return self._week[day.weekday()]


@lru_cache(maxsize=16_384)
def _working_day_after(days: WorkingDays, day: date, number: int) -> date | None:
    """Count the days; every command to a closed case asks for the same ones."""
    for _ in range(HORIZON_DAYS):
        if not number:
            return day
        day += timedelta(days=1)
        number -= days.is_working_day(day)
    return None


def _spans(hours: tuple[str, ...]) -> tuple[Span, ...]:
    return tuple((start * MINUTE_MS, end * MINUTE_MS) for start, end in map(minutes, hours))


NOBODYS: Final = WorkingDays()
