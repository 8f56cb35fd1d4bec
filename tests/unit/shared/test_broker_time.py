"""What time it is by the brokers' clock, from hints of any quality."""

from datetime import UTC, datetime, timedelta

from shared.timers import BrokerTime

START = datetime(2026, 3, 2, 10, tzinfo=UTC)


class Clocks:
    """This machine's clocks: the wall's is wrong, the steady one goes on."""

    def __init__(self) -> None:
        self.steady = 100.0
        self.brokers = BrokerTime(wall=lambda: START - timedelta(days=1), steady=lambda: self.steady)

    def hint(self, seconds: float, ago: float) -> float:
        """Hear that it was so many seconds after the start; return what time it is then."""
        self.brokers.was(START + timedelta(seconds=seconds), ago)
        return (self.brokers.now() - START).total_seconds()


def test_the_first_hint_counts_however_vague_it_is() -> None:
    clocks = Clocks()
    assert not clocks.brokers.anchored
    assert clocks.hint(5, ago=30) == 5
    assert clocks.brokers.anchored


def test_a_vague_hint_changes_nothing_an_exact_one_does() -> None:
    clocks = Clocks()
    clocks.hint(0, ago=0.01)
    clocks.steady += 10
    assert clocks.hint(8, ago=2) == 10
    assert clocks.hint(9.9, ago=0.01) == 9.9


def test_a_clock_that_was_set_is_noticed_by_a_vague_hint_too() -> None:
    clocks = Clocks()
    clocks.hint(0, ago=0.01)
    clocks.steady += 10
    assert clocks.hint(3600, ago=2) == 3600
    assert clocks.hint(-3600, ago=2) == -3600
