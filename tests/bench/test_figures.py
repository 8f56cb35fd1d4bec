"""The arithmetic behind the measures' figures."""

import pytest

from shared.flow.teller import home_partition
from tests.bench import loads
from tests.bench.drain import made
from tests.bench.floor import Floor, Output, Task
from tests.bench.memory import slope
from tests.bench.pulse import gaps, longest_gap


def test_a_gap_counts_what_lies_between_the_instants_only() -> None:
    assert longest_gap([0.0, 5.0, 10.5, 11.0, 30.0], since=10.0, until=12.0) == 1.0


def test_a_partition_that_never_spoke_was_silent_all_the_while() -> None:
    found = gaps({0: [10.5, 11.5], 1: []}, since=10.0, until=12.0)
    assert found.longest == 2.0
    assert found.together == 1.0


def test_memory_that_grows_evenly_has_that_slope() -> None:
    assert slope([100.0, 102.0, 104.0, 106.0]) == pytest.approx(2.0)


@pytest.mark.parametrize("per_record", [0.1, 1 / 3, 0.8195, 2.5])
async def test_what_a_plain_hop_is_to_make_is_what_it_makes(per_record: float) -> None:
    task = Task("127.0.0.1:1", "mongodb://127.0.0.1:1", "t", [], 0, ["id"], 100, [Output("o", per_record, 200, [])])
    floor = object.__new__(Floor)
    floor._task, floor._due, floor._pads = task, [0.0], [""]
    record = type("R", (), {"topic": "t", "partition": 0, "offset": 0})()
    told = sum(len(floor._messages({"_id": "x", "version": 1}, record)) for _ in range(1000))
    assert made(per_record, 1000) == told


def test_spread_cases_and_devices_lie_on_every_partition_alike() -> None:
    cases = [home_partition(case_id.encode(), 12) for case_id in loads.spread_cases(3)]
    devices = [home_partition(f"{loads.TENANT}/{device}".encode(), 12) for device in loads.spread_devices(2)]
    assert cases == [*range(12)] * 3
    assert devices == [*range(12)] * 2
