"""Lag is measured against the cluster as it is, not as it was declared."""

import json
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from deploy.consumer_lag import LagMeter
from deploy.topics import Topic
from tests.e2e.outsider import until
from tests.stack import COMMAND, PATIENCE_SECONDS, PROJECT, RunningStack, clean_environment
from tests.transactions import until_marked

pytestmark = pytest.mark.integration


@pytest.fixture
async def admin(infra: RunningStack) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=infra.bootstrap_servers)
    await admin.start()
    yield admin
    await admin.close()


async def send_one_to_each(infra: RunningStack, topic: str, *partitions: int, transactional: bool = False) -> None:
    name = uuid.uuid4().hex if transactional else None
    producer = AIOKafkaProducer(bootstrap_servers=infra.bootstrap_servers, transactional_id=name)
    async with producer:
        if transactional:
            await producer.begin_transaction()
        for partition in partitions:
            await producer.send_and_wait(topic, b"x", partition=partition)
        if transactional:
            await producer.abort_transaction()


async def test_partitions_are_those_of_the_cluster_and_their_growth_is_noticed(
    infra: RunningStack, admin: AIOKafkaAdminClient
) -> None:
    name = f"test.lag.{uuid.uuid4().hex}"
    declared = Topic(name=name, partitions=7, config={}, heard_by=("tester",))
    missing = Topic(name=f"{name}.missing", partitions=7, config={}, heard_by=("tester",))
    async with LagMeter(infra.bootstrap_servers, services=["tester"], topics=[declared, missing]) as meter:
        assert await meter.measure() == []
        await admin.create_topics([NewTopic(name, 2, 1)])
        await send_one_to_each(infra, name, 0, 1, 1)
        [lag] = await meter.measure()
        assert (lag.lag, dict(lag.by_partition)) == (3, {0: 1, 1: 2})
        await admin.create_partitions({name: NewPartitions(3)})
        await until(lambda: grown(admin, name, 3), what="the broker knows of its third partition")
        await send_one_to_each(infra, name, 2)
        [lag] = await meter.measure()
        assert (lag.lag, dict(lag.by_partition)) == (4, {0: 1, 1: 2, 2: 1})


async def grown(admin: AIOKafkaAdminClient, name: str, count: int) -> bool:
    """Tell whether the broker knows of so many partitions: it is told a moment after who asked for them."""
    [topic] = await admin.describe_topics([name])
    return len(topic["partitions"]) == count


async def test_what_nobody_committed_is_no_lag(infra: RunningStack, admin: AIOKafkaAdminClient) -> None:
    name = f"test.lag.{uuid.uuid4().hex}"
    await admin.create_topics([NewTopic(name, 1, 1)])
    await send_one_to_each(infra, name, 0, transactional=True)
    await until_marked(infra.bootstrap_servers, name)
    topic = Topic(name=name, partitions=1, config={}, heard_by=("tester",))
    async with LagMeter(infra.bootstrap_servers, services=["tester"], topics=[topic]) as meter:
        [lag] = await meter.measure()
    assert (lag.end, lag.lag) == (2, 0)


def test_watching_goes_on_until_it_is_interrupted_and_ends_well(infra: RunningStack) -> None:
    words = ("--env", str(infra.file), "lag", "--watch", "--json", "--seconds", "0.2")
    with subprocess.Popen(
        (*COMMAND, *words), cwd=PROJECT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        lines = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        _, complaints = watching.communicate(timeout=PATIENCE_SECONDS)
        assert (watching.returncode, complaints) == (0, b"")
    heard = {(row["service"], row["topic"]) for row in lines[-1]}
    assert heard >= {("intake", "device.signals.v1"), ("workflow", "case.commands.v1"), ("gateway", "case.events.v1")}
    assert {len(row["partitions"]) for row in lines[-1]} == {12}
