"""Topics of counterparts on a real broker: made when a counterpart appears, and again when one was deleted."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.topic_admin import TopicAdmin
from deploy.topics import Catalogue
from services.workflow.shared_topics import CounterpartTenancy, SharedTopics
from shared.contracts.catalogue import shared_topic
from shared.contracts.envelope import Message
from shared.errors import OwnershipLost, TransientError
from shared.flow.teller import Teller
from tests.stack import RunningStack

pytestmark = pytest.mark.integration
APPEARS_SECONDS = 60


@pytest.fixture
async def topics(infra: RunningStack) -> AsyncIterator[SharedTopics]:
    topics = SharedTopics(infra.bootstrap_servers)
    await topics.start()
    yield topics
    await topics.stop()


def fresh_tenant() -> str:
    return f"maker-{time.time_ns()}"


async def partitions(infra: RunningStack, name: str) -> int | None:
    async with TopicAdmin(infra.bootstrap_servers) as admin:
        return (await admin.partition_counts()).get(name)


async def appears(infra: RunningStack, name: str) -> int:
    async with asyncio.timeout(APPEARS_SECONDS):
        while (count := await partitions(infra, name)) is None:
            await asyncio.sleep(0.1)
    return count


async def delete(infra: RunningStack, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=infra.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([name])
    await admin.close()
    async with asyncio.timeout(APPEARS_SECONDS):
        while await partitions(infra, name) is not None:
            await asyncio.sleep(0.1)


async def test_the_topic_is_made_as_declared_when_the_counterpart_is_heard_of(infra, topics):
    tenant, absent = fresh_tenant(), fresh_tenant()
    tenancy = CounterpartTenancy(["counterpart"], topics.want)
    tenancy.hear("acme", "counterpart", absent, b'{"onboarded": false}', datetime.now(UTC))
    tenancy.hear("acme", "counterpart", tenant, b"{}", datetime.now(UTC))
    assert await appears(infra, shared_topic(tenant)) == 1
    assert await partitions(infra, shared_topic(absent)) is None
    async with TopicAdmin(infra.bootstrap_servers) as admin:
        differing = {each.topic.name for each in await admin.differences(Catalogue.load())}
    assert shared_topic(tenant) not in differing


async def test_workers_that_make_one_topic_at_once_do_not_stand_in_each_others_way(infra, topics):
    other, name = SharedTopics(infra.bootstrap_servers), shared_topic(fresh_tenant())
    await asyncio.gather(topics.ensure([name]), other.ensure([name]), topics.ensure([name, "case.events.v1"]))
    await other.stop()
    assert await partitions(infra, name) == 1


async def test_a_broker_that_is_away_is_told_as_passing():
    topics = SharedTopics("127.0.0.1:1")
    with pytest.raises(TransientError):
        await topics.ensure([shared_topic(fresh_tenant())])
    await topics.stop()


async def test_a_topic_that_was_deleted_in_use_is_made_again_and_told_on(infra):
    name, heard = shared_topic(fresh_tenant()), TopicPartition("intake.timers.v1", 0)
    servers, group = infra.bootstrap_servers, f"tests.{name}"

    async def owned() -> Teller:
        teller = Teller(
            group, heard, group, bootstrap_servers=servers, transaction_timeout_seconds=15, timeout_seconds=10
        )
        await teller.start()
        return teller

    first, topics = await owned(), SharedTopics(servers)
    await topics.ensure([name])
    await first.tell([Message(name, b"k", b"before", ())], 1)
    await delete(infra, name)
    with pytest.raises(OwnershipLost):
        await first.tell([Message(name, b"k", b"after", ())], 2)
    await first.stop()
    again, looking = await owned(), SharedTopics(servers)  # by then what was seen no longer counts
    await looking.ensure([name])
    await again.tell([Message(name, b"k", b"after", ())], 2)
    async with AIOKafkaConsumer(
        name, bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 60)
    assert record.value == b"after"
    for part in (again, topics, looking):
        await part.stop()
