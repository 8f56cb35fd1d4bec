"""The embedded stack as a user runs it: real servers, killed, moved, stopped and started again."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from pymongo import AsyncMongoClient, WriteConcern

from deploy.embedded.data_folder import LOOPBACK
from shared.contracts.catalogue import OPS_HEALTH
from tests.chaos.reader import read_topic
from tests.stack import RunningStack, callout, is_alive, nothing_left

pytestmark = pytest.mark.integration

TOPIC = "ops.audit.v1"
#: Other tests write there too.
KEY = b"acknowledged"
Start = Callable[..., RunningStack]


async def write(stack: RunningStack, count: int, *, start: int = 0) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=stack.bootstrap_servers, acks="all", enable_idempotence=True
    ) as producer:
        sends = [await producer.send(TOPIC, str(number).encode(), key=KEY) for number in range(start, start + count)]
        for send in sends:
            await send
    async with AsyncMongoClient(stack.mongodb_uri) as client:
        things = client.test.get_collection("things", write_concern=WriteConcern(w="majority", j=True))
        await things.insert_many([{"_id": number} for number in range(start, start + count)])


async def read(stack: RunningStack) -> tuple[list[int], list[int]]:
    async with AsyncMongoClient(stack.mongodb_uri) as client:
        documents = [document["_id"] async for document in client.test.things.find()]
    records = await read_topic(stack.bootstrap_servers, TOPIC)
    return sorted(int(record.value) for record in records if record.key == KEY), sorted(documents)


async def test_what_was_acknowledged_survives_kill_and_the_restarts_are_told(infra: RunningStack) -> None:
    await write(infra, 1_000)
    dead = {"kafka": infra.kill_kafka(), "mongodb": infra.kill_mongodb()}
    for name, pid in dead.items():
        infra.wait_for_restart(name, pid)
    for name in dead:
        infra.wait_for_server(name)
    await write(infra, 10, start=1_000)
    assert await read(infra) == (list(range(1_010)), list(range(1_010)))
    async with asyncio.timeout(90):
        while await told_restarts(infra) != {name: infra.pids[name][0] for name in dead}:
            await asyncio.sleep(0.2)


async def told_restarts(stack: RunningStack) -> dict[str, int | None]:
    model = OPS_HEALTH.types["callout.ops.health.v1"]
    records = await read_topic(stack.bootstrap_servers, OPS_HEALTH.name)
    told = [model.validate_json(record.value) for record in records]
    return {health.service: health.pid for health in told if health.kind == "restarted"}


async def test_a_stopped_stack_leaves_no_process_and_comes_back_with_its_data(fresh_stack: Start) -> None:
    stack = fresh_stack("--only", "infra")
    await write(stack, 100)
    before = stack.values
    with nothing_left(*(pid for pids in stack.pids.values() for pid in pids)):
        assert stack.stop() == 0
    assert not stack.file.exists()
    stack.start()
    assert stack.bootstrap_servers == before["KAFKA_BOOTSTRAP_SERVERS"]
    assert stack.mongodb_uri == before["MONGODB_URI"]
    assert await read(stack) == (list(range(100)), list(range(100)))
    stack.stop()
    with occupied(before["KAFKA_BOOTSTRAP_SERVERS"]), occupied(before["MONGODB_URI"].split("/")[2]):
        stack.start()
        assert stack.bootstrap_servers != before["KAFKA_BOOTSTRAP_SERVERS"]
        assert stack.mongodb_uri != before["MONGODB_URI"]
        await write(stack, 1, start=100)
        assert await read(stack) == (list(range(101)), list(range(101)))


async def test_nothing_outlives_a_killed_up_and_the_next_one_finds_the_data(fresh_stack: Start) -> None:
    stack = fresh_stack("--only", "infra")
    await write(stack, 100)
    with nothing_left(*(pid for pids in stack.pids.values() for pid in pids)):
        stack.kill_supervisor()
    stack.start()
    assert await read(stack) == (list(range(100)), list(range(100)))


def test_a_second_up_on_the_same_data_is_refused_and_harms_nothing(infra: RunningStack) -> None:
    refused = callout("up", "--only", "infra", "--data-dir", str(infra.data), "--write-env", str(infra.file))
    assert refused.returncode == 2
    assert f"in use by a running stack (process {infra.supervisor_pid})" in refused.stderr
    assert infra.file.exists()
    assert all(is_alive(pid) for pids in infra.pids.values() for pid in pids)


def test_all_listens_on_the_loopback_only(infra: RunningStack) -> None:
    for pids in infra.pids.values():
        for pid in pids:
            listening = [each for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_LISTEN]
            assert {each.laddr.ip.removeprefix("::ffff:") for each in listening} == {LOOPBACK}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--only", "nonsense"), "nonsense"),
        (("--workers", "intake"), "NAME=N"),
        (("--workers", "intake=0"), "NAME=N"),
        (("--only", "infra", "--workers", "intake=2"), "NAME=N"),
    ],
)
def test_wrong_usage_is_refused(arguments: tuple[str, ...], word: str) -> None:
    refused = callout("up", *arguments, environment={"COLUMNS": "200"})
    assert refused.returncode == 2
    assert word in refused.stderr


def test_a_command_without_a_stack_says_what_to_do() -> None:
    failed = callout("--env", "/nowhere/env", "topics", "diff")
    assert failed.returncode == 3
    assert "callout up" in failed.stderr
    nobody = {"KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:1", "MONGODB_URI": f"mongodb://{LOOPBACK}:1"}
    failed = callout("topics", "diff", environment=nobody)
    assert failed.returncode == 3
    assert "callout up" in failed.stderr


def occupied(address: str) -> socket.socket:
    host, port = address.split(":")
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):  # then somebody else has it already
        holder.bind((host, int(port)))
        holder.listen()
        threading.Thread(target=turn_away, args=(holder,), daemon=True).start()
    return holder


def turn_away(holder: socket.socket) -> None:
    """Close every connection at once: who asks a port that is silent waits for half a minute."""
    with contextlib.suppress(OSError):  # closed
        while True:
            holder.accept()[0].close()


def test_its_own_servers_are_not_started_where_others_are_named(infra: RunningStack, fresh_stack: Start) -> None:
    servers = {"KAFKA_BOOTSTRAP_SERVERS": infra.bootstrap_servers, "MONGODB_URI": infra.mongodb_uri}
    stack = fresh_stack("--only", "infra", **servers)
    assert not {"kafka", "mongodb"} & set(stack.pids)
    assert {name: stack.values[name] for name in servers} == servers
