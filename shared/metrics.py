"""The figures every service shows on `/metrics`, in Prometheus' terms: all are counted per batch, none per record."""

import time
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import orjson
from prometheus_client import Counter, Gauge, Histogram

from shared.contracts.catalogue import CASE_OUTCOMES, contract_name
from shared.contracts.envelope import Message
from shared.contracts.ops import HealthKind
from shared.contracts.words import DeadCode
from shared.delays import DelayHistogram

LABELS = ("service", "topic")

RECORDS = Counter("callout_records", "Records folded and told.", LABELS)
MESSAGES = Counter("callout_messages", "Messages told, by the topic they went to.", (*LABELS, "to"))
ROUND_RECORDS = Histogram(
    "callout_round_records", "Records in a round.", LABELS, buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000)
)
ROUND_SECONDS = Histogram("callout_round_seconds", "Seconds from a round's first record to its last commit.", LABELS)
STEP_SECONDS = Counter("callout_step_seconds", "Seconds spent in a step of the flow.", (*LABELS, "step"))
RECORD_DELAY = DelayHistogram(
    "callout_record_delay_seconds", "Seconds from the append of a record to the commit of what it made."
)
END_TO_END = DelayHistogram(
    "callout_end_to_end_seconds", "Seconds from the append of a signal to the commit of the case event; a sample."
)
REFUSALS = Counter("callout_refusals", "Commands that were refused.", (*LABELS, "code"))
DEAD_LETTERS = Counter("callout_dead_letters", "Records that became dead letters.", (*LABELS, "code"))
CONFLICTS = Counter("callout_conflicts", "Documents that somebody else wrote first.", LABELS)
OWNED_AGAIN = Counter("callout_owned_again", "Times a partition had to be owned anew.", LABELS)
LAG = Gauge("callout_lag_records", "Offsets between a partition's position and its end.", (*LABELS, "partition"))
PARTITIONS = Gauge("callout_partitions", "Partitions that the topic has.", LABELS)
PARTITIONS_OWNED = Gauge("callout_partitions_owned", "Partitions that this process works on.", LABELS)
READY = Gauge("callout_ready", "1 while the service is ready.", ("service",))
CLOCK_SKEW = Gauge("callout_clock_skew_seconds", "The broker's clock less this process's.", ("service",))
HEALTH_REPORTS = Counter("callout_health_reports", "What was told on ops.health.v1.", ("service", "kind"))
BUILD = Gauge("callout_build_info", "Always 1; which version runs.", ("service", "version"))

STEPS: Final = ("load", "decide", "write", "tell")
SAMPLED: Final = 16
"""Of so many records of a batch the delay from the signal on is measured."""
_TOPIC: Final = itemgetter(0)
_FIRST_HOP: Final = b"/callout/intake"


def prepare(service: str, version: str) -> None:
    """Show a service's figures from the start, so that the first of a kind is a change that an alert can see."""
    BUILD.labels(service=service, version=version).set(1)
    READY.labels(service=service).set(0)
    for kind in HealthKind:
        HEALTH_REPORTS.labels(service=service, kind=kind.value)


class FlowFigures:
    """The figures of one service's flow of one topic."""

    def __init__(self, service: str, topic: str) -> None:
        self._labels = {"service": service, "topic": topic}
        self._steps = {step: STEP_SECONDS.labels(**self._labels, step=step) for step in STEPS}
        self._records = RECORDS.labels(**self._labels)
        self._round_records = ROUND_RECORDS.labels(**self._labels)
        self._round_seconds = ROUND_SECONDS.labels(**self._labels)
        self._delays = RECORD_DELAY.of(service, topic)
        self._end_to_end = END_TO_END.of(service, topic)
        self._conflicts = CONFLICTS.labels(**self._labels)
        self._owned_again = OWNED_AGAIN.labels(**self._labels)
        self._messages: dict[str, Counter] = {}
        self._timed: list[tuple[str, int, int]] | None = None
        for code in DeadCode:
            DEAD_LETTERS.labels(**self._labels, code=code.value)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time of a step."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self._steps[name].inc(seconds)
            if self._timed is not None:
                ended_ns = time.time_ns()
                self._timed.append((name, ended_ns - int(seconds * 1e9), ended_ns))

    @contextmanager
    def timed_steps(self) -> Iterator[list[tuple[str, int, int]]]:
        """Note each step until the end of the block: its name, and when it began and ended in nanoseconds."""
        self._timed = []
        try:
            yield self._timed
        finally:
            self._timed = None

    def count_round(self, records: int, told: int, seconds: float) -> None:
        """Count a round."""
        self._records.inc(told)
        self._round_records.observe(records)
        self._round_seconds.observe(seconds)

    def count_delays(self, records: Sequence[Any]) -> None:
        """Count how long the records of one partition waited that are worked off now."""
        now_ms = time.time_ns() // 1_000_000
        self._delays.add(records, now_ms)
        for record in records[:: -(-len(records) // SAMPLED) or 1]:
            heard = _heard_by_intake(record.headers)
            if heard is not None:
                self._end_to_end.add_one(now_ms / 1000 - heard)

    def count_told(self, messages: Sequence[Message]) -> None:
        """Count what was told: by topic, and refusals and dead letters by their codes."""
        for topic, number in Tally(map(_TOPIC, messages)).items():
            if topic not in self._messages:
                self._messages[topic] = MESSAGES.labels(**self._labels, to=contract_name(topic))
            self._messages[topic].inc(number)
            if topic == CASE_OUTCOMES.name:
                _count_codes(REFUSALS, self._labels, _refusals(messages))
            elif topic.endswith(".dead"):
                _count_codes(DEAD_LETTERS, self._labels, _deaths(messages, topic))

    def count_conflicts(self, number: int) -> None:
        """Count documents that somebody else wrote first."""
        self._conflicts.inc(number)

    def count_owned_again(self) -> None:
        """Count that a partition had to be owned anew."""
        self._owned_again.inc()

    def show_lag(self, lag: dict[int, int], partitions: int, owned: int) -> None:
        """Show how far each partition given to this process is behind; others' figures are somebody else's now."""
        for labels in [labels for labels in _shown(LAG) if labels[:2] == tuple(self._labels.values())]:
            if int(labels[2]) not in lag:
                LAG.remove(*labels)
        for partition, behind in lag.items():
            LAG.labels(**self._labels, partition=str(partition)).set(behind)
        PARTITIONS.labels(**self._labels).set(partitions)
        PARTITIONS_OWNED.labels(**self._labels).set(owned)


def _heard_by_intake(headers: Sequence[tuple[str, bytes | None]]) -> float | None:
    """Return when the broker appended what made intake send a command: its `ce_time`."""
    named = dict(headers)
    told = named.get("ce_time")
    if named.get("ce_source") != _FIRST_HOP or not told:
        return None
    try:
        return datetime.fromisoformat(told.decode()).timestamp()
    except (ValueError, UnicodeDecodeError):
        return None


def _refusals(messages: Sequence[Message]) -> Tally[str]:
    refused = (m.value for m in messages if m.topic == CASE_OUTCOMES.name and b'"accepted":false' in (m.value or b""))
    return Tally(orjson.loads(value or b"")["code"] for value in refused)


def _deaths(messages: Sequence[Message], topic: str) -> Tally[str]:
    return Tally(dict(m.headers)["callout-dead-code"].decode() for m in messages if m.topic == topic)


def _count_codes(counter: Counter, labels: dict[str, str], codes: Tally[str]) -> None:
    for code, number in codes.items():
        counter.labels(**labels, code=code).inc(number)


def _shown(gauge: Gauge) -> list[tuple[str, ...]]:
    return [tuple(sample.labels.values()) for family in gauge.collect() for sample in family.samples]
