"""A tenant's time: calendars of working hours and holidays, and service levels."""

from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.contracts.fields import Model, TenantId, Word
from shared.contracts.tenant_holidays import PUBLIC, public_holidays
from shared.contracts.tenant_people import Pattern
from shared.contracts.words import CaseType, Clock, HoldReason, Priority

TIME: Final = r"([01]\d|2[0-3]):[0-5]\d"
OFFICE: Final = ("09:00-17:00",)
SOME_YEAR: Final = 2026


def minutes(hours: str) -> tuple[int, int]:
    """Return the minutes of the day at which a span as `08:00-12:00` begins and ends."""
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in hours.split("-"))
    return start, end


def _forward(hours: str) -> str:
    start, end = minutes(hours)
    if start >= end:
        raise ValueError(f"`{hours}` ends before it begins; split it at midnight (24:00)")
    return hours


def _apart(spans: tuple[str, ...]) -> tuple[str, ...]:
    for before, after in pairwise(spans):
        if minutes(after)[0] < minutes(before)[1]:
            raise ValueError(f"`{after}` begins before `{before}` ends; write spans in order")
    return spans


@lru_cache(maxsize=1024)
def time_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        ValueError: if there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone `{name}`; write one as Europe/Berlin") from error


def _known_zone(name: str) -> str:
    time_zone(name)
    return name


Hours = Annotated[str, StringConstraints(pattern=rf"^{TIME}-({TIME}|24:00)$"), AfterValidator(_forward)]
Spans = Annotated[tuple[Hours, ...], Field(max_length=12), AfterValidator(_apart)]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_known_zone)]


class Week(Model):
    """The working hours of each day of a week, as `08:00-12:00`, local time; a day that is not named is free."""

    mon: Spans = ()
    tue: Spans = ()
    wed: Spans = ()
    thu: Spans = ()
    fri: Spans = ()
    sat: Spans = ()
    sun: Spans = ()


class Day(Model):
    """A day that is unlike its weekday: free, or with hours of its own (half a day, a working Saturday)."""

    date: Annotated[date, Field(strict=False)]
    hours: Spans = ()
    name: Word | None = None


class Holidays(Model):
    """The public holidays of a country, kept by the library `holidays`; they are free."""

    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,3}$")]
    subdivision: Annotated[str, StringConstraints(min_length=1, max_length=32)] | None = None
    categories: Annotated[tuple[Word, ...], Field(min_length=1, max_length=10)] = (PUBLIC,)

    @model_validator(mode="after")
    def _known(self) -> "Holidays":
        self.of(SOME_YEAR)
        return self

    def of(self, year: int) -> frozenset[date]:
        """Return the holidays of a year."""
        return public_holidays(self.country, self.subdivision, self.categories, year)


class Calendar(Model):
    """Kind `calendar`: when a tenant works. Own days go before holidays, holidays before the week."""

    time_zone: Zone = "UTC"
    week: Week = Week(mon=OFFICE, tue=OFFICE, wed=OFFICE, thu=OFFICE, fri=OFFICE)
    holidays: Holidays | None = None
    days: Annotated[tuple[Day, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _once(self) -> "Calendar":
        seen: set[date] = set()
        for day in self.days:
            if day.date in seen:
                raise ValueError(f"`days` has {day.date} twice; say it once")
            seen.add(day.date)
        return self


HoursOf = Annotated[float, Field(gt=0, le=24 * 366 * 10)]


class Target(Model):
    """How many hours a case of one priority may take; what is not said is the default of that priority."""

    first_response_hours: HoursOf | None = None
    resolution_hours: HoursOf | None = None


class Targets(Model):
    """The targets of each priority."""

    blocker: Target | None = None
    high: Target | None = None
    medium: Target | None = None
    low: Target | None = None
    trivial: Target | None = None


DEFAULT_HOURS: Final[dict[Priority, dict[Clock, float]]] = {
    Priority.BLOCKER: {Clock.FIRST_RESPONSE: 1, Clock.RESOLUTION: 4},
    Priority.HIGH: {Clock.FIRST_RESPONSE: 4, Clock.RESOLUTION: 24},
    Priority.MEDIUM: {Clock.FIRST_RESPONSE: 8, Clock.RESOLUTION: 48},
    Priority.LOW: {Clock.FIRST_RESPONSE: 24, Clock.RESOLUTION: 72},
    Priority.TRIVIAL: {Clock.FIRST_RESPONSE: 48, Clock.RESOLUTION: 120},
}


class Pauses(Model):
    """When the clocks stand still: while the customer is to act, and on hold for one of these reasons."""

    action_required: bool = True
    on_hold: Annotated[tuple[HoldReason, ...], Field(max_length=10)] = ()


class Sla(Model):
    """Kind `sla`: a service level. Of several, the first in the order of names that fits a case counts.

    Without `calendar`, hours are those of the calendar that the settings name; if they name none, around the clock.
    """

    calendar: Word | None = None
    devices: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=100)] = ("*",)
    case_types: Annotated[tuple[CaseType, ...], Field(max_length=9)] = ()
    counterparts: Annotated[tuple[TenantId, ...], Field(max_length=1000)] = ()
    targets: Targets | None = None
    pauses: Pauses = Pauses()

    def hours(self, priority: Priority, clock: Clock) -> float:
        """Return the hours that a case of this priority may take."""
        target: Target | None = getattr(self.targets, priority.value, None)
        said: float | None = getattr(target, f"{clock}_hours", None)
        return DEFAULT_HOURS[priority][clock] if said is None else said
