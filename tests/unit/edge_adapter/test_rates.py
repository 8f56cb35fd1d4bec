"""A device may say so much at once and so much a second, and its neighbours are not touched."""

from services.edge_adapter.domain.rates import REMEMBERED, Rates


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    rates = Rates(per_second=10, burst=5)
    assert [rates.take("d", 0.0) for _ in range(5)] == [None] * 5
    assert rates.take("d", 0.0) == 0.1
    assert rates.take("d", 0.1) is None
    assert rates.take("d", 0.15) is not None
    assert rates.take("neighbour", 0.15) is None


def test_a_bucket_holds_no_more_than_the_burst() -> None:
    rates = Rates(per_second=10, burst=2)
    assert rates.take("d", 0.0) is None
    assert [rates.take("d", 1000.0) for _ in range(3)] == [None, None, 0.1]


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    rates = Rates(per_second=1, burst=1)
    assert rates.take("d", 10.0) is None
    assert rates.take("d", 5.0) == 1.0
    assert rates.take("d", 10.5) == 0.5


def test_processes_share_what_a_device_may_say() -> None:
    half = Rates(per_second=10, burst=10)
    half.share(0.5)
    assert [rates is None for rates in (half.take("d", 0.0) for _ in range(6))] == [True] * 5 + [False]
    none = Rates(per_second=10, burst=10)
    none.share(0.0)
    assert none.take("d", 0.0) is None, "one message that comes all the same is not refused for ever"


def test_memory_is_bounded() -> None:
    rates = Rates(per_second=1, burst=1)
    for device in range(REMEMBERED + 10):
        rates.take(str(device), 0.0)
    assert len(rates._buckets) == REMEMBERED
