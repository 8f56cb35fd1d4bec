"""Moments as people type them."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.moments import moment, span

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h30m", 9000), ("7d", 604_800), ("1w", 604_800), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_a_span_is_a_sum_of_its_parts(text: str, seconds: float) -> None:
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "10m!", "-10m", "1e400d", "9" * 400 + "d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no span|too long"):
        span(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("-10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("2026-03-02T10:00:00Z", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-02T11:00:00+01:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_moment_is_an_instant_or_a_span_ago(text: str, at: datetime) -> None:
    assert moment(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "-", "1000000w"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no span|too long"):
        moment(text, NOW)
