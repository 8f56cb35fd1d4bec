"""Cycles are looked for between rounds, never within one, and never not at all."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from shared.garbage import put_off


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def looking_often() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(50, 1, 1)
    yield
    gc.set_threshold(*before)


def tie_and_go_on() -> "weakref.ref[Knot]":
    knot = weakref.ref(Knot())
    kept = [[place] for place in range(1000)]
    assert kept
    return knot


def test_a_cycle_is_found_in_the_course_of_work() -> None:
    assert tie_and_go_on()() is None


def test_a_cycle_is_not_looked_for_within_the_block() -> None:
    with put_off():
        assert tie_and_go_on()() is not None


def test_what_was_put_off_is_found_after_the_block() -> None:
    with put_off():
        knot = tie_and_go_on()
    tie_and_go_on()
    assert knot() is None


def test_a_block_that_fails_puts_nothing_off_for_ever() -> None:
    with pytest.raises(ZeroDivisionError), put_off():
        _ = 1 / 0
    assert tie_and_go_on()() is None


def test_of_overlapping_blocks_the_first_to_end_ends_it_for_all() -> None:
    with put_off():
        with put_off():
            pass
        assert tie_and_go_on()() is None
