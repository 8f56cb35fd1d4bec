"""When somebody may be told."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notification.domain.quiet import awake_at, digest_at, open_at
from shared.contracts.tenant_time import Calendar


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "spans", "awake"),
    [
        ("2026-03-02T12:00", ["22:00-24:00", "00:00-06:00"], "2026-03-02T12:00"),
        ("2026-03-02T21:30", ["22:00-24:00", "00:00-06:00"], "2026-03-03T05:00"),
        ("2026-03-03T04:59", ["22:00-24:00", "00:00-06:00"], "2026-03-03T05:00"),
        ("2026-03-03T05:00", ["22:00-24:00", "00:00-06:00"], "2026-03-03T05:00"),
        ("2026-03-02T12:00", ["00:00-24:00"], "2026-03-02T12:00"),
        ("2026-03-02T12:00", [], "2026-03-02T12:00"),
        ("2026-03-28T23:30", ["00:00-06:00"], "2026-03-29T04:00"),
    ],
)
def test_who_sleeps_is_told_when_they_wake_by_their_own_clock(now: str, spans: list[str], awake: str) -> None:
    assert awake_at(at(now), spans, "Europe/Berlin") == at(awake)


PLANT = Calendar.model_validate_json(
    '{"time_zone": "Europe/Berlin", "week": {"mon": ["08:00-12:00", "13:00-17:00"], "fri": ["08:00-14:00"]},'
    ' "days": [{"date": "2026-03-09"}], "holidays": {"country": "DE"}}'
)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-02T08:30", "2026-03-02T08:30"),
        ("2026-03-02T11:00", "2026-03-02T12:00"),
        ("2026-03-02T16:00", "2026-03-06T07:00"),
        ("2026-03-06T13:00", "2026-03-13T07:00"),
        ("2026-04-02T12:00", "2026-04-10T06:00"),
    ],
)
def test_a_calendar_opens_at_its_next_hours_not_on_holidays_nor_days_of_its_own(now: str, opens: str) -> None:
    assert open_at(at(now), PLANT) == at(opens)


def test_a_calendar_that_never_opens_keeps_nobody_waiting() -> None:
    never = Calendar.model_validate_json('{"week": {}}')
    assert open_at(at("2026-03-02T08:30"), never) == at("2026-03-02T08:30")


def test_a_digest_comes_at_the_next_such_time() -> None:
    assert digest_at(at("2026-03-02T06:59"), "08:00", "Europe/Berlin") == at("2026-03-02T07:00")
    assert digest_at(at("2026-03-02T07:00"), "08:00", "Europe/Berlin") == at("2026-03-03T07:00")
    summer = digest_at(at("2026-03-28T08:00"), "08:00", "Europe/Berlin")
    assert summer - at("2026-03-28T07:00") == timedelta(hours=23)
