"""Epochs only rise; pauses spread and grow; a connection that does not hold is a failure."""

import itertools

from callout_agent.domain.presence import BASE_S, CAP_S, attempts_after, next_epoch, pause, word
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=20))
def test_epochs_rise_however_the_clock_jumps(clock: list[float]) -> None:
    epochs = [0]
    for now in clock:
        epochs.append(next_epoch(epochs[-1], now))
    assert all(earlier < later for earlier, later in itertools.pairwise(epochs))


def test_an_epoch_is_above_that_of_a_state_that_was_lost() -> None:
    assert next_epoch(0, 1_700_000_001.0) > next_epoch(1_700_000_000_000 - 5, 1_700_000_000.0)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_anything_up_to_a_bound_that_doubles(attempt: int, chance: float) -> None:
    assert 0 <= pause(attempt, chance) <= min(CAP_S, BASE_S * 2 ** min(attempt, 20))
    assert pause(attempt, 0.0) == 0.0


def test_only_a_connection_that_held_begins_the_count_anew() -> None:
    assert [attempts_after(held, 4) for held in (None, 1.0, 29.9, 30.0)] == [5, 5, 5, 0]


def test_what_is_as_it_should_be_is_not_said() -> None:
    assert word(3, 1, 30.0, maintenance=None, waiting=2) == {"epoch": 3, "n": 1, "interval_s": 30.0, "waiting": 2}
