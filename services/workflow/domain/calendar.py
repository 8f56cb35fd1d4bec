"""Working days: Monday to Friday without holidays, in the tenant's time zone."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

REOPEN_DAYS: Final = 14
SATURDAY: Final = 5


def last_reopen_day(closed_at: datetime, *, holidays: Collection[date] = (), zone: tzinfo = UTC) -> date:
    """Return the local date up to whose end a case may be reopened: the 14th working day after that of closing."""
    day = closed_at.astimezone(zone).date()
    left = REOPEN_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < SATURDAY and day not in holidays
    return day
