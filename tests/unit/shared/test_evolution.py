"""Changed copies are what `dataclasses.replace` would return."""

from dataclasses import replace

import pytest

from shared.contracts.words import State
from shared.evolution import evolve
from tests.unit.workflow.builders import by_device, state_of


def test_when_fields_are_changed_then_the_copy_has_them_and_the_original_does_not():
    case = by_device()
    state = state_of(case)
    changes = {"state": State.CLOSED, "seq": 7, "tags": ("hot",)}
    assert evolve(state, **changes) == replace(state, **changes)
    assert (state.state, state.seq, state.tags) == (State.NEW, 1, ())
    assert evolve(case, touched=True) == replace(case, touched=True)
    assert hash(evolve(state)) == hash(state)


def test_when_there_is_no_such_field_then_it_is_a_bug():
    with pytest.raises(KeyError):
        evolve(by_device(), colour="red")
