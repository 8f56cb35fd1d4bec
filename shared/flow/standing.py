"""Where partitions stand: asked of the broker when somebody wants to know, at no cost to a record."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

ANSWER_SECONDS = 3


class Place(NamedTuple):
    """Where a partition stands: the first offset that is not worked off, and the topic's end for a reader."""

    position: int
    end: int

    @property
    def lag(self) -> int:
        """How many offsets lie between; marks of transactions count until the consumer has passed them."""
        return max(0, self.end - self.position)


async def places_of(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], at_work: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Place]:
    """Return where partitions of a consumer stand; `at_work` has the first offsets of the round that is worked on.

    Raises:
        KafkaError: if Kafka does not say, or takes them away while it is asked.
        TimeoutError: if it does not answer.
    """
    if not partitions:
        return {}
    async with asyncio.timeout(ANSWER_SECONDS):
        ends = await consumer.end_offsets(list(partitions))
        ahead = {tp: await consumer.position(tp) for tp in ends}
        return {tp: Place(min(ahead[tp], at_work.get(tp, ahead[tp])), end) for tp, end in ends.items()}


async def fetched_since_sought(consumer: AIOKafkaConsumer, partition: TopicPartition, last_offset: int) -> bool:
    """Tell whether records were fetched after the last seek, which moved the consumer's position back.

    Others were on their way while the partition was owned anew: to fold them would skip what lies before them.
    """
    with contextlib.suppress(KafkaError):
        return bool(await consumer.position(partition) > last_offset)
    return False
