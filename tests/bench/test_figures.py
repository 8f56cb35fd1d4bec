"""The arithmetic behind the measures' figures."""

from collections import Counter

import pytest

from shared.flow.teller import home_partition
from tests.bench import loads
from tests.bench.alerta.clients import Recount, Result
from tests.bench.alerta.measure import table
from tests.bench.alerta.trials import CLIENTS, Trial, trials
from tests.bench.drain import made
from tests.bench.floor import Floor, Output, Task
from tests.bench.many_views import PATTERNS, document
from tests.bench.many_views import made as made_of_events
from tests.bench.memory import slope
from tests.bench.profile import ELSE, read
from tests.bench.pulse import gaps, longest_gap


def test_a_gap_counts_what_lies_between_the_instants_only() -> None:
    assert longest_gap([0.0, 5.0, 10.5, 11.0, 30.0], since=10.0, until=12.0) == 1.0


def test_a_partition_that_never_spoke_was_silent_all_the_while() -> None:
    found = gaps({0: [10.5, 11.5], 1: []}, since=10.0, until=12.0)
    assert found.longest == 2.0
    assert found.together == 1.0


@pytest.mark.parametrize("number", [0, 7, PATTERNS, PATTERNS + 7, 999_999])
def test_views_that_are_written_directly_are_those_of_their_events(number: int) -> None:
    assert document(number) == made_of_events(number)


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


FLOW = "Unit.run (/a/shared/flow/unit.py:127);Plan.decide (/a/shared/flow/plan.py:60)"


@pytest.mark.parametrize(
    ("stack", "piece"),
    [
        (FLOW, "fold into documents"),
        (f"{FLOW};Commands.decide (/a/services/workflow/handlers.py:77)", "make events, outcomes, commands"),
        (
            f"{FLOW};f (/a/services/x/handlers.py:7);dump (/b/pydantic/type_adapter.py:5)",
            "make events, outcomes, commands",
        ),
        (f"{FLOW};f (/a/services/x/handlers.py:7);g (/a/services/x/domain/y.py:5)", "decide"),
        ("run (/b/uvloop/__init__.py:38)", ELSE),
    ],
)
def test_a_sample_belongs_to_the_innermost_piece(stack: str, piece: str) -> None:
    found = read([f"{stack} 3"])
    assert found.pieces == {piece: 1.0}


def test_a_profile_adds_up_to_the_whole() -> None:
    found = read([f"{FLOW} 3", "run (/b/uvloop/__init__.py:38) 1"])
    assert found.samples == 4
    assert found.pieces == {"fold into documents": 0.75, ELSE: 0.25}
    assert found.functions == {"flow/plan.py: Plan.decide": 0.75, "uvloop/__init__.py: run": 0.25}


def test_every_trial_has_the_same_clients_and_all_its_signals() -> None:
    found = {trial.name: trial for trial in trials(80, "run")}
    assert {len(trial.sequences) for trial in found.values()} == {CLIENTS}
    assert {name: len(trial.signals) - len(trial.before) for name, trial in found.items()} == dict.fromkeys(found, 80)
    assert {name: len(trial.faults) for name, trial in found.items()} == {
        "distinct": 80,
        "repeats": 10,
        "first-arrival race": 10,
        "flapping": 1,
    }


def of_a_race(recount: Recount, refused: int = 0) -> Result:
    race: Trial = trials(80, "run")[2]
    return Result("Alerta 9.1", race, 2.0, 1.6, [0.1] * 80, [0.1] * 80, Counter(["500"] * refused), recount)


def test_what_is_in_no_count_is_lost_and_what_is_held_twice_is_doubled() -> None:
    race = of_a_race(Recount(Counter({("run-race-0", "E1"): 3, ("run-race-1", "E1"): 1}), 74), refused=6)
    assert (race.lost, race.doubled, race.missing) == (6, 2, 8)
    assert race.per_second == 37


def test_where_nothing_can_be_counted_again_what_was_refused_is_lost() -> None:
    assert of_a_race(Recount(Counter(), None), refused=5).lost == 5


def test_the_table_has_a_row_for_each_result() -> None:
    lines = table([of_a_race(Recount(Counter(), 80))]).splitlines()
    assert lines[2] == "| first-arrival race | Alerta 9.1 | 40 | 100 / 100 | 100 / 100 | 0 | 0 of 80 | 0 | 20 |"
    assert len(lines) == 3
