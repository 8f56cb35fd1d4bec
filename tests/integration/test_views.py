"""Views of cases on the real Kafka and MongoDB: whatever comes again, late, or is cut off, they end up the same."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from pymongo import AsyncMongoClient

from shared.contracts.catalogue import CASE_EVENTS
from tests.builders import AT
from tests.stack import PROJECT, RunningStack, clean_environment
from tests.unit.gateway.events import event, record
from tests.view_parts import Publisher, entries, eventually, fresh, gateway, is_past, serving, views

pytestmark = pytest.mark.integration


@pytest.fixture
async def database(infra: RunningStack) -> AsyncIterator[Any]:
    async with AsyncMongoClient(infra.mongodb_uri, tz_aware=True) as client:
        yield client["callout_gateway"]


@pytest.fixture
async def publish(infra: RunningStack) -> AsyncIterator[Publisher]:
    async with Publisher(infra.bootstrap_servers) as publisher:
        yield publisher


@pytest.mark.seed("S1.1")
async def test_events_become_views_and_histories_and_only_newer_ones_count(infra, database, publish):
    first = fresh(1)
    later = first | {"seq": 2, "version": 2, "state": "IN_PROGRESS", "title": "Bearing"}
    others = [fresh(number) for number in range(50)]
    async with gateway(infra):
        sent = await publish(first, later, *others)
        await eventually(lambda: is_past(infra, sent))
        before = await views(database, [first, *others])
        # The same again, and the older one after the newer: nothing changes.
        sent = await publish(first, later, first, *others)
        await eventually(lambda: is_past(infra, sent))
    assert len(before) == 51
    assert await views(database, [first, *others]) == before
    shown = before[first["id"]]
    assert (shown["seq"], shown["version"], shown["title"]) == (2, 2, "bearing")
    assert json.loads(shown["raw"]) == later
    history = await entries(database, first)
    assert [entry["seq"] for entry in history] == [1, 2]
    assert [entry["value"] for entry in history] == [record(event(case)).value for case in (first, later)]


async def test_a_deleted_case_leaves_the_lists_and_its_view_stays(infra, database, publish):
    case = fresh(1)
    async with gateway(infra):
        sent = await publish(case, case | {"seq": 2, "version": 2, "deleted_at": AT})
        await eventually(lambda: is_past(infra, sent))
    shown = (await views(database, [case]))[case["id"]]
    assert (shown["deleted"], shown["listed"], shown["tenant"]) == (True, None, case["tenant_id"])
    assert len(await entries(database, case)) == 2


async def test_what_cannot_be_read_is_a_dead_letter_and_its_neighbours_are_kept(infra, database, publish):
    case, key = fresh(1), uuid4().hex.encode()
    headers = [("ce_type", b"callout.case.updated.v1"), ("ce_id", b"x")]
    async with gateway(infra):
        sent = [
            await publish.producer.send_and_wait(CASE_EVENTS.name, value, key=key, headers=headers)
            for value in (b"{}", b"no JSON")
        ]
        sent += await publish(case)
        await eventually(lambda: is_past(infra, sent))
    assert await views(database, [case])
    letters: list[Any] = []
    reader = AIOKafkaConsumer(
        f"{CASE_EVENTS.name}.dead",
        bootstrap_servers=infra.bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )

    async def both() -> bool:
        for got in (await reader.getmany(timeout_ms=500)).values():
            letters.extend(each for each in got if each.key == key)
        return len(letters) == 2

    await reader.start()
    try:
        await eventually(both)
    finally:
        await reader.stop()
    assert [letter.value for letter in letters] == [b"{}", b"no JSON"]
    assert [dict(letter.headers)["callout-dead-service"] for letter in letters] == [b"gateway"] * 2


async def test_a_gateway_that_is_killed_in_the_middle_of_its_work_leaves_it_to_the_next(infra, database, publish):
    cases = [fresh(number) for number in range(200)]
    states = [case | {"seq": seq, "version": seq} for seq in range(1, 6) for case in cases]
    environment = {
        **clean_environment(),
        "KAFKA_BOOTSTRAP_SERVERS": infra.bootstrap_servers,
        "MONGODB_URI": infra.mongodb_uri,
        "GATEWAY_SESSION_TIMEOUT_MS": "3000",
        "GATEWAY_MAX_RECORDS": "50",
    }
    program = subprocess.Popen(  # noqa: ASYNC220
        (sys.executable, "-m", "services.gateway"), cwd=PROJECT, env=environment
    )
    try:
        sent = await publish(*states)

        async def some() -> bool:
            return len(await views(database, cases)) > 20

        await eventually(some)
    finally:
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    async with gateway(infra):
        await eventually(lambda: is_past(infra, sent))
    found = await views(database, cases)
    assert (len(found), {each["seq"] for each in found.values()}) == (200, {5})
    ids = {"case_id": {"$in": [case["id"] for case in cases]}}
    assert await (await serving(database, "case_views")).count_documents(ids) == 200
    for case in (cases[0], cases[-1]):
        assert [entry["seq"] for entry in await entries(database, case)] == list(range(1, 6))
