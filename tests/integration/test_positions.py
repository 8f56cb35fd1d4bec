"""Where groups of consumers stand, and how a restore puts them back."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.recovery.ground import move_back, positions_now
from tests.stack import RunningStack

pytestmark = pytest.mark.integration
FIRST, SECOND = TopicPartition("ops.audit.v1", 0), TopicPartition("ops.audit.v1", 1)


async def test_a_group_is_put_back_where_it_stood_and_to_the_beginning_where_it_had_heard_nothing(
    infra: RunningStack,
) -> None:
    servers, group = infra.bootstrap_servers, "callout.put_back.ops.audit.v1"
    async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([FIRST, SECOND])
        await consumer.commit({FIRST: 5, SECOND: 7})
    now = (await positions_now("callout.put_back.", servers))[group]
    assert now == {FIRST: 5, SECOND: 7}
    beginning = {FIRST: 3, SECOND: 0}
    assert await move_back(group, now, {FIRST: 3}, servers) == beginning
    assert await positions_now("callout.put_back.", servers) == {group: beginning}


async def test_a_group_that_never_heard_anything_stays_as_it_is(infra: RunningStack) -> None:
    assert await move_back("callout.unheard.ops.audit.v1", {}, {}, infra.bootstrap_servers) == {}
    assert await positions_now("callout.unheard.", infra.bootstrap_servers) == {}
