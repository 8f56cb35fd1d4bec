"""Working time as a naive reader would count it: minute by minute, with nothing but a clock on the wall."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


class Reckoner:
    """Counts the minutes of working hours; `week` and `days` are lists of hours as `08:00-12:00`."""

    def __init__(self, zone: str, week: Mapping[int, list[str]], days: Mapping[date, list[str]]) -> None:
        self.zone = ZoneInfo(zone)
        self.week = week
        self.days = days

    def works(self, at: datetime) -> bool:
        """Tell whether the minute that begins at an instant is worked."""
        local = at.astimezone(self.zone)
        clock = local.strftime("%H:%M")
        hours = self.days.get(local.date(), self.week.get(local.weekday(), []))
        return any(span.split("-")[0] <= clock < span.split("-")[1] for span in hours)

    def worked(self, start: datetime, end: datetime) -> int:
        """Return how many minutes were worked; both instants are whole minutes."""
        at, minutes = start.astimezone(UTC), 0
        while at < end:
            minutes += self.works(at)
            at += MINUTE
        return minutes

    def after(self, start: datetime, minutes: int) -> datetime:
        """Return when so many minutes were worked; there must be as many."""
        at = start.astimezone(UTC)
        while minutes:
            minutes -= self.works(at)
            at += MINUTE
        return at
