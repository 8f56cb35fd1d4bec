"""Nothing is lost and nothing is doubled, whatever dies."""

import asyncio
import json
import os
import time
from collections.abc import Callable

import pytest

from tests.chaos.blows import Blows
from tests.chaos.load import COUNTERPARTS, Load, Sent
from tests.chaos.reader import counts, inspect
from tests.stack import RunningStack

BLOWS = int(os.environ.get("CHAOS_BLOWS", "25"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
QUIET_SECONDS = 60
FAST = {"INTAKE_RETRY_FOR_SECONDS": "20", "WORKFLOW_RETRY_FOR_SECONDS": "20"}


async def quiet(stack: RunningStack, sent: Sent) -> float:
    """Wait until every signal is counted; return how long that took."""
    started = time.monotonic()
    while time.monotonic() - started < QUIET_SECONDS:
        if sum((await counts(stack.mongodb_uri)).values()) == sum(sent.raised.values()):
            await asyncio.sleep(2)  # for what is decided but not yet told
            break
        await asyncio.sleep(1)
    return time.monotonic() - started


@pytest.mark.chaos
@pytest.mark.timeout(60 + BLOWS * 20)
async def test_blows_under_load_lose_nothing_and_double_nothing(fresh_stack: Callable[..., RunningStack]) -> None:
    stack = fresh_stack("--workers", "intake=2", "--workers", "workflow=2", **FAST)
    tenants = stack.folder / "tenants.yaml"
    tenants.write_text(COUNTERPARTS)
    assert stack.callout("config", "apply", str(tenants)).returncode == 0
    load = Load(stack.bootstrap_servers, seed=SEED)
    running = asyncio.create_task(load.run())
    blows = Blows(stack, seed=SEED)
    await asyncio.sleep(2)
    await blows.deal(BLOWS)
    load.stopping.set()
    sent = await running
    seconds = await quiet(stack, sent)
    report = await inspect(stack.bootstrap_servers, stack.mongodb_uri, sent)
    print(f"\n{report.events} events, {dict(blows.dealt)}, quiet {seconds:.1f} s")  # noqa: T201 - for make chaos -s
    assert report.clean, report
    assert sum(blows.dealt.values()) == BLOWS
    verified = stack.callout("verify")
    assert verified.returncode == 0, verified
    assert json.loads(verified.stdout)["shared"]["events"] > 0
