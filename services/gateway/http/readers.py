"""Readers of topics without a group, which every process has for itself."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.kafka import client_settings


def new_reader(bootstrap_servers: str, *topics: str, reset: str = "earliest") -> AIOKafkaConsumer:
    """Return a reader of committed records, which goes to `reset` from a place that is no more."""
    return AIOKafkaConsumer(
        *topics,
        **client_settings(bootstrap_servers),
        group_id=None,
        auto_offset_reset=reset,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )


async def reader_at_end(bootstrap_servers: str, *topics: str) -> tuple[AIOKafkaConsumer, dict[TopicPartition, int]]:
    """Return a reader that stands at the end of some topics, and where that is.

    Raises:
        KafkaError: it cannot be reached.
    """
    reader = new_reader(bootstrap_servers, *topics, reset="latest")
    try:
        await reader.start()
        while {each.topic for each in reader.assignment()} != set(topics):  # noqa: ASYNC110 - the library tells nobody
            await asyncio.sleep(0.02)
        await reader.seek_to_end()
        positions = {each: await reader.position(each) for each in sorted(reader.assignment())}
    except BaseException:
        await reader.stop()
        raise
    return reader, positions
