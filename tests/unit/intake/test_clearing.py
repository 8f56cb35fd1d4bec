"""What becomes of cleared signals, and of faults that come and go."""

from datetime import timedelta

import pytest

from services.intake.domain import wake_at
from shared.contracts.tenant import Flapping, Rule
from tests.unit.intake.desk import START, Desk, after, rules, text


def flapping_desk(flips: int = 7, *, every: float = 1.0) -> Desk:
    """A key that was raised and then flipped, once a minute, beginning with a clear."""
    desk = Desk()
    desk.raised(START)
    for n in range(1, flips + 1):
        (desk.cleared if n % 2 else desk.raised)(after(minutes=n * every))
    return desk


def test_a_clear_is_told_after_what_is_untold():
    desk = Desk()
    for _ in range(3):
        desk.raised(START)
    desk.told()
    desk.cleared(after(1))
    assert desk.told() == [("occur", 1), ("clear", text(after(1)))]
    assert (desk.key.cleared, desk.key.untold, wake_at(desk.key)) == (True, 0, None)
    assert desk.decided()[-1] == ("cleared", "condition")


def test_a_fault_that_comes_back_is_told_at_once():
    desk = Desk()
    for _ in range(2):
        desk.raised(START)
    desk.cleared(after(1))
    desk.told()
    desk.raised(after(2))
    assert desk.told() == [("occur", 1)]
    assert not desk.key.cleared


def test_a_raise_not_later_than_the_clear_counts_but_the_fault_stays_gone():
    desk = Desk()
    desk.raised(START)
    desk.cleared(after(5))
    desk.raised(after(5))
    desk.raised(after(4))
    assert (desk.key.cleared, desk.key.count, desk.key.flips) == (True, 3, (after(5),))


@pytest.mark.parametrize(
    ("raise_seq", "clear_seq", "seconds", "reason"),
    [
        (None, None, -1, "stale_clear"),
        (None, None, 0, "condition"),
        (17, 16, 5, "stale_clear"),
        (17, 17, -5, "condition"),
        (17, 18, -5, "condition"),
        (17, None, -1, "stale_clear"),
        (None, 18, -1, "stale_clear"),
        (17, 16, 0, "stale_clear"),
    ],
)
def test_seq_decides_alone_whether_a_clear_is_stale_else_the_event_time(raise_seq, clear_seq, seconds, reason):
    desk = Desk()
    desk.raised(START, seq=raise_seq)
    triage = desk.cleared(after(seconds), now=START, seq=clear_seq)
    assert triage.decisions[0].data["reason"] == reason
    if reason == "condition":
        assert triage.commands[-1].data["at"] == text(max(after(seconds), START))


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [((0, 17), (5, 1), 1), ((0, 17), (-5, 18), 17), ((0, 17), (0, 16), 17), ((0, 17), (0, None), None)],
)
def test_the_seq_of_the_last_raise_by_event_time_counts(first, second, kept):
    desk = Desk()
    for seconds, seq in (first, second):
        desk.raised(after(seconds), now=START, seq=seq)
    assert desk.key.raised_seq == kept


def test_a_second_clear_is_refused_and_changes_nothing():
    desk = Desk()
    desk.raised(START)
    desk.cleared(after(1))
    triage = desk.cleared(after(9))
    assert (triage.key, triage.commands) == (None, ())
    assert desk.decided()[-1] == ("refused", "already_cleared")


def test_a_clear_of_a_key_nobody_knows_is_refused_and_not_kept():
    desk = Desk()
    triage = desk.cleared(START)
    assert (triage.key, triage.commands, desk.keys) == (None, (), {})
    assert desk.decided() == [("refused", "no_open_case")]


def test_more_flips_than_allowed_are_told_once_and_further_clears_are_held():
    desk = flapping_desk(6)
    desk.told()
    assert desk.key.flapping is None
    desk.cleared(after(minutes=7))
    assert desk.told() == [("flag_flapping", True)]
    assert desk.decided()[-2:] == [("flapping", "flips"), ("cleared", "held")]
    desk.raised(after(minutes=8))
    desk.cleared(after(minutes=9))
    assert [name for name, *_ in desk.told()] == ["occur"]
    state = desk.key.flapping
    assert (state.raised, state.cleared, state.since, state.last_at) == (4, 5, after(minutes=1), after(minutes=9))
    assert wake_at(desk.key) == after(minutes=19)


def test_flapping_that_begins_with_a_raise_tells_that_the_fault_is_back():
    desk = Desk(rules(flapping=Flapping(flips=1)))
    desk.raised(START)
    desk.raised(START)
    desk.cleared(after(1))
    desk.told()
    desk.raised(after(2))
    assert desk.told() == [("flag_flapping", True), ("occur", 1)]
    assert (desk.key.flapping.raised, desk.key.flapping.cleared) == (1, 1)


def test_flips_older_than_the_window_do_not_count():
    desk = flapping_desk(6)
    desk.cleared(after(minutes=31))
    assert (desk.key.flapping, len(desk.key.flips)) == (None, 6)


def test_raises_while_flapping_are_told_at_powers_of_two_and_every_ten_seconds_only():
    desk = flapping_desk(8)
    desk.told()
    for n in range(1, 4):
        desk.cleared(after(n, minutes=8))
        desk.raised(after(n + 0.5, minutes=8))
    assert desk.told() == [("occur", 3)]
    assert (desk.key.count, desk.key.untold) == (8, 0)
    desk.raised(after(12, minutes=8))
    assert desk.told() == []
    desk.raised(after(14, minutes=8))
    assert desk.told() == [("occur", 2)]


def test_slow_flips_are_no_flapping():
    desk = flapping_desk(40, every=5)
    assert desk.key.flapping is None
    assert len(desk.key.flips) == 6


def test_quiet_seen_by_the_next_signal_ends_flapping_before_that_signal():
    desk = flapping_desk(7)
    desk.told()
    desk.raised(after(minutes=17))
    summary = f"3 raised and 4 cleared between {text(after(minutes=1))} and {text(after(minutes=7))}"
    assert desk.told() == [("flag_flapping", False, summary), ("clear", text(after(minutes=7))), ("occur", 1)]
    assert desk.decided()[-1] == ("flapping", "quiet")
    assert (desk.key.flapping, desk.key.flips, desk.key.cleared) == (None, (after(minutes=17),), False)


def test_quiet_seen_by_a_clear_ends_flapping_even_if_that_clear_is_refused():
    desk = flapping_desk(7)
    desk.told()
    desk.cleared(after(minutes=17))
    assert [name for name, *_ in desk.told()] == ["flag_flapping", "clear"]
    assert desk.decided()[-2:] == [("flapping", "quiet"), ("refused", "already_cleared")]
    assert desk.key.flapping is None


def test_signals_before_the_quiet_is_over_go_on_flapping():
    desk = flapping_desk(7)
    desk.raised(after(minutes=16, seconds=59))
    assert desk.key.flapping.last_at == after(minutes=16, seconds=59)


def test_a_wake_ends_flapping_with_a_summary_the_untold_first_and_then_the_held_clear():
    desk = flapping_desk(8)
    desk.raised(after(minutes=8, seconds=1))
    desk.cleared(after(minutes=8, seconds=2))
    desk.told()
    due = wake_at(desk.key)
    assert due == after(minutes=8, seconds=10)
    desk.wake(due)
    assert desk.told() == [("occur", 1)]
    due = after(minutes=18, seconds=2)
    assert desk.wake(due - timedelta(milliseconds=1)).key is None
    desk.wake(due)
    summary = f"4 raised and 5 cleared between {text(after(minutes=1))} and {text(after(minutes=8, seconds=2))}"
    assert desk.told() == [("flag_flapping", False, summary), ("clear", text(after(minutes=8, seconds=2)))]
    assert desk.wake(due).key is None


def test_flapping_that_ends_with_the_fault_present_tells_no_clear():
    desk = flapping_desk(8)
    desk.told()
    desk.wake(after(minutes=18))
    assert [name for name, *_ in desk.told()] == ["flag_flapping"]


def test_a_late_wake_tells_the_untold_before_the_end_of_flapping():
    desk = flapping_desk(8)
    desk.raised(after(minutes=8, seconds=1))
    desk.told()
    desk.wake(after(minutes=18, seconds=1))
    assert [name for name, *_ in desk.told()] == ["occur", "flag_flapping"]


def test_a_rule_may_say_what_flapping_is():
    desk = Desk(rules(Rule(name="nervous", flapping=Flapping(flips=1, quiet_minutes=1))))
    desk.raised(START)
    desk.cleared(after(1))
    desk.raised(after(2))
    assert wake_at(desk.key) == after(62)
