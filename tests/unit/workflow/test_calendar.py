"""Working time: by a naive reckoner, around changes of the clock, and in days."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.workflow.domain.calendar import Calendar
from shared.contracts import tenant_time
from shared.contracts.working_days import HORIZON_DAYS, WEEKDAYS
from tests.unit.workflow.reckoner import Reckoner

MINUTE, HOUR = 60_000, 3_600_000
BERLIN = "Europe/Berlin"
OFFICE = ["08:00-12:00", "13:00-17:00"]
#: A local day on which the clock changes, or a whole day is left out, in each.
CHANGES = {
    BERLIN: [date(2026, 3, 29), date(2026, 10, 25)],
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
    "America/Havana": [date(2026, 3, 8), date(2026, 11, 1)],
    "Africa/Cairo": [date(2026, 4, 24), date(2026, 10, 29)],
    "America/Sao_Paulo": [date(2018, 2, 17), date(2018, 11, 4)],
    "America/St_Johns": [date(2010, 3, 14), date(2010, 11, 7)],
    "Pacific/Apia": [date(2011, 12, 30)],
    "Asia/Kolkata": [date(2024, 2, 29)],
}


def calendar(zone: str = BERLIN, week: dict[str, list[str]] | None = None, **body: Any) -> Calendar:
    said = {"time_zone": zone, "week": dict.fromkeys(WEEKDAYS[:5], OFFICE) if week is None else week} | body
    return Calendar(tenant_time.Calendar.model_validate_json(json.dumps(said)))


def local(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


hours = (
    st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True)
    .map(sorted)
    .map(
        lambda quarters: [
            f"{a // 4:02}:{a % 4 * 15:02}-{b // 4:02}:{b % 4 * 15:02}"
            for a, b in zip(quarters[::2], quarters[1::2], strict=False)
        ]
    )
)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[str, dict[str, list[str]], dict[date, list[str]], datetime, datetime]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    week = draw(st.dictionaries(st.sampled_from(WEEKDAYS), hours, min_size=1))
    day = draw(st.sampled_from(CHANGES[zone]))
    days = draw(st.dictionaries(st.integers(-3, 3).map(lambda n: day + timedelta(days=n)), st.just([]) | hours))
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    start = noon + timedelta(minutes=draw(st.integers(-4000, 1500)))
    return zone, week, days, start, start + timedelta(minutes=draw(st.integers(-10, 4000)))


def both(zone: str, week: dict[str, list[str]], days: dict[date, list[str]]) -> tuple[Calendar, Reckoner]:
    own = [{"date": day.isoformat(), "hours": spans} for day, spans in days.items()]
    naive = Reckoner(zone, {WEEKDAYS.index(day): spans for day, spans in week.items()}, days)
    return calendar(zone, week, days=own), naive


@settings(max_examples=80, deadline=None)
@given(scenes())
@example((BERLIN, {"sun": ["01:30-02:30"]}, {}, local("2026-03-28T00:00"), local("2026-03-30T00:00")))
@example((BERLIN, {"sun": ["02:30-04:00"]}, {}, local("2026-10-24T00:00"), local("2026-10-26T00:00")))
@example(("Pacific/Apia", {"fri": OFFICE}, {}, local("2011-12-28T00:00"), local("2012-01-02T00:00")))
def test_it_counts_as_a_naive_reckoner_does(scene: Any) -> None:
    zone, week, days, start, end = scene
    exact, naive = both(zone, week, days)
    assert exact.worked(start, end) == naive.worked(start, end) * MINUTE


@settings(max_examples=40, deadline=None)
@given(scenes(), st.integers(1, 3000))
def test_it_ends_when_a_naive_reckoner_says(scene: Any, minutes: int) -> None:
    zone, week, days, start, _ = scene
    exact, naive = both(zone, week, days)
    end = exact.after(start, minutes * MINUTE)
    if end is not None and end - start < timedelta(days=20):
        assert end == naive.after(start, minutes)


@settings(max_examples=80, deadline=None)
@given(scenes(), st.integers(1, 40 * HOUR), st.integers(0, 59_999))
def test_adding_working_time_is_the_inverse_of_measuring_it(scene: Any, work: int, milliseconds: int) -> None:
    zone, week, days, start, later = scene
    exact, _ = both(zone, week, days)
    start += timedelta(milliseconds=milliseconds)
    end = exact.after(start, work)
    assert end is not None
    assert exact.worked(start, end) == work
    assert exact.worked(start, end - timedelta(milliseconds=1)) == work - 1, "and not a moment earlier"
    between = exact.worked(start, later)
    back = exact.after(start, between)
    assert back is not None
    assert exact.worked(back, later) == 0


@settings(max_examples=40, deadline=None)
@given(scenes(), st.integers(0, 4000))
def test_time_is_the_sum_of_its_parts(scene: Any, minutes: int) -> None:
    zone, week, days, start, end = scene
    exact, _ = both(zone, week, days)
    middle = min(start + timedelta(minutes=minutes), max(start, end))
    assert exact.worked(start, end) == exact.worked(start, middle) + exact.worked(middle, end)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-01-05T08:00", 4, "2026-01-05T12:00"),
        ("2026-01-05T12:30", 1, "2026-01-05T14:00"),
        ("2026-01-09T16:30", 1, "2026-01-12T08:30"),
        ("2026-01-10T11:00", 8, "2026-01-12T17:00"),
        ("2028-02-28T16:00", 9, "2028-02-29T17:00"),
        ("2027-02-26T16:00", 9, "2027-03-01T17:00"),
        ("2026-12-23T16:00", 2, "2026-12-24T09:00"),
        ("2026-12-24T11:00", 2, "2026-12-28T09:00"),
    ],
)
def test_hours_run_in_working_hours_only(start: str, hours: int, end: str) -> None:
    """Christmas Eve is half a day; the 25th is a holiday, the 26th one on a Saturday."""
    plant = calendar(holidays={"country": "DE"}, days=[{"date": "2026-12-24", "hours": ["08:00-12:00"]}])
    assert plant.after(local(start), hours * HOUR) == local(end)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24), ("2028-02-29", 24)]
)
def test_a_day_around_the_clock_is_as_long_as_it_is(day: str, hours: int) -> None:
    always = calendar(week={name: ["00:00-24:00"] for name in WEEKDAYS})
    start = local(f"{day}T00:00")
    end = always.end_of(date.fromisoformat(day))
    assert always.worked(start, end) == hours * HOUR
    assert end - start == timedelta(hours=hours)


def test_a_tenant_without_a_calendar_works_around_the_clock_and_monday_to_friday() -> None:
    nobodys = Calendar()
    start = datetime(2026, 1, 3, 3, tzinfo=UTC)
    assert nobodys.after(start, 30 * HOUR) == start + timedelta(hours=30)
    assert nobodys.worked(start, start + timedelta(hours=30)) == 30 * HOUR
    assert [nobodys.is_working_day(date(2026, 1, day)) for day in range(2, 6)] == [True, False, False, True]


@pytest.mark.seed("S3.14")
def test_the_last_moment_to_reopen_is_the_end_of_the_fourteenth_working_day() -> None:
    """Closed on Friday 2 January 2026, no holidays: Thursday 22 January, 23:59:59.999 local."""
    plant = calendar()
    closed = local("2026-01-02T15:00")
    last = plant.working_day_after(plant.local_date(closed), 14)
    assert last == date(2026, 1, 22)
    assert plant.end_of(last) - timedelta(milliseconds=1) == local("2026-01-22T23:59:59.999")


def test_holidays_own_days_and_working_saturdays_move_working_days() -> None:
    closed = date(2026, 1, 2)
    with_epiphany = calendar(holidays={"country": "DE", "subdivision": "BW"})
    assert with_epiphany.working_day_after(closed, 14) == date(2026, 1, 23)
    saturday = calendar(days=[{"date": "2026-01-10", "hours": ["08:00-09:00"]}])
    assert saturday.working_day_after(closed, 14) == date(2026, 1, 21)
    own_first = calendar(
        holidays={"country": "DE", "subdivision": "BW"}, days=[{"date": "2026-01-06", "hours": ["08:00-12:00"]}]
    )
    assert own_first.working_day_after(closed, 14) == date(2026, 1, 22)


def test_the_day_of_closing_is_the_local_one() -> None:
    late = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)
    assert calendar("UTC").local_date(late) == date(2026, 1, 2)
    assert calendar(BERLIN).local_date(late) == date(2026, 1, 3)


@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_a_day_ends_where_the_next_begins_also_when_the_clock_changes_at_midnight(zone: str) -> None:
    there = calendar(zone)
    for changed in CHANGES[zone]:
        for day in (changed - timedelta(days=1), changed, changed + timedelta(days=1)):
            end = there.end_of(day)
            assert there.local_date(end) > day
            assert there.local_date(end - timedelta(milliseconds=1)) <= day


def test_a_calendar_without_working_hours_has_no_end() -> None:
    never = calendar(week={})
    start = local("2026-01-05T08:00")
    assert never.after(start, 1) is None
    assert never.worked(start, start + timedelta(days=HORIZON_DAYS)) == 0
    assert never.working_day_after(start.date(), 1) is None


def test_no_time_lies_between_instants_in_no_order() -> None:
    start = local("2026-01-05T08:00")
    for any_ in (calendar(), Calendar()):
        assert any_.worked(start, start) == any_.worked(start, start - timedelta(hours=1)) == 0
        assert any_.after(start, 0) == start
