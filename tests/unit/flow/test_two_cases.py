"""Two cases, one writer each, on bad days: merging and families beside signals; in the end all knowledge fits."""

import asyncio
import os
from collections import Counter
from typing import Any

import orjson
import pytest

from services.intake import store as keys
from services.workflow import store
from services.workflow.domain import Case
from shared.contracts.envelope import Message
from tests.unit.flow.simulation import World, run
from tests.unit.flow.test_flow import PARTITIONS, build, live, silence, wrong
from tests.unit.workflow.village import misfits

__all__ = ["silence"]

SCHEDULES = int(os.environ.get("FLOW_SCHEDULES", "40")) // 4
COMMANDS = 60
SEEN: Counter[str] = Counter()


async def tie(world: World, sent: set[str]) -> None:
    """People merge cases, part them, make them parents, and end them, whatever they are just then."""
    r = world.trouble.random
    for number in range(COMMANDS):
        await asyncio.sleep(r.random())
        known = sorted({record.key.decode() for record in world.broker.records("case.events.v1") if record.key})
        if len(known) < 2:
            continue
        one, other = r.sample(known[:6], 2) if len(known) > 6 else r.sample(known, 2)
        name, arguments = r.choice(
            (
                ("merge", {"into": other}),
                ("merge", {"into": other}),
                ("unmerge", {}),
                ("link", {"kind": "parent", "id": other}),
                ("link", {"kind": "parent", "id": other}),
                ("unlink", {"kind": "parent", "id": other}),
                ("unlink", {"kind": "child", "id": other}),
                ("close", {}),
                ("reopen", {"reason": "x"}),
                ("archive", {}),
            )
        )
        actor = {"id": "dora", "role": "dispatcher", "tenant_id": "acme"}
        body = {"case_id": one, "tenant_id": "acme", "actor": actor, **arguments}
        headers = (("ce_type", f"callout.case.{name}.v1".encode()), ("ce_id", f"command-{number}".encode()))
        message = Message("case.commands.v1", one.encode(), orjson.dumps(body), headers)
        world.broker.append(message, r.randrange(PARTITIONS) if r.random() < 0.1 else None)
        sent.add(f"command-{number}")


def cases_of(world: World) -> dict[str, Case]:
    """Return the cases as they are stored."""
    _, documents = world.rooms["commands"]
    return {name: store.from_document(document) for name, document in documents.stored.items()}


def strangers(world: World, cases: dict[str, Case]) -> list[str]:
    """Return keys whose signals go to a case that does not count them, or that forgot a case which does."""
    found = []
    for document in world.rooms["signals"][1].stored.values():
        key = keys.from_document(document)
        case = cases.get(key.case_id) if isinstance(key, keys.Key) else None
        if case is not None and key.open != (case.ended_at is None):
            found.append(f"{key.dedup_key} is open: {key.open}, its case ended at {case.ended_at}")
    return found


def day(seed: int, *, crash: float = 0.02, fail: float = 0.03) -> list[str]:
    world = build(seed, crash=crash, fail=fail)
    raised: Counter[str] = Counter()
    commands: set[str] = set()
    run(live(world, raised, commands, work=tie), world.broker.loop)
    SEEN.update(
        dict(record.headers)["ce_type"].decode().split(".")[2] for record in world.broker.records("case.events.v1")
    )
    cases = cases_of(world)
    return [*wrong(world, raised, commands), *misfits(cases), *strangers(world, cases)]


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_bad_day_leaves_no_two_cases_of_different_minds(seed: int) -> None:
    assert day(seed) == []


def test_the_days_above_had_something_of_everything() -> None:
    wanted: Any = {"linked", "unlinked", "merged", "unmerged", "ended_with_target", "reopened_with_target"}
    assert all(SEEN[name] > 0 for name in wanted), SEEN
