"""Time does its part on the running system: promises are told of, broken ones escalated, settings followed at once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.outsider import COMMANDS, EVENTS, Listener, Sender, cloudevent, until
from tests.stack import RunningStack

pytestmark = [pytest.mark.e2e]
SLA, RELIABILITY = "ops.sla.v1", "ops.reliability.v1"
CASES = 200
QUICK = """\
tenant: quick
settings: {default: {auto_escalate: [resolution]}}
sla:
  default: {targets: {medium: {first_response_hours: 0.001, resolution_hours: 0.002}}}
"""
LATER = "tenant: later\nsla: {default: {targets: {medium: {first_response_hours: 0.0001, resolution_hours: 0.0002}}}}\n"


def apply(stack: RunningStack, folder: Path, text: str) -> None:
    path = folder / "tenant.yaml"
    path.write_text(text)
    done = stack.callout("config", "apply", str(path))
    assert done.code == 0, done.stderr


async def say(sender: Sender, name: str, tenant: str, case_id: str, **arguments: Any) -> None:
    actor = {"id": "ann", "role": "agent", "tenant_id": tenant}
    body = {"case_id": case_id, "tenant_id": tenant, "actor": actor, **arguments}
    headers = cloudevent(f"callout.case.{name}.v1", str(uuid4()))
    await sender.send(COMMANDS, body, key=case_id, headers=headers)


def shares(listener: Listener, tenant: str) -> Counter[Any]:
    bodies = (body for body in listener.bodies(SLA) if body["tenant_id"] == tenant)
    return Counter((body["case_id"], body["clock"], body["percent"]) for body in bodies)


def models(listener: Listener) -> dict[str, Any]:
    return {body["model"]: body for body in listener.bodies(RELIABILITY) if "total" in body}


def names(listener: Listener) -> Counter[str]:
    return Counter(dict(record.headers)["ce_type"].decode().split(".")[2] for record in listener.heard[EVENTS])


async def test_what_is_due_happens_once_whatever_dies_and_settings_are_followed(fresh_stack, tmp_path):
    stack = fresh_stack("--only", "intake,workflow", WORKFLOW_CLOCK_INTERVAL_SECONDS="0.2")
    ids, waiting = [str(uuid4()) for _ in range(CASES)], str(uuid4())
    async with Listener(stack, EVENTS, SLA, RELIABILITY) as heard, Sender(stack) as sender:
        await say(sender, "create", "later", waiting, case={"title": "Waits"})
        apply(stack, tmp_path, QUICK)
        for number, id_ in enumerate(ids):
            await say(sender, "create", "quick", id_, case={"title": "Hot", "machine": {"model": f"X{number % 2}"}})
        await sender.flush()
        await until(lambda: len(shares(heard, "quick")) > CASES)
        stack.kill("workflow")
        await until(lambda: len(shares(heard, "quick")) == 6 * CASES)
        assert shares(heard, "later") == Counter()
        apply(stack, tmp_path, LATER)
        await until(lambda: len(shares(heard, "later")) == 6, what="timed anew, though nobody touched the case")
        for id_ in (*ids[:10], waiting):
            await say(sender, "close", "quick" if id_ != waiting else "later", id_)
        await sender.flush()
        ended = {"X0": 5, "X1": 5, "(none)": 1}
        await until(lambda: {model: body["total"]["closed"] for model, body in models(heard).items()} == ended)
        expected = {"created": CASES + 1, "escalated": CASES, "closed": 11}
        await until(lambda: names(heard).total() >= sum(expected.values()), what="every event")
        assert models(heard)["X0"]["in_month"]["mean"]["resolve"]["count"] == 5
        assert models(heard)["X0"]["total"]["resolution_missed"] == 5
        assert set((shares(heard, "quick") + shares(heard, "later")).values()) == {1}
        assert names(heard) == expected
    verified = json.loads(stack.callout("verify", "--settle", "60", "--json").stdout)
    wrong = ("lost", "doubled", "gaps", "edited")
    assert {name: verified[name] for name in wrong} == dict.fromkeys(wrong, 0)
