"""Lets the services begin anew on a source topic that was recreated or restored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.collection import ReturnDocument
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from deploy.topics import Topic
from shared.kafka import client_settings

#: A group in one of these states has no member that could commit over us.
QUIET_STATES: Final = frozenset({"Empty", "Dead"})
COORDINATOR_SECONDS: Final = 15


class GroupInUseError(Exception):
    """A service still hears the topic; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What was done for one service."""

    service: str
    generation: int
    #: Partition -> (old position, new position); the partitions whose position the topic does not have.
    moved: dict[int, tuple[int, int]]


async def adopt(topic: Topic, *, bootstrap_servers: str, mongodb_uri: str) -> list[Adoption]:
    """Start new marks on a topic for every service that hears it.

    Raises:
        GroupInUseError: a service that hears it runs.
    """
    await _refuse_while_heard(topic, bootstrap_servers)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        adoptions = []
        for service in topic.heard_by:
            generation = await _next_generation(client, service, topic.name)
            moved = await _move_positions(group_id(service, topic.name), topic, bootstrap_servers)
            adoptions.append(Adoption(service=service, generation=generation, moved=moved))
        return adoptions


def group_id(service: str, topic: str) -> str:
    """Return the consumer group by which a service hears a topic."""
    return f"callout.{service}.{topic}"


def database_name(service: str) -> str:
    """Return the name of a service's own database."""
    return f"callout_{service}"


async def running_services(topics: Iterable[Topic], bootstrap_servers: str) -> list[str]:
    """Return the services that hear one of these topics right now."""
    groups = {group_id(service, topic.name): service for topic in topics for service in topic.heard_by}
    admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
    try:
        await admin.start()
        # One by one: aiokafka 0.14 reads the answer about several groups wrongly.
        states = {group: await _state(admin, group) for group in groups}
    finally:
        await admin.close()
    return sorted({groups[group] for group, state in states.items() if state not in QUIET_STATES})


async def _refuse_while_heard(topic: Topic, bootstrap_servers: str) -> None:
    running = await running_services([topic], bootstrap_servers)
    if running:
        raise GroupInUseError(
            f"{topic.name} is being heard by {', '.join(running)}. Stop all workers of it, wait until its "
            "session has ended, and adopt again: a running service would commit its old position over the new one."
        )


@retry(
    # A cluster that never had a group makes the coordinators' topic at the first question.
    retry=retry_if_exception(lambda error: isinstance(error, KafkaError) and error.retriable),
    wait=wait_fixed(0.2),
    stop=stop_after_delay(COORDINATOR_SECONDS),
    reraise=True,
)
async def _state(admin: AIOKafkaAdminClient, group: str) -> str:
    [response] = await admin.describe_consumer_groups([group])
    code, _, state, *_ = response.groups[0]
    if code:
        raise for_code(code)(f"Cannot look at {group}")
    return str(state)


async def _next_generation(client: AsyncMongoClient[dict[str, Any]], service: str, topic: str) -> int:
    sources = client[database_name(service)].get_collection("sources", write_concern=WriteConcern(w="majority", j=True))
    document = await sources.find_one_and_update(
        {"_id": topic}, {"$inc": {"generation": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    if document is None:  # an upsert that returns the new document always has one
        raise AssertionError(topic)
    return int(document["generation"])


async def _move_positions(group: str, topic: Topic, bootstrap_servers: str) -> dict[int, tuple[int, int]]:
    consumer = AIOKafkaConsumer(**client_settings(bootstrap_servers), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = await _partitions(consumer, topic.name)
        consumer.assign(partitions)
        first = await consumer.beginning_offsets(partitions)
        end = await consumer.end_offsets(partitions)
        moved: dict[int, tuple[int, int]] = {}
        for partition in partitions:
            position = await consumer.committed(partition)
            if position is not None and not first[partition] <= position <= end[partition]:
                moved[partition.partition] = (position, first[partition])
        if moved:
            await consumer.commit({TopicPartition(topic.name, number): new for number, (_, new) in moved.items()})
        return moved
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> Sequence[TopicPartition]:
    # Asking for offsets makes the client fetch the topic's metadata, which an unassigned consumer has not yet.
    await consumer.beginning_offsets([TopicPartition(topic, 0)])
    numbers = consumer.partitions_for_topic(topic) or {0}
    return [TopicPartition(topic, number) for number in sorted(numbers)]
