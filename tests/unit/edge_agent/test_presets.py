"""Each preset says of any readings what its description, worked out naively, says."""

from typing import Any

import pytest
from callout_agent.domain.custom import NAMES, Custom
from callout_agent.domain.deviation import Deviation
from callout_agent.domain.dynamic import Dynamic
from callout_agent.domain.expression import Expression
from callout_agent.domain.judgement import State
from callout_agent.domain.peak import Peak
from callout_agent.domain.trend import Trend
from callout_agent.domain.usage import Usage
from callout_agent.domain.window import Window
from callout_agent.domain.zone import Zone
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.edge_agent import naive

# Limits end in .3137: no mean or slope of these whole numbers is equal to one, so that rounding decides nothing.
ODD = 0.3137
STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(-30, 30)), min_size=1, max_size=60)
WINDOWS = st.integers(1, 120)


@st.composite
def timelines(draw: Any, lowest: int = -30) -> list[tuple[int, int]]:
    """Readings that never go back in time; several may be of one second."""
    at, made = 1000, []
    for step, value in draw(STEPS):
        at += step
        made.append((at, max(lowest, value)))
    return made


def states(condition: Any, readings: list[tuple[int, int]]) -> list[State]:
    return [condition.observe(float(at), float(value), judged=True).state for at, value in readings]


def prefixes(readings: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    return [readings[: end + 1] for end in range(len(readings))]


@given(timelines(), WINDOWS, st.integers(1, 70))
def test_a_window_comes_to_what_its_readings_come_to(readings: list[tuple[int, int]], seconds: int, limit: int) -> None:
    window = Window(seconds, limit)
    for end, (at, value) in enumerate(readings):
        window.add(at, value)
        kept = naive.within(readings[: end + 1], at, seconds)[-limit:]
        values = [each for _, each in kept]
        mean = sum(values) / len(values)
        assert window.values() == values
        assert (window.least, window.greatest, window.span) == (min(values), max(values), kept[-1][0] - kept[0][0])
        assert window.mean == pytest.approx(mean, abs=1e-9)
        assert window.total == pytest.approx(sum(values), abs=1e-9)
        spread = (sum((each - mean) ** 2 for each in values) / len(values)) ** 0.5
        assert window.deviation == pytest.approx(spread, abs=1e-6)
        slope = naive.line(kept)
        assert window.slope == (None if slope is None else pytest.approx(slope, abs=1e-9))


@given(timelines(), st.integers(-20, 30), st.integers(-30, 20), st.integers(0, 5))
def test_zone(readings: list[tuple[int, int]], above: int, below: int, hysteresis: int) -> None:
    for high, low in ((above, None), (None, below), (above, below)):
        seen = states(Zone(high, low, hysteresis).condition(), readings)
        assert seen == [naive.zone(part, high, low, hysteresis) for part in prefixes(readings)]


@given(timelines(), WINDOWS, st.integers(0, 40), st.sampled_from(["up", "down", "both"]), st.integers(0, 10))
def test_peak(readings: list[tuple[int, int]], window: int, height: int, direction: str, hysteresis: int) -> None:
    peak = Peak(window, height=height, direction=direction, hysteresis=hysteresis)
    expected = [naive.peak(part, window, height, direction, hysteresis) for part in prefixes(readings)]
    assert states(peak.condition(), readings) == expected


def test_a_peak_in_percent_is_of_where_it_began() -> None:
    peak = Peak(10, height_percent=50)
    assert states(peak.condition(), [(0, 10), (1, 14), (2, 15), (20, 100), (21, 149), (22, 150)]) == [
        State.NEITHER, State.FINE, State.BAD, State.NEITHER, State.FINE, State.BAD
    ]  # fmt: skip


@given(timelines(), WINDOWS, st.integers(-20, 20), st.sampled_from([0.0, 0.5, 0.9]), st.integers(0, 4))
def test_trend(readings: list[tuple[int, int]], window: int, rise: int, fill: float, hysteresis: int) -> None:
    limit = rise + ODD
    trend = Trend(window, rise=limit, per_s=10, fill=fill, hysteresis=hysteresis)
    expected = [naive.trend(part, window, limit, 10, fill, hysteresis) for part in prefixes(readings)]
    assert states(trend.condition(), readings) == expected
    falling = Trend(window, fall=limit, per_s=10, fill=fill, hysteresis=hysteresis)
    assert states(falling.condition(), [(at, -value) for at, value in readings]) == expected


@given(timelines(), WINDOWS, st.integers(-20, 60), st.integers(1, 100))
def test_trend_towards_a_limit(readings: list[tuple[int, int]], window: int, limit: int, within_s: int) -> None:
    trend = Trend(window, reaches_above=limit + ODD, within_s=within_s, fill=0)
    expected = [naive.forecast(part, window, limit + ODD, within_s) for part in prefixes(readings)]
    assert states(trend.condition(), readings) == expected
    down = Trend(window, reaches_below=-(limit + ODD), within_s=within_s, fill=0)
    assert states(down.condition(), [(at, -value) for at, value in readings]) == expected


@given(
    timelines(lowest=0), WINDOWS, st.sampled_from(["counter", "amount", "time"]), st.integers(1, 90), st.integers(0, 9)
)
def test_usage_within_a_window(
    readings: list[tuple[int, int]], window: int, kind: str, limit: int, hysteresis: int
) -> None:
    usage = Usage(kind, limit=limit, window_s=window, hysteresis=hysteresis)
    expected = [naive.usage(part, kind, window, limit, hysteresis) for part in prefixes(readings)]
    assert states(usage.condition(), readings) == expected


@given(timelines(lowest=0), st.integers(1, 20))
def test_usage_by_multiples_of_a_counter(readings: list[tuple[int, int]], every: int) -> None:
    expected = [naive.usage_every(part, every) for part in prefixes(readings)]
    assert states(Usage(every=every).condition(), readings) == expected


@given(timelines(lowest=0), st.integers(1, 20), st.integers(0, 60), st.sampled_from(["counter", "amount", "time"]))
def test_usage_by_multiples_goes_on_after_a_restart(
    readings: list[tuple[int, int]], every: int, restart: int, kind: str
) -> None:
    usage = Usage(kind, every=every, gap_s=10)
    whole = usage.condition()
    states(whole, readings)
    first, second = usage.condition(), usage.condition()
    states(first, readings[:restart])
    second.recall(first.memory())
    states(second, readings[restart:])
    lost = 10 if kind == "time" and 0 < restart < len(readings) else 0  # what ran while nobody looked is not known
    before, after = whole.memory(), second.memory()
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert before[0] - lost <= after[0] <= before[0]


@given(
    timelines(),
    WINDOWS,
    st.integers(0, 4),
    st.integers(0, 20),
    st.integers(2, 8),
    st.sampled_from(["up", "down", "both"]),
)
def test_deviation(
    readings: list[tuple[int, int]], window: int, sigmas: int, by: int, count: int, direction: str
) -> None:
    deviation = Deviation(window, sigmas=sigmas + ODD, by=by + ODD, count=count, direction=direction)
    expected = [naive.deviation(part, window, sigmas + ODD, by + ODD, count, direction) for part in prefixes(readings)]
    assert states(deviation.condition(), readings) == expected


def test_a_deviation_in_percent_is_of_the_mean() -> None:
    deviation = Deviation(100, percent=10, count=2, direction="both")
    assert states(deviation.condition(), [(0, 100), (1, 100), (2, 110), (3, 124)]) == [
        State.NEITHER, State.NEITHER, State.FINE, State.BAD
    ]  # fmt: skip


@given(timelines(), WINDOWS, st.integers(0, 3), st.integers(2, 10), st.integers(0, 60))
def test_dynamic(readings: list[tuple[int, int]], window: int, margin: int, count: int, adapt_after: int) -> None:
    dynamic = Dynamic(window, margin=margin, count=count, adapt_after_s=adapt_after)
    assert states(dynamic.condition(), readings) == naive.dynamic(readings, window, margin, count, adapt_after)


def test_dynamic_limits_follow_only_so_often() -> None:
    dynamic = Dynamic(100, margin=0.0, count=2, learn_every_s=50).condition()
    readings = [(0, 0), (1, 10), (2, 5), (3, 9), (60, 5), (61, 9)]
    assert states(dynamic, readings)[2:] == [State.FINE] * 4
    assert dynamic.observe(62.0, 9.9, judged=True).state is State.BAD  # learned anew at 60, from 0, 10, 5 and 9


@given(timelines(), WINDOWS, st.integers(-10, 10))
@settings(max_examples=50)
def test_custom(readings: list[tuple[int, int]], window: int, limit: int) -> None:
    raise_when = Expression(f"mean > {limit + ODD} and value >= previous", NAMES)
    custom = Custom(raise_when, Expression(f"greatest < {limit + ODD}", NAMES), window_s=window)
    expected = []
    for part in prefixes(readings):
        values = [value for _, value in naive.within(part, part[-1][0], window)]
        mean_is_high = sum(values) / len(values) > limit + ODD
        if len(part) == 1 and mean_is_high:
            expected.append(State.NEITHER)  # there is no value before
            continue
        bad = mean_is_high and part[-1][1] >= part[-2][1]
        expected.append(naive.state(bad, max(values) < limit + ODD))
    assert states(custom.condition(lambda name: 0.0), readings) == expected


def test_one_huge_value_leaves_no_trace_in_a_window_once_it_is_gone() -> None:
    window = Window(10, 100)
    for at, value in enumerate([1.0, 1e15, *[2.0, 4.0] * 10]):
        window.add(at, value)
    assert (window.mean, window.deviation) == (3.0, 1.0)
