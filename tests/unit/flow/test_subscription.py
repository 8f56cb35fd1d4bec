"""A round works on the partitions that have records, and lets no position of the others lie for long."""

from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from shared.flow.subscription import Subscription
from shared.metrics import FlowFigures


class FakeUnit:
    """A unit that notes what it is asked for."""

    def __init__(self, *, overdue: bool) -> None:
        self.overdue = overdue
        self.log: list[Any] = []

    async def run(self, records: Sequence[Any]) -> int:
        self.log.append(list(records))
        return len(records)

    async def flush(self) -> None:
        self.log.append("flushed")


async def test_while_others_work_a_quiet_partition_commits_what_it_has_left() -> None:
    places = [TopicPartition("t", number) for number in range(3)]
    subscription: Any = Subscription.__new__(Subscription)
    subscription.units = dict(zip(places, (FakeUnit(overdue=late) for late in (True, True, False)), strict=True))
    subscription._figures = FlowFigures("test", "t")
    assert await subscription._work_off({places[0]: []}) == 0
    assert [unit.log for unit in subscription.units.values()] == [[[]], ["flushed"], []]
    assert await subscription._work_off({}) == 0
