"""A topic is followed as it lies on the broker: committed records only, from any place, in the order of time."""

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.tailing import Edge, Start, Tail
from shared.contracts.fields import rfc3339
from tests.stack import COMMAND, PATIENCE_SECONDS, PROJECT, RunningStack, clean_environment
from tests.transactions import until_marked
from tests.typed import Answer, typed

pytestmark = pytest.mark.integration

PARTITIONS = 3


@pytest.fixture
async def topic(infra: RunningStack) -> str:
    """A topic with `n` 0 to 29 over its partitions, and something that nobody committed."""
    name = f"test.tail.{uuid.uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=infra.bootstrap_servers)
    await admin.start()
    config = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=config)])
    await admin.close()
    await send(infra, name, range(10))
    async with AIOKafkaProducer(bootstrap_servers=infra.bootstrap_servers, transactional_id=name) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(name, b'{"n": -1}', partition=0)
        await producer.abort_transaction()
    await until_marked(infra.bootstrap_servers, name)
    await send(infra, name, range(10, 30))
    return name


async def send(infra: RunningStack, topic: str, numbers: Sequence[int]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=infra.bootstrap_servers) as producer:
        for n in numbers:
            await producer.send_and_wait(topic, b'{"n": %d}' % n, partition=n % PARTITIONS)
            time.sleep(0.002)  # noqa: ASYNC251 - so that each has a time of its own


def in_process(infra: RunningStack, *words: str) -> Answer:
    return typed("--env", str(infra.file), "tail", *words)


async def read(infra: RunningStack, topic: str, start: Start, **parts: Any) -> list[Any]:
    async with Tail(infra.bootstrap_servers, topic, **parts) as tail:
        return [record async for record in tail.records(start, follow=False)]


def numbers(records: Sequence[Any]) -> list[int]:
    return [json.loads(record.value)["n"] for record in records]


async def test_what_is_there_comes_in_the_order_of_time_and_only_if_committed(infra: RunningStack, topic: str) -> None:
    assert numbers(await read(infra, topic, Edge.BEGINNING)) == list(range(30))
    assert numbers(await read(infra, topic, Edge.END)) == []


async def test_it_begins_at_an_offset_or_a_time(infra: RunningStack, topic: str) -> None:
    everything = await read(infra, topic, Edge.BEGINNING)
    # Partition 0 has two offsets more, of what was aborted.
    assert numbers(await read(infra, topic, 8, partitions=[1])) == [25, 28]
    assert numbers(await read(infra, topic, 10**9)) == []
    at = datetime.fromtimestamp(everything[20].timestamp / 1000, tz=UTC)
    assert numbers(await read(infra, topic, at)) == list(range(20, 30))
    assert numbers(await read(infra, topic, datetime(2100, 1, 1, tzinfo=UTC))) == []


async def test_following_goes_on_with_what_comes(infra: RunningStack, topic: str) -> None:
    async with Tail(infra.bootstrap_servers, topic) as tail:
        records = tail.records(Edge.BEGINNING, follow=True)
        assert numbers([await anext(records) for _ in range(30)]) == list(range(30))
        await send(infra, topic, range(30, 33))
        assert sorted(numbers([await anext(records) for _ in range(3)])) == [30, 31, 32]


def some_signals(infra: RunningStack) -> str:
    """Let a fleet send some; return from when on they are there, after what other tests left."""
    began = rfc3339(datetime.now(UTC))
    done = infra.callout("fleet", "--signals", "20", "--rate", "0", "--storms", "0", "--flapping", "0", "--seed", "1")
    assert done.code == 0, done.stderr
    return began


def test_lines_of_json_have_all_of_a_record_and_stop_at_the_limit(infra: RunningStack) -> None:
    began = some_signals(infra)
    answer = in_process(infra, "device.signals.v1", "--from", began, "--json", "--type", "raised", "-n", "2")
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert (answer.code, len(lines)) == (0, 2)
    for line in lines:
        assert line["key"] == f"{line['data']['tenant_id']}/{line['data']['device_id']}"
        assert line["tenants"] == [line["data"]["tenant_id"]]
        assert line["headers"]["ce_type"] == line["type"] == "callout.signal.raised.v1"


def test_people_see_a_heading_and_the_body_or_one_line(infra: RunningStack) -> None:
    words = ("device.signals.v1", "--from", some_signals(infra), "--no-follow", "-n", "1")
    whole = in_process(infra, *words).stdout
    brief = in_process(infra, *words, "--brief").stdout
    assert '\n  "device_id": "' in whole.replace("    ", "  ")
    assert len(brief.splitlines()) == 1
    assert brief.split("  ")[2] in whole


def test_what_cannot_be_followed_is_told(infra: RunningStack) -> None:
    assert "case.events.v1" in in_process(infra, "case.events").stderr
    assert in_process(infra, "nothing.at.all").code == 2
    assert "neither beginning" in in_process(infra, "case.events.v1", "--from", "dawn").stderr
    assert "partitions 0 to 11" in in_process(infra, "case.events.v1", "--partition", "12").stderr


@pytest.fixture
def follower(infra: RunningStack) -> subprocess.Popen[str]:
    words = ("--env", str(infra.file), "tail", "device.signals.v1", "--from", "beginning", "--json")
    some_signals(infra)
    return subprocess.Popen(
        (*COMMAND, *words),
        cwd=PROJECT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_following_ends_well_by_an_interrupt(follower: subprocess.Popen[str]) -> None:
    with follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["topic"] == "device.signals.v1"
        follower.send_signal(signal.SIGINT)
        _, complaints = follower.communicate(
            timeout=PATIENCE_SECONDS
        )  # reads on: nobody ends while a full pipe holds them
        assert (follower.returncode, complaints) == (0, "")


def test_following_ends_well_when_nobody_reads_any_more(follower: subprocess.Popen[str]) -> None:
    with follower:
        assert follower.stdout is not None
        follower.stdout.readline()
        follower.stdout.close()
        assert (follower.wait(PATIENCE_SECONDS), follower.stderr and follower.stderr.read()) == (0, "")
