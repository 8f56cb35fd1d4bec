"""Delays of whole batches as Prometheus histograms: a record costs one addition, its class is found by halving."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_APPENDED: Final = attrgetter("timestamp")


class Delays:
    """How long records waited, of one service's topic; counts per class, as Prometheus has them."""

    def __init__(self) -> None:
        self.below = [0] * len(BOUNDS)
        self.count = 0
        self.seconds = 0.0

    def add(self, records: Sequence[Any], now_ms: int) -> None:
        """Count the records of one partition, in the order in which the broker appended them, as worked off now.

        A clock that runs behind the broker's makes a delay of nothing.
        """
        number = len(records)
        if not number:
            return
        self.count += number
        self.seconds += max(0, number * now_ms - sum(map(_APPENDED, records))) / 1000
        for place, bound in enumerate(BOUNDS):
            waited_longer = bisect_left(records, now_ms - bound * 1000, key=_APPENDED)
            self.below[place] += number - waited_longer
            if not waited_longer:
                for rest in range(place + 1, len(BOUNDS)):
                    self.below[rest] += number
                return

    def add_one(self, seconds: float) -> None:
        """Count one delay."""
        self.count += 1
        self.seconds += max(0.0, seconds)
        for place, bound in enumerate(BOUNDS):
            self.below[place] += seconds <= bound


class DelayHistogram(Collector):
    """A histogram by service and topic."""

    def __init__(self, name: str, documentation: str, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._name = name
        self._documentation = documentation
        self._series: dict[tuple[str, str], Delays] = {}
        registry.register(self)

    def of(self, service: str, topic: str) -> Delays:
        """Return the delays of one topic."""
        return self._series.setdefault((service, topic), Delays())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield what there is, for `/metrics`."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=("service", "topic"))
        for labels, delays in self._series.items():
            family.add_metric(labels, list(_buckets(delays)), delays.seconds)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name the metric without counting anything."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=("service", "topic"))]


def _buckets(delays: Delays) -> Iterator[tuple[str, float]]:
    for bound, below in zip(BOUNDS, delays.below, strict=True):
        yield str(bound), below
    yield "+Inf", delays.count
