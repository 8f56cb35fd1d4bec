"""What a service shows of its flow: counted per batch, and right."""

import random
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from shared import metrics
from shared.contracts.envelope import Message
from shared.delays import BOUNDS, DelayHistogram, Delays
from shared.metrics import SAMPLED, FlowFigures

NAMES = count()


@dataclass
class Appended:
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


@pytest.fixture
def topic() -> str:
    """A topic of its own, for figures are one process's."""
    return f"topic-{next(NAMES)}.v1"


def value(name: str, topic: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"service": "testing", "topic": topic, **labels})


def outcome(accepted: str, code: str = "") -> Message:
    body = f'{{"command_id":"c","accepted":{accepted}{code}}}'.encode()
    return Message("case.outcomes.v1", b"c", body, ())


@pytest.mark.parametrize("size", [1, 2, 7, 500])
def test_delays_of_a_batch_are_those_of_its_records(size: int) -> None:
    chance = random.Random(size)
    now = 1_800_000_000_000
    waited = sorted((chance.choice((5, 10, 40, 999, 12_000, 5_000_000)) for _ in range(size)), reverse=True)
    whole, single = Delays(), Delays()
    whole.add([Appended(now - each) for each in waited], now)
    for each in waited:
        single.add_one(each / 1000)
    assert (whole.below, whole.count) == (single.below, single.count)
    assert whole.seconds == pytest.approx(single.seconds)


def test_a_clock_behind_the_brokers_makes_no_negative_delay() -> None:
    delays = Delays()
    delays.add([Appended(2_000)], now_ms=1_000)
    assert (delays.seconds, delays.below) == (0, [1] * len(BOUNDS))


def test_delays_are_shown_as_a_histogram() -> None:
    registry = CollectorRegistry()
    histogram = DelayHistogram("waited_seconds", "Waited.", registry=registry)
    histogram.of("intake", "t").add_one(0.03)
    labels = {"service": "intake", "topic": "t"}
    assert registry.get_sample_value("waited_seconds_bucket", {**labels, "le": "0.025"}) == 0
    assert registry.get_sample_value("waited_seconds_bucket", {**labels, "le": "0.05"}) == 1
    assert registry.get_sample_value("waited_seconds_bucket", {**labels, "le": "+Inf"}) == 1
    assert registry.get_sample_value("waited_seconds_sum", labels) == pytest.approx(0.03)


def test_what_is_told_is_counted_by_topic_and_by_codes(topic: str) -> None:
    dead = Message(f"{topic}.dead", None, b"?", (("callout-dead-code", b"not_json"),))
    refused = [outcome("false", f',"code":"{code}"') for code in ("forbidden", "forbidden", "not_found")]
    FlowFigures("testing", topic).count_told([outcome("true"), *refused, dead, outcome("true")])
    assert value("callout_messages_total", topic, to="case.outcomes.v1") == 5
    assert value("callout_refusals_total", topic, code="forbidden") == 2
    assert value("callout_refusals_total", topic, code="not_found") == 1
    assert value("callout_dead_letters_total", topic, code="not_json") == 1


def test_codes_of_dead_letters_are_shown_before_the_first_one_dies(topic: str) -> None:
    FlowFigures("testing", topic)
    assert value("callout_dead_letters_total", topic, code="bug") == 0


def test_the_delay_from_the_signal_on_is_that_of_commands_which_intake_sent(topic: str) -> None:
    now = int(time.time() * 1000)
    minute_ago = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now / 1000 - 60)).encode()
    ours = Appended(now, (("ce_source", b"/callout/intake"), ("ce_time", minute_ago)))
    others: list[Any] = [
        Appended(now, (("ce_source", b"/erp"), ("ce_time", minute_ago))),
        Appended(now, (("ce_source", b"/callout/intake"), ("ce_time", b"soon"))),
        Appended(now, (("ce_source", b"/callout/intake"), ("ce_time", None))),
        Appended(now),
    ]
    FlowFigures("testing", topic).count_delays([*others, ours])
    assert value("callout_end_to_end_seconds_count", topic) == 1
    assert value("callout_end_to_end_seconds_sum", topic) == pytest.approx(60, abs=2)
    assert value("callout_record_delay_seconds_count", topic) == 5


def test_of_a_large_batch_only_a_few_are_looked_into(topic: str) -> None:
    ours = Appended(0, (("ce_source", b"/callout/intake"), ("ce_time", b"2026-03-02T10:15:00.000Z")))
    FlowFigures("testing", topic).count_delays([ours] * 5000)
    assert value("callout_end_to_end_seconds_count", topic) == pytest.approx(SAMPLED, abs=1)
    assert value("callout_record_delay_seconds_count", topic) == 5000


def test_the_lag_of_a_partition_that_moved_away_is_shown_no_longer(topic: str) -> None:
    figures = FlowFigures("testing", topic)
    figures.show_lag({0: 5, 1: 0}, 12, 2)
    assert value("callout_lag_records", topic, partition="0") == 5
    figures.show_lag({1: 7}, 12, 1)
    assert value("callout_lag_records", topic, partition="0") is None
    assert value("callout_lag_records", topic, partition="1") == 7
    assert (value("callout_partitions", topic), value("callout_partitions_owned", topic)) == (12, 1)


def test_every_kind_of_health_is_shown_before_it_is_first_told() -> None:
    metrics.prepare("testing", "1.2.3")
    assert REGISTRY.get_sample_value("callout_health_reports_total", {"service": "testing", "kind": "bug"}) == 0
    assert REGISTRY.get_sample_value("callout_build_info", {"service": "testing", "version": "1.2.3"}) == 1
