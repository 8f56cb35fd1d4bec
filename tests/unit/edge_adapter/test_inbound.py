"""Acknowledgements: at once, or in the order in which messages came; never on another connection."""

import pytest

from services.edge_adapter.inbound import Acknowledgements


class Connection:
    """What went to the broker."""

    def __init__(self, *, in_order: bool) -> None:
        self.sent: list[int] = []
        self.acknowledgements = Acknowledgements(self.sent.append, in_order=in_order)

    def hears(self, *packets: int) -> "Connection":
        for packet in packets:
            self.acknowledgements.heard(packet)
        return self

    def acknowledges(self, *packets: int, connection: int = 0) -> list[int]:
        for packet in packets:
            self.acknowledgements.acknowledge((connection, packet))
        return self.sent


@pytest.mark.parametrize(("in_order", "after_two"), [(False, [3, 1]), (True, [1])])
def test_the_order_is_kept_only_where_it_is_asked_for(in_order: bool, after_two: list[int]) -> None:
    connection = Connection(in_order=in_order).hears(1, 2, 3)
    assert connection.acknowledges(3, 1) == after_two
    assert sorted(connection.acknowledges(2)) == [1, 2, 3]
    assert connection.sent == ([1, 2, 3] if in_order else [3, 1, 2])


@pytest.mark.parametrize("in_order", [False, True])
def test_what_came_by_an_earlier_connection_or_without_a_number_is_not_acknowledged(in_order: bool) -> None:
    connection = Connection(in_order=in_order).hears(1, 0)
    connection.acknowledgements.begin()
    assert connection.hears(1).acknowledges(1) == []
    assert connection.acknowledges(0, 1, connection=1) == [1]


def test_in_order_nothing_is_acknowledged_twice() -> None:
    assert Connection(in_order=True).hears(1, 2).acknowledges(1, 1, 2, 2) == [1, 2]
