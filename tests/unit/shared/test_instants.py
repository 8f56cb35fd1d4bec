"""Instants as they are told: UTC, three decimals, `Z`, whatever zone they are in and however old they are."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from shared.contracts.fields import rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
seconds = st.integers(-62_135_000_000, 253_402_200_000)  # the years 1 to 9999, short of their ends
instants = st.builds(
    lambda second, micros, zone: (EPOCH + timedelta(seconds=second, microseconds=micros)).astimezone(zone),
    seconds,
    st.integers(0, 999_999),
    st.just(UTC) | offsets,
)


@given(instants)
@example(datetime(1, 1, 3, tzinfo=UTC))
@example(datetime(2026, 3, 2, 10, 15, tzinfo=UTC))
@example(datetime(2026, 3, 2, 10, 15, 0, 999, tzinfo=UTC))
@example(datetime(2026, 3, 2, 10, 15, 59, 999999, tzinfo=timezone(timedelta(0))))
def test_an_instant_is_told_in_utc_cut_to_milliseconds(instant: datetime) -> None:
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    assert rfc3339(instant) == f"{utc.isoformat(timespec='milliseconds')}Z"
