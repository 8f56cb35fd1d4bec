"""Nothing is lost and nothing is doubled, whatever dies."""

import asyncio
import json
import os
import time
from collections.abc import Callable

import pytest

from tests.chaos.blows import Blows
from tests.chaos.load import HASTY, HASTY_SECONDS, TENANTS, Load, Sent
from tests.chaos.reader import counts, inspect, still_due
from tests.stack import PATIENCE_SECONDS, RunningStack

BLOWS = int(os.environ.get("CHAOS_BLOWS", "25"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
QUIET_SECONDS = 60
PROMISE_HOURS = {"first_response_hours": 0.0008, "resolution_hours": 0.0015}
PROMISES = dict.fromkeys(("blocker", "high", "medium", "low", "trivial"), PROMISE_HOURS)
#: What must have happened, or the run says nothing about it; rarer things happen in most runs.
WANTED = {
    *("created", "occurred", "occurrences_returned", "assigned", "started", "held", "resolved", "closed", "reopened"),
    *("cancelled", "archived", "deleted", "escalated", "shared", "note_added", "tagged", "watched", "attached"),
    *("merged", "unmerged", "linked", "unlinked", "closed by itself", "archived by itself"),
}
BY_THEMSELVES = {f"{name}_hours": HASTY_SECONDS / 3600 for name in ("auto_close_working", "auto_archive")}
FAST = {"INTAKE_RETRY_FOR_SECONDS": "20", "WORKFLOW_RETRY_FOR_SECONDS": "20"}


def tenants() -> str:
    """Return what tenants set: promises that are broken within seconds, then escalated, and a maker to share with."""
    body = {
        "settings": {"default": {"auto_escalate": ["resolution"]}},
        "sla": {"default": {"targets": PROMISES}},
        "counterpart": {"maker": {}},
    }
    hasty = body | {"settings": {"default": {**body["settings"]["default"], **BY_THEMSELVES}}}
    each = ({"tenant": tenant, **(hasty if tenant == HASTY else body)} for tenant in TENANTS)
    return "\n---\n".join(map(json.dumps, each))


async def quiet(stack: RunningStack, sent: Sent, *, due_within: float = 0) -> float:
    """Wait until every signal is counted, and nothing is due (soon); return how long that took."""
    started = time.monotonic()
    while time.monotonic() - started < QUIET_SECONDS:
        counted = sum((await counts(stack.mongodb_uri)).values()) == sum(sent.raised.values())
        if counted and not await still_due(stack.mongodb_uri, due_within):
            await asyncio.sleep(2)  # for what is decided but not yet told
            break
        await asyncio.sleep(1)
    return time.monotonic() - started


@pytest.mark.chaos
@pytest.mark.timeout(300 + BLOWS * 20)
async def test_blows_under_load_lose_nothing_and_double_nothing(fresh_stack: Callable[..., RunningStack]) -> None:
    stack = fresh_stack("--only", "intake,workflow,gateway", "--workers", "intake=2", "--workers", "workflow=2", **FAST)
    file = stack.folder / "tenants.yaml"
    file.write_text(tenants())
    assert stack.callout("config", "apply", str(file)).code == 0
    load = Load(stack.bootstrap_servers, seed=SEED)
    running = asyncio.create_task(load.run())
    blows = Blows(stack, seed=SEED)
    await asyncio.sleep(2)
    await blows.deal(BLOWS)
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while WANTED - load.seen:  # where all goes slowly, people have not come to all of it yet
            await asyncio.sleep(0.1)
    load.stopping.set()
    sent = await running
    seconds = await quiet(stack, sent, due_within=10)
    verified = stack.callout("verify", "--settle", "60")
    report = await inspect(stack.bootstrap_servers, stack.mongodb_uri, sent, timed=True)
    print(f"\n{report.events} events, {dict(blows.dealt)}, quiet {seconds:.1f} s\n{dict(report.seen)}")  # noqa: T201 - for make chaos -s
    assert not report.wrong, json.dumps(report.wrong, indent=1, default=str)
    assert verified.code == 0, verified
    assert json.loads(verified.stdout)["shared"]["events"] > 0
    assert sum(blows.dealt.values()) == BLOWS
    assert WANTED - report.seen.keys() == set()
