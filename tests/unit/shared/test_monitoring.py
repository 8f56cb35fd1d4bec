"""What is told of a process that cannot work, of partitions that do not get on, and of a minute."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.envelope import Message
from shared.contracts.ops import HealthKind
from shared.flow.standing import Place, places_of
from shared.metrics import FlowFigures
from shared.minutes import Minutes
from shared.monitoring import UNREADY_SECONDS, Losses, Monitor, Progress, Readiness

HERE, THERE = TopicPartition("case.commands.v1", 3), TopicPartition("case.commands.v1", 4)
NAMES = count()


def looked(readiness: Readiness, *looks: tuple[float, str | None]) -> list[HealthKind]:
    found = (readiness.look(why_not, at) for at, why_not in looks)
    return [told[0] for told in found if told is not None]


def test_an_unreadiness_that_passes_is_not_told() -> None:
    assert looked(Readiness(), (0, None), (2, "rebalance"), (2 + UNREADY_SECONDS - 1, "rebalance"), (9, None)) == []


def test_an_unreadiness_that_lasts_is_told_once_and_so_is_its_end() -> None:
    looks = [(at, "MongoDB does not answer") for at in range(0, 40, 2)]
    readiness = Readiness()
    assert looked(readiness, *looks, (40, None), (42, None)) == [HealthKind.UNREADY, HealthKind.READY]
    assert looked(readiness, (44, "again"), (60, "again")) == [HealthKind.UNREADY]


def test_how_long_it_was_unready_is_told() -> None:
    readiness = Readiness()
    looked(readiness, (10, "x"), (20, "x"))
    assert readiness.look(None, 25) == (HealthKind.READY, 15)


def stuck(progress: Progress, *looks: tuple[float, Place]) -> list[tuple[TopicPartition, Place, float]]:
    return [found for at, place in looks for found in progress.look({HERE: place}, at)]


def test_a_partition_that_does_not_get_on_is_told_once() -> None:
    place = Place(41, 58)
    looks = [(float(at), place) for at in range(0, 300, 10)]
    assert stuck(Progress(120), *looks) == [(HERE, place, 120)]


def test_a_partition_that_gets_on_is_not_stuck_however_far_it_is_behind() -> None:
    looks = [(at, Place(int(at), 10**6)) for at in range(0, 600, 10)]
    assert stuck(Progress(120), *looks) == []


def test_a_partition_without_anything_to_do_is_not_stuck() -> None:
    looks = [(at, Place(41, 41)) for at in range(0, 600, 10)]
    assert stuck(Progress(120), *looks, (610.0, Place(41, 42))) == []


def test_going_back_and_forth_is_no_progress() -> None:
    chance = random.Random(4)
    looks = [(float(at), Place(chance.randint(41, 50) if at else 50, 60)) for at in range(0, 1000, 10)]
    assert len(stuck(Progress(120), *looks)) == 1


def test_a_partition_that_got_on_again_may_be_stuck_again() -> None:
    progress = Progress(120)
    first = [(float(at), Place(41, 60)) for at in range(0, 200, 10)]
    second = [(float(at), Place(50, 60)) for at in range(200, 400, 10)]
    assert [place.position for _, place, _ in stuck(progress, *first, *second)] == [41, 50]


def test_a_partition_that_was_away_begins_anew() -> None:
    progress = Progress(120)
    stuck(progress, (0, Place(41, 60)))
    progress.keep({THERE})
    assert stuck(progress, (500, Place(41, 60))) == []


class Asked:
    """A consumer that was asked where its partitions stand."""

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 60)

    async def position(self, partition: TopicPartition) -> int:
        return 55


async def test_records_of_the_round_at_work_are_not_done_yet() -> None:
    places = await places_of(Asked(), [HERE, THERE], {HERE: 41})
    assert {tp: place.lag for tp, place in places.items()} == {HERE: 19, THERE: 5}
    assert await places_of(Asked(), [], {}) == {}


def test_a_minute_tells_differences_of_figures_and_where_the_others_stand() -> None:
    registry = CollectorRegistry()
    labels = {"service": "testing", "topic": "t.v1"}
    records = Counter("callout_records", "x", tuple(labels), registry=registry).labels(**labels)
    refusals = Counter("callout_refusals", "x", (*labels, "code"), registry=registry)
    lag = Gauge("callout_lag_records", "x", (*labels, "partition"), registry=registry)
    records.inc(5)
    minutes = Minutes("testing", registry=registry)
    records.inc(7)
    refusals.labels(**labels, code="forbidden").inc(2)
    refusals.labels(**labels, code="not_found").inc(0)
    lag.labels(**labels, partition="0").set(4)
    lag.labels(**labels, partition="1").set(5)
    (told,) = minutes.take(ready=True).topics
    assert (told.topic, told.records, told.refusals, told.lag) == ("t.v1", 7, {"forbidden": 2}, 9)
    (next_,) = minutes.take(ready=True).topics
    assert (next_.records, next_.refusals, next_.lag) == (0, None, 9)


def test_a_minute_of_the_flow_has_its_rounds_steps_and_delays() -> None:
    service = f"testing-{next(NAMES)}"
    figures, minutes = FlowFigures(service, "t.v1"), Minutes(service)
    with figures.step("write"):
        pass
    figures.count_round(40, 39, 0.5)
    figures.count_told([Message("case.events.v1", b"k", b"{}", ())] * 3)
    figures.count_delays([appended_long_ago()] * 4)
    figures.count_conflicts(2)
    minute = minutes.take(ready=False)
    (told,) = minute.topics
    assert (told.records, told.rounds, told.batch_mean, told.round_seconds) == (39, 1, 40, 0.5)
    assert told.write_seconds > 0
    assert (told.load_seconds, told.conflicts, told.messages) == (0, 2, {"case.events.v1": 3})
    assert told.delay is not None
    assert (told.delay.count, told.delay.p99_seconds) == (4, None), "longer than the last class"
    assert told.end_to_end is None
    assert (minute.service, minute.ready) == (service, False)
    assert minute.memory_bytes


def appended_long_ago() -> Any:
    class Record:
        timestamp = 0
        headers = ()

    return Record()


@pytest.mark.parametrize(("seconds", "p50"), [([0.001] * 3, 0.01), ([0.001, 0.2, 0.2], 0.25), ([0.001, 0.2], 0.01)])
def test_p50_is_the_upper_end_of_the_class_of_the_one_in_the_middle(seconds: list[float], p50: float) -> None:
    service = f"testing-{next(NAMES)}"
    figures, minutes = FlowFigures(service, "t.v1"), Minutes(service)
    for each in seconds:
        figures._delays.add_one(each)
    (told,) = minutes.take(ready=True).topics
    assert told.delay is not None
    assert told.delay.p50_seconds == p50


def test_who_is_without_partitions_for_long_though_all_servers_answer_is_found() -> None:
    losses = Losses(180)
    looks = [losses.look({"a", "b"}, 0.0, explained=False), losses.look({"b"}, 170.0, explained=False)]
    looks += [losses.look({"a", "b"}, 180.0, explained=False), losses.look({"a"}, 361.0, explained=False)]
    assert looks == [[], [], ["b"], ["a"]]


def test_servers_that_are_away_explain_a_loss() -> None:
    losses = Losses(180)
    assert losses.look({"a"}, 0.0, explained=False) == []
    assert losses.look({"a"}, 179.0, explained=True) == []
    assert losses.look({"a"}, 350.0, explained=False) == []
    assert losses.look({"a"}, 531.0, explained=False) == ["a"]


@dataclass
class Told:
    """Stands in for what tells operations."""

    answers: bool
    service: str = "intake"
    alarms: list[dict[str, Any]] = field(default_factory=list)

    async def answered(self) -> bool:
        return self.answers

    async def alarm(self, **facts: Any) -> None:
        self.alarms.append(facts)

    async def tell_metrics(self, _: Any) -> None:
        """Say nothing."""


@dataclass
class LostEar:
    """An ear that waits for its partitions for ever."""

    group: str = "callout.intake.device.signals.v1"
    lost: bool = True
    units: dict[Any, Any] = field(default_factory=dict)
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    room: Any = field(default_factory=lambda: SimpleNamespace(topic=DEVICE_SIGNALS))

    async def show_lag(self) -> dict[Any, Any]:
        return {}


@pytest.mark.parametrize(("answers", "ends"), [(True, True), (False, False)], ids=["servers answer", "Kafka is away"])
async def test_a_process_whose_ear_does_not_find_back_ends_with_an_alarm(*, answers: bool, ends: bool) -> None:
    async def yes() -> bool:
        return True

    async def not_ready() -> str:
        return "partitions not owned: device.signals.v1"

    ear, told = LostEar(), Told(answers)
    monitor = Monitor(told, not_ready, yes, [ear], interval_seconds=60, stuck_seconds=60, lost_seconds=0.1)  # type: ignore[arg-type, list-item]
    await monitor.start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60 if ends else 0.5):
            await ear.failed.wait()
    await monitor.stop()
    assert ear.failed.is_set() is ends
    assert [each["kind"] for each in told.alarms[:1]] == (["stuck"] if ends else [])
