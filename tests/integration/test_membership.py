"""A member of a group that takes long to get ready for its partitions keeps them."""

import asyncio
from collections.abc import Collection
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from shared.kafka import beat_on
from tests.e2e.outsider import COMMANDS, until
from tests.stack import RunningStack

pytestmark = pytest.mark.integration
SESSION_MS = 2_000


class Slow(ConsumerRebalanceListener):  # type: ignore[misc]
    """Gets ready for longer than a session lasts, as on a crowded machine."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.begun = 0
        self.done = 0

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing was begun."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Take twice as long."""
        self.begun += 1
        beat_on(self._consumer)
        await asyncio.sleep(2 * SESSION_MS / 1000)
        self.done += 1


async def test_who_gets_ready_for_longer_than_a_session_is_not_thrown_out_for_it(infra: RunningStack) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=infra.bootstrap_servers,
        group_id=f"slow-{uuid4()}",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=300,
    )
    slow = Slow(consumer)
    consumer.subscribe([COMMANDS], listener=slow)
    starting = asyncio.create_task(consumer.start())
    try:
        await until(lambda: slow.done)
        await starting
        await consumer.getmany(timeout_ms=1000)  # one that was thrown out would begin anew
        assert (slow.begun, len(consumer.assignment())) == (1, 12)
    finally:
        await consumer.stop()
