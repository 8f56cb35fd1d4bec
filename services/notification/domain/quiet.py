"""When somebody may be told: quiet hours, a tenant's calendar, the time of a digest."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.tenant_time import Calendar, minutes, time_zone

HORIZON_DAYS: Final = 370
DAY_MINUTES: Final = 24 * 60
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def awake_at(at: datetime, spans: Sequence[str], zone_name: str) -> datetime:
    """Return the first instant, not before `at`, outside the quiet spans of the local day; `at` if there is none."""
    zone = time_zone(zone_name)
    awake = at
    for _ in range(len(spans) + 1):
        local = awake.astimezone(zone)
        now = local.hour * 60 + local.minute
        end = next((to for begun, to in map(minutes, spans) if begun <= now < to), None)
        if end is None:
            return awake
        awake = _instant(local.date(), end, zone)
    return at


def open_at(at: datetime, calendar: Calendar) -> datetime:
    """Return the first instant, not before `at`, in a calendar's hours; `at` if there is none in sight."""
    zone = time_zone(calendar.time_zone)
    today = at.astimezone(zone).date()
    for day in (today + timedelta(days=number) for number in range(HORIZON_DAYS)):
        for begun, to in map(minutes, _hours(calendar, day)):
            if at < _instant(day, to, zone):
                return max(at, _instant(day, begun, zone))
    return at


def digest_at(at: datetime, time_of_day: str, zone_name: str) -> datetime:
    """Return the next instant after `at` at which a local clock shows a time of day."""
    zone = time_zone(zone_name)
    hour, minute = int(time_of_day[:2]), int(time_of_day[3:])
    today = at.astimezone(zone).date()
    due = _instant(today, hour * 60 + minute, zone)
    return due if due > at else _instant(today + timedelta(days=1), hour * 60 + minute, zone)


def _hours(calendar: Calendar, day: date) -> Sequence[str]:
    own = next((each for each in calendar.days if each.date == day), None)
    if own is not None:
        return own.hours
    if calendar.holidays is not None and day in calendar.holidays.of(day.year):
        return ()
    hours: Sequence[str] = getattr(calendar.week, WEEKDAYS[day.weekday()])
    return hours


def _instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    if minute >= DAY_MINUTES:
        day, minute = day + timedelta(days=1), minute - DAY_MINUTES
    return datetime.combine(day, time(minute // 60, minute % 60), zone).astimezone(UTC)
