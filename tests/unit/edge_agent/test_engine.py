"""Triggers over series: each pair has one key, is raised once and cleared once, and is bounded."""

import math

import pytest
from callout_agent.domain.engine import SERIES_MAX, SERIES_NAME_MAX, Engine
from callout_agent.domain.judgement import Move
from callout_agent.domain.notice import of_finding, of_program
from callout_agent.domain.usage import Usage

from tests.unit.edge_agent.parts import hot, reading


def told(engine: Engine, *values: float, series: str = "temp_c", step: float = 1.0) -> list[tuple[str, str, float]]:
    return [
        (finding.move.value, finding.key, finding.at)
        for place, value in enumerate(values)
        for finding in engine.observe(reading(value, 1000.0 + place * step, series))
    ]


def test_a_series_is_raised_once_and_cleared_once() -> None:
    assert told(Engine([hot()]), 80, 91, 99, 88, 91, 84, 80, 95) == [
        ("signal", "hot:temp_c", 1001.0),
        ("clear", "hot:temp_c", 1005.0),
        ("signal", "hot:temp_c", 1007.0),
    ]


def test_each_series_a_pattern_names_is_watched_for_itself() -> None:
    engine = Engine([hot()])
    assert told(engine, 91, series="temp_1") == [("signal", "hot:temp_1", 1000.0)]
    assert told(engine, 91, series="temp_2") == [("signal", "hot:temp_2", 1000.0)]
    assert told(engine, 91, series="pressure") == []


def test_it_is_judged_only_so_often() -> None:
    assert told(Engine([hot(every_s=5)]), 80, 91, 91, 91, 91, 91, 80) == [("signal", "hot:temp_c", 1005.0)]


def test_what_was_raised_before_a_restart_is_cleared_after_it() -> None:
    engine = Engine([hot()], raised=["hot:temp_c"])
    assert told(engine, 95, 80) == [("clear", "hot:temp_c", 1001.0)]


def test_a_rate_is_judged_instead_of_the_value() -> None:
    assert told(Engine([hot(transform="rate")]), 0, 50, 250, step=2.0) == [("signal", "hot:temp_c", 1004.0)]
    assert told(Engine([hot(transform="change")]), 200, 291, 300) == [
        ("signal", "hot:temp_c", 1001.0), ("clear", "hot:temp_c", 1002.0)
    ]  # fmt: skip
    assert told(Engine([hot(transform="absolute")]), -91) == [("signal", "hot:temp_c", 1000.0)]


def test_what_cannot_be_judged_is_counted() -> None:
    engine = Engine([hot()])
    for odd in (reading(math.nan), reading(1, math.inf), reading(1, series=""), reading(1, series="a\nb")):
        assert engine.observe(odd) == []
    assert engine.observe(reading(91, 1000)) != []
    assert engine.observe(reading(80, 999)) == []
    assert engine.ignored == {"not_finite": 2, "bad_name": 2, "late": 1}


def test_no_more_series_are_watched_than_memory_is_for() -> None:
    engine = Engine([hot()])
    for number in range(SERIES_MAX + 10):
        engine.observe(reading(80, series=f"temp_{number}"))
    assert engine.ignored == {"too_many_series": 10}
    assert told(engine, 91, series="temp_0") == [("signal", "hot:temp_0", 1000.0)]


def test_forgetting_clears_what_was_raised_and_begins_anew() -> None:
    engine = Engine([hot()])
    told(engine, 95)
    assert [(each.move, each.key, each.at) for each in engine.forget("hot", None, 2000.0)] == [
        (Move.CLEAR, "hot:temp_c", 2000.0)
    ]
    assert told(engine, 95, step=2000.0) == [("signal", "hot:temp_c", 1000.0)]
    assert engine.forget("other", None, 3000.0) == []


def test_memories_outlive_a_restart() -> None:
    trigger = hot(preset=Usage(every=500))
    first = Engine([trigger])
    assert told(first, 100, 499) == []
    second = Engine([trigger], memories=first.memories())
    assert told(second, 501, 999, 1000) == [
        ("signal", "hot:temp_c", 1000.0), ("signal", "hot:temp_c", 1002.0)
    ]  # fmt: skip
    assert told(second, 3, step=1.0) == [], "late"


def test_the_longest_names_make_a_key_that_is_not_too_long() -> None:
    trigger = hot(name="n" * 48, series="*")
    [finding] = Engine([trigger]).observe(reading(91, series="s" * SERIES_NAME_MAX))
    body = of_finding(finding, "d" * 128, {}).body
    assert len(body["dedup_key"]) <= 255
    assert len(body["title"]) <= 200


def test_a_notice_says_what_led_to_it() -> None:
    engine = Engine([hot(for_s=10, severity="major")])
    engine.observe(reading(91, 1000))
    [finding] = engine.observe(reading(95, 1010.5))
    assert of_finding(finding, "press-07", {"serial": "SN-1"}).body == {
        "fault": "E417",
        "occurred_at": "1970-01-01T00:16:50.500Z",
        "dedup_key": "press-07:hot:temp_c",
        "severity": "major",
        "title": "hot on temp_c",
        "machine": {"serial": "SN-1"},
        "measurements": {"temp_c": 95.0},
        "trigger": {"name": "hot", "preset": "zone", "series": "temp_c", "began_at": "1970-01-01T00:16:40.000Z"},
    }


def test_a_clock_that_was_set_back_blinds_no_trigger_and_raises_nothing_twice() -> None:
    engine = Engine([hot(), hot(name="due", preset=Usage(every=500))])
    assert told(engine, 95, 501) == [("signal", "hot:temp_c", 1000.0), ("signal", "due:temp_c", 1001.0)]
    engine.clock_set_back()
    assert [(each.key, each.move, each.at) for each in engine.observe(reading(550, 10.0))] == []
    assert [(each.key, each.move) for each in engine.observe(reading(80, 11.0))] == [
        ("hot:temp_c", Move.CLEAR), ("due:temp_c", Move.CLEAR)
    ]  # fmt: skip


def test_figures_that_nobody_could_read_are_left_out_of_a_notice() -> None:
    [finding] = Engine([hot()]).observe(reading(91))
    body = of_finding(finding._replace(facts={"mean": math.inf, "off": 1.0}), "press-07", {}).body
    assert body["measurements"] == {"off": 1.0, "temp_c": 91.0}


@pytest.mark.parametrize(
    "said",
    [
        {"raise": "E1", "measurements": {"x": math.nan}},
        {"raise": "E1", "measurements": {"x": math.inf}},
        {"raise": "E1", "title": "\ud800"},
        {"raise": "\ud800"},
        {"clear": "\ud800"},
        {"raise": "E1", "description": "x" * 20_000},
        {"raise": "E1", "clear": "E1"},
        {"raise": ""},
        {"raise": "x" * 129},
        {"raise": 5},
        {},
    ],
)
def test_what_a_program_says_that_could_not_be_sent_is_refused_at_once(said: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        of_program(said, 0.0, {})
