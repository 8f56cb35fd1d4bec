"""What a process did since it last told: differences of its own figures, as `ops.metrics.v1` has them."""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry

from shared.contracts.ops import Delay, Metrics, TopicFigures
from shared.metrics import STEPS
from shared.version import instance, version

Figures = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
STANDS: Final = frozenset({"callout_lag_records", "callout_partitions_owned", "callout_clock_skew_seconds"})
"""What is told as it stands, not as a difference."""


class Minutes:
    """Tells what happened since it was last asked."""

    def __init__(self, service: str, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._service = service
        self._registry = registry
        self._before = self._figures()
        self._asked = time.monotonic()

    def take(self, *, ready: bool) -> Metrics:
        """Return the figures since the last call, or since the beginning."""
        now, asked = self._figures(), time.monotonic()
        since, seconds = _Since(now, self._before), asked - self._asked
        self._before, self._asked = now, asked
        return Metrics(
            service=self._service,
            instance=instance(),
            version=version(),
            pid=os.getpid(),
            at=datetime.now(UTC),
            seconds=round(seconds, 3),
            ready=ready,
            topics=tuple(since.of_topic(topic) for topic in since.words("callout_records_total", "topic")),
            health_reports=since.tally("callout_health_reports_total", "kind"),
            memory_bytes=int(now[memory]) if (memory := ("process_resident_memory_bytes", ())) in now else None,
            cpu_seconds=round(since.total("process_cpu_seconds_total"), 3),
            clock_skew_seconds=since.stand("callout_clock_skew_seconds"),
        )

    def _figures(self) -> Figures:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if family.name.startswith(("callout_", "process_"))
            and sample.labels.get("service", self._service) == self._service
        }


class _Since:
    """The differences of two readings, by the name of the figure."""

    def __init__(self, now: Figures, before: Figures) -> None:
        self._found: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for (name, labels), value in now.items():
            base = 0.0 if name in STANDS else before.get((name, labels), 0.0)
            self._found[name].append((dict(labels), value - base))

    def of_topic(self, topic: str) -> TopicFigures:
        """Return what was done with one topic."""
        rounds = int(self.total("callout_round_records_count", topic=topic))
        records = int(self.total("callout_records_total", topic=topic))
        taken = self.total("callout_round_records_sum", topic=topic)
        steps: dict[str, Any] = {
            f"{step}_seconds": round(self.total("callout_step_seconds_total", topic=topic, step=step), 6)
            for step in STEPS
        }
        owned, lag = self.stand("callout_partitions_owned", topic=topic), self.stand("callout_lag_records", topic=topic)
        return TopicFigures(
            topic=topic,
            records=records,
            rounds=rounds,
            batch_mean=round(taken / rounds, 3) if rounds else None,
            round_seconds=round(self.total("callout_round_seconds_sum", topic=topic), 6),
            **steps,
            messages=self.tally("callout_messages_total", "to", topic=topic),
            refusals=self.tally("callout_refusals_total", "code", topic=topic),
            dead_letters=self.tally("callout_dead_letters_total", "code", topic=topic),
            conflicts=int(self.total("callout_conflicts_total", topic=topic)),
            owned_again=int(self.total("callout_owned_again_total", topic=topic)),
            partitions_owned=None if owned is None else int(owned),
            lag=None if lag is None else int(lag),
            delay=self.delay("callout_record_delay_seconds", topic),
            end_to_end=self.delay("callout_end_to_end_seconds", topic),
        )

    def words(self, name: str, label: str) -> list[str]:
        """Return the words that a label has, in order."""
        return sorted({labels[label] for labels, _ in self._found[name]})

    def total(self, name: str, **wanted: str) -> float:
        """Return the sum of what a figure rose by."""
        return sum(value for labels, value in self._found[name] if wanted.items() <= labels.items())

    def stand(self, name: str, **wanted: str) -> float | None:
        """Return the sum of what a figure stands at; nothing where it was not read yet."""
        found = [value for labels, value in self._found[name] if wanted.items() <= labels.items()]
        return round(sum(found), 6) if found else None

    def tally(self, name: str, label: str, **wanted: str) -> dict[str, int] | None:
        """Return by how much a figure rose for each word of a label that it rose for; nothing if for none."""
        words = {word: int(self.total(name, **wanted, **{label: word})) for word in self.words(name, label)}
        return {word: number for word, number in words.items() if number} or None

    def delay(self, name: str, topic: str) -> Delay | None:
        """Return what a histogram says of a topic; nothing if nothing was counted."""
        count = int(self.total(f"{name}_count", topic=topic))
        if not count:
            return None
        classes = [(float(labels["le"]), v) for labels, v in self._found[f"{name}_bucket"] if labels["topic"] == topic]
        p50, p99 = (_upper_end(sorted(classes), share * count) for share in (0.5, 0.99))
        mean = self.total(f"{name}_sum", topic=topic) / count
        return Delay(count=count, mean_seconds=round(mean, 6), p50_seconds=p50, p99_seconds=p99)


def _upper_end(classes: list[tuple[float, float]], rank: float) -> float | None:
    """Return the bound of the first class that reaches so far; nothing if that is the class without a bound."""
    return next((bound for bound, below in classes if below >= rank and bound != float("inf")), None)
