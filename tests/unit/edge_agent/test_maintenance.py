"""Under maintenance nothing is told, or it is marked; afterwards what still matters is told, once."""

from callout_agent.domain.judgement import Move
from callout_agent.domain.maintenance import HOLD, MARK, Gate, Maintenance
from callout_agent.domain.notice import Notice
from hypothesis import given
from hypothesis import strategies as st


def notice(move: Move, key: str = "hot:temp_c", number: int = 0) -> Notice:
    return Notice(move, key, {"fault": "E417", "number": number})


def test_without_it_all_is_told() -> None:
    assert Gate(set()).let(notice(Move.RAISE)) == notice(Move.RAISE)


def test_marked_signals_are_told_and_say_so() -> None:
    marked = Gate(set(), Maintenance(MARK)).let(notice(Move.RAISE))
    assert marked is not None
    assert marked.body == {"fault": "E417", "number": 0, "maintenance": True}


def test_what_came_and_went_meanwhile_is_never_told() -> None:
    gate = Gate(set(), Maintenance(HOLD))
    assert gate.let(notice(Move.RAISE)) is None
    assert gate.let(notice(Move.CLEAR)) is None
    assert gate.held == 2
    assert gate.switch(None) == []


def test_what_is_raised_when_it_ends_is_told_then_as_it_was() -> None:
    gate = Gate(set(), Maintenance(HOLD))
    gate.let(notice(Move.RAISE, number=7))
    assert gate.switch(None) == [notice(Move.RAISE, number=7)]
    assert gate.held == 0


def test_what_had_been_told_before_and_cleared_meanwhile_is_cleared() -> None:
    gate = Gate({"hot:temp_c"}, Maintenance(HOLD))
    gate.let(notice(Move.CLEAR))
    assert gate.switch(None) == [notice(Move.CLEAR)]


def test_from_holding_to_marking_what_still_matters_is_told_and_marked() -> None:
    gate = Gate(set(), Maintenance(HOLD))
    gate.let(notice(Move.RAISE))
    [told] = gate.switch(Maintenance(MARK))
    assert told.body["maintenance"] is True


def test_it_ends_by_itself_where_it_says_when() -> None:
    assert [Maintenance(HOLD, 100.0).over(at) for at in (99.9, 100.0)] == [False, True]
    assert not Maintenance(HOLD).over(1e12)


MOVES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*Move, "on", "off"])), max_size=40)


@given(MOVES)
def test_in_the_end_the_world_knows_what_is_raised_and_nothing_else(steps: list[tuple[str, Move | str]]) -> None:
    world: set[str] = set()
    real: set[str] = set()
    gate = Gate(world)

    def tell(notices: list[Notice]) -> None:
        for each in notices:
            (world.add if each.move is Move.RAISE else world.discard)(each.key)

    for key, step in [*steps, ("a", "off")]:
        if isinstance(step, str):
            tell(gate.switch(Maintenance(HOLD) if step == "on" else None))
        else:
            (real.add if step is Move.RAISE else real.discard)(key)
            tell([let for let in [gate.let(notice(step, key))] if let])
    assert world == real
