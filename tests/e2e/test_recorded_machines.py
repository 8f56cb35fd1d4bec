"""A year of a hundred real machines makes the same cases whatever happens to the workers on the way."""

import asyncio
import csv
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import orjson
import pytest

from tests.chaos.load import Sent
from tests.chaos.reader import inspect_until_clean, read_topic
from tests.e2e.outsider import DECISIONS, HEALTH, SIGNALS, Sender, rfc3339, signal_headers, stored_cases
from tests.stack import RunningStack

TENANT = "acme"
FILES = (
    ("PdM_errors.csv", "errorID", "raised"),
    ("PdM_failures.csv", "failure", "raised"),
    ("PdM_maint.csv", "comp", "cleared"),
)
SETTLE_SECONDS = 120
SLICES = 100
SEED = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the recording: a machine's fault came, or the part was replaced."""

    id: str
    at: datetime
    device: str
    fault: str
    word: str


@dataclass(slots=True)
class Case:
    """What a case is expected to come to, and what it did."""

    state: str
    count: int
    first_at: datetime
    last_at: datetime
    condition: str


def recorded(folder: Path) -> list[Row]:
    """Return the recording in order of time, at one instant what came before what went."""
    rows = []
    for name, column, word in FILES:
        with (folder / "pdm" / name).open(newline="") as file:
            for line, row in enumerate(csv.DictReader(file)):
                at = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC)
                rows.append(Row(f"{name}-{line}", at, f"machine-{row['machineID']}", row[column], word))
    return sorted(rows, key=lambda row: (row.at, row.word == "cleared"))


def read_naively(rows: Sequence[Row]) -> tuple[dict[str, Case], Counter[str]]:
    """Return the cases that the rows must come to, by id, and how many signals met which decision.

    One case per machine and fault, opened NEW by its first raise; every raise counts. The condition is cleared if and
    only if the latest clear is not earlier than the latest raise. Nobody works on these cases, so the system resolves
    one whenever it clears, at the time of the clear; a later raise takes it up again (IN_PROGRESS). A clear before
    the first raise, or of what is cleared, changes nothing.
    """
    cases: dict[str, Case] = {}
    decisions: Counter[str] = Counter()
    for row in rows:
        id_ = str(uuid5(uuid5(NAMESPACE_URL, "urn:callout"), f"{TENANT}|{row.device}:{row.fault}|1"))
        case = cases.get(id_)
        if row.word == "raised" and case is None:
            cases[id_] = Case("NEW", 1, row.at, row.at, "active")
            decisions["opened first"] += 1
        elif case is None or (row.word == "cleared" and case.condition == "cleared"):
            decisions["refused already_cleared" if case else "refused no_open_case"] += 1
        elif row.word == "raised":
            case.state = "IN_PROGRESS" if case.state == "RESOLVED" else case.state
            case.count, case.last_at, case.condition = case.count + 1, row.at, "active"
            decisions["joined open_case"] += 1
        else:
            case.state, case.condition = "RESOLVED", "cleared"
            decisions["cleared condition"] += 1
    return cases, decisions


async def replay(stack: RunningStack, rows: Sequence[Row], *, seconds: float = 0) -> None:
    """Send all rows, spread over some seconds."""
    started = time.monotonic()
    async with Sender(stack) as sender:
        for part in range(SLICES):
            for row in rows[part * len(rows) // SLICES : (part + 1) * len(rows) // SLICES]:
                body = {
                    "tenant_id": TENANT,
                    "device_id": row.device,
                    "fault": row.fault,
                    "occurred_at": rfc3339(row.at),
                }
                headers = signal_headers(row.word, row.id)
                await sender.send(SIGNALS, body, key=f"{TENANT}/{row.device}", headers=headers)
            await asyncio.sleep(started + seconds * (part + 1) / SLICES - time.monotonic())


async def kill_workers(stack: RunningStack, until: "asyncio.Task[None]") -> Counter[str]:
    """Kill workers at random until something is done."""
    chance = random.Random(SEED)
    killed: Counter[str] = Counter()
    while not until.done():
        await asyncio.sleep(chance.uniform(0.5, 3))
        name = chance.choice(("intake", "workflow"))
        with suppress(ProcessLookupError):  # killed a moment ago and not back yet
            os.kill(chance.choice(stack.pids[name]), signal.SIGKILL)
            killed[name] += 1
    return killed


async def made(stack: RunningStack) -> dict[str, Case]:
    """Return the cases that the system made."""
    return {
        id_: Case(case["state"], *(case["signal"][name] for name in ("count", "first_at", "last_at", "condition")))
        for id_, case in (await stored_cases(stack)).items()
    }


async def assert_all_is_well(stack: RunningStack, rows: Sequence[Row]) -> None:
    """Wait until the cases are as expected, then see what the topics say of each signal."""
    expected, fates = read_naively(rows)
    started = time.monotonic()
    while (cases := await made(stack)) != expected and time.monotonic() - started < SETTLE_SECONDS:
        await asyncio.sleep(0.5)
    wrong = {id_: (expected.get(id_), cases.get(id_)) for id_ in expected.keys() | cases.keys()}
    assert not {id_: pair for id_, pair in wrong.items() if pair[0] != pair[1]}
    await asyncio.sleep(2)  # for what should not come
    assert await made(stack) == expected
    sent = Sent(raised=Counter((TENANT, row.device) for row in rows if row.word == "raised"))
    report = await inspect_until_clean(stack, sent)
    assert report.clean, report
    while (decided := await decisions(stack)) != fates and time.monotonic() - started < 2 * SETTLE_SECONDS:
        await asyncio.sleep(0.5)
    assert decided == fates
    assert decided.total() == len(rows)
    assert not await read_topic(stack.bootstrap_servers, f"{SIGNALS}.dead")
    health = [orjson.loads(record.value) for record in await read_topic(stack.bootstrap_servers, HEALTH)]
    assert not [said for said in health if said["kind"] in {"bug", "stuck", "stale_source"}]


async def decisions(stack: RunningStack) -> Counter[str]:
    """Return how many signals met which decision, and why."""
    decided: Counter[str] = Counter()
    for record in await read_topic(stack.bootstrap_servers, DECISIONS):
        body = orjson.loads(record.value)
        name = dict(record.headers)["ce_type"].decode().split(".")[2]
        decided[f"{name} {body['reason']}"] += body["count"]
    return decided


@pytest.mark.e2e
async def test_a_recorded_year_makes_the_cases_that_a_naive_reader_expects(
    fresh_stack: Callable[..., RunningStack], recorded_data: Path
) -> None:
    rows = recorded(recorded_data)
    stack = fresh_stack("--only", "intake,workflow")
    await replay(stack, rows)
    await assert_all_is_well(stack, rows)


@pytest.mark.e2e
async def test_a_recorded_year_makes_the_same_cases_while_workers_are_killed(
    fresh_stack: Callable[..., RunningStack], recorded_data: Path
) -> None:
    rows = recorded(recorded_data)
    stack = fresh_stack("--only", "intake,workflow", "--workers", "intake=2", "--workers", "workflow=2")
    sending = asyncio.create_task(replay(stack, rows, seconds=45))
    killed = await kill_workers(stack, sending)
    await sending
    assert min(killed["intake"], killed["workflow"]) >= 3
    await assert_all_is_well(stack, rows)
