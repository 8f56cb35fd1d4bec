"""Case numbers: drawn in blocks, enough for every unit, none used twice."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.workflow.handlers import Commands
from shared.contracts.commands import Create
from shared.testing import MemoryDocuments
from tests.unit.workflow.builders import START


class SlowDocuments(MemoryDocuments):
    """A store whose answers let others go first."""

    async def draw(self, name: str, amount: int, *, start: int = 0) -> int:
        """Draw, after everybody else had a turn."""
        for _ in range(5):
            await asyncio.sleep(0)
        return await super().draw(name, amount, start=start)


def creates(partition: int, count: int) -> list[Any]:
    return [
        SimpleNamespace(data=Create.model_construct(), place=f"case.commands.v1/{partition}/{offset}", now=START)
        for offset in range(count)
    ]


@pytest.mark.parametrize("sizes", [[60, 250, 140], [1] * 12, [300, 20, 300, 20], [100, 100, 99, 101]])
async def test_units_that_prepare_side_by_side_all_get_numbers_and_none_twice(sizes: list[int]) -> None:
    room = Commands(SlowDocuments())
    for round_ in range(3):
        batches = [creates(100 * round_ + partition, count) for partition, count in enumerate(sizes)]
        await asyncio.gather(*(room.prepare(cast("Any", batch)) for batch in batches))
    assert len(set(room._numbers.values())) == 3 * sum(sizes)
