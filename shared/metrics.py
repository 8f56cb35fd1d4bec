"""The figures every service shows on `/metrics`, in Prometheus' terms."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from shared.contracts.envelope import Message

LABELS = ("service", "topic")

RECORDS = Counter("callout_records", "Records folded and told.", LABELS)
ROUND_RECORDS = Histogram(
    "callout_round_records", "Records in a round.", LABELS, buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000)
)
ROUND_SECONDS = Histogram("callout_round_seconds", "Seconds from a round's first record to its last commit.", LABELS)
STEP_SECONDS = Counter("callout_step_seconds", "Seconds spent in a step of the flow.", (*LABELS, "step"))
DEAD_LETTERS = Counter("callout_dead_letters", "Records that became dead letters.", (*LABELS, "code"))
CONFLICTS = Counter("callout_conflicts", "Documents that somebody else wrote first.", LABELS)
OWNED_AGAIN = Counter("callout_owned_again", "Times a partition had to be owned anew.", LABELS)
READY = Gauge("callout_ready", "1 while the service is ready.", ("service",))


class FlowFigures:
    """The figures of one service's flow of one topic."""

    def __init__(self, service: str, topic: str) -> None:
        self._labels = {"service": service, "topic": topic}
        self._steps = {
            step: STEP_SECONDS.labels(**self._labels, step=step) for step in ("load", "decide", "write", "tell")
        }

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time of a step."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._steps[name].inc(time.perf_counter() - started)

    def count_round(self, records: int, told: int, seconds: float) -> None:
        """Count a round."""
        RECORDS.labels(**self._labels).inc(told)
        ROUND_RECORDS.labels(**self._labels).observe(records)
        ROUND_SECONDS.labels(**self._labels).observe(seconds)

    def count_dead(self, messages: Sequence[Message]) -> None:
        """Count the dead letters among what was told."""
        for message in messages:
            if message.topic.endswith(".dead"):
                code = dict(message.headers)["callout-dead-code"].decode()
                DEAD_LETTERS.labels(**self._labels, code=code).inc()

    def count_conflicts(self, number: int) -> None:
        """Count documents that somebody else wrote first."""
        CONFLICTS.labels(**self._labels).inc(number)

    def count_owned_again(self) -> None:
        """Count that a partition had to be owned anew."""
        OWNED_AGAIN.labels(**self._labels).inc()
