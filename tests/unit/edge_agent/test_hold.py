"""Somebody is told only of what lasts, once, and once more when it is over."""

from callout_agent.domain.judgement import Hold, Judgement, Move, State
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.edge_agent import naive

JUDGED = st.lists(st.tuples(st.integers(0, 10), st.sampled_from(list(State))), max_size=60)


@given(JUDGED, st.integers(0, 20), st.integers(0, 20))
def test_raised_and_cleared_after_so_long_without_a_break(
    steps: list[tuple[int, State]], for_s: int, clear_for_s: int
) -> None:
    at, judged = 0, []
    for step, state in steps:
        at += step
        judged.append((at, state))
    hold, told = Hold(for_s, clear_for_s), []
    for at, state in judged:
        move = hold.step(at, Judgement(state, {}))
        if move is not None:
            told.append((at, move.value))
    assert told == naive.moves(judged, for_s, clear_for_s)


def test_what_was_raised_before_a_restart_is_not_raised_again_but_cleared() -> None:
    hold = Hold(0, 0, raised=True)
    assert hold.step(1, Judgement(State.BAD, {})) is None
    assert hold.step(2, Judgement(State.FINE, {})) is Move.CLEAR


def test_what_is_due_once_more_is_told_once_more() -> None:
    hold = Hold(0, 0, raised=True)
    assert hold.step(1, Judgement(State.BAD, {}, again=True)) is Move.RAISE
