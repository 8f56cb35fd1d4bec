"""A small burst of timers on a real service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.backlog import Servers
from tests.bench.due import burst_of
from tests.bench.throughput import Sizes
from tests.stack import RunningStack

pytestmark = [pytest.mark.bench, pytest.mark.integration]


async def test_timers_due_at_once_go_off_once_each_and_keep_nobody_waiting(
    fresh_stack: Callable[..., RunningStack], tmp_path: Path
) -> None:
    stack = fresh_stack("--only", "infra")
    burst = await burst_of(Servers(stack.bootstrap_servers, stack.mongodb_uri, tmp_path), 1_500, Sizes.quick())
    assert burst.told == burst.timers
    # Whether a crowded machine stood still for once is not what is asked here.
    assert sorted(burst.meanwhile)[len(burst.meanwhile) // 2] < 5
    assert max(burst.meanwhile) < 30
