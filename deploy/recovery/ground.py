"""What a store is made again on: no service at work, nothing half told, and where each service stands in its topics."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from deploy.adoption import database_name, group_id, running_services
from deploy.topic_admin import TopicAdmin
from deploy.topics import Catalogue, Topic
from shared.flow.sources import RESTORING
from shared.kafka import client_settings

#: Kafka ends what a dead worker left open after 15 s, and looks every 10.
OPEN_SECONDS: Final = 40
PAUSE_SECONDS: Final = 0.2
AT_ONCE: Final = 500
DURABLE: Final = WriteConcern(w="majority", j=True)

Positions = dict[TopicPartition, int]
Database = AsyncDatabase[dict[str, Any]]


class NotNowError(Exception):
    """The store cannot be made again as things are; nothing was changed. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a service stands: the topics it hears, how many partitions they have, and its committed positions there.

    `positions` has every partition; where nothing was committed it is 0.
    """

    service: str
    positions: Positions
    committed: frozenset[TopicPartition]

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return sum(partition.topic == topic for partition in self.positions)


def heard_by(service: str, catalogue: Catalogue | None = None) -> list[Topic]:
    """Return the topics that a service hears as a group."""
    return [topic for topic in (catalogue or Catalogue.load()).topics if service in topic.heard_by]


async def refuse_while_running(services: Iterable[str], bootstrap_servers: str) -> None:
    """Make sure that none of these services is at work.

    Raises:
        NotNowError: one is.
    """
    topics = [topic for service in services for topic in heard_by(service)]
    running = sorted(set(await running_services(topics, bootstrap_servers)) & set(services))
    if running:
        raise NotNowError(
            f"{', '.join(running)} still run. Stop all services, wait until their sessions have ended "
            "(`callout up --only infra` on the embedded stack), and begin again."
        )


async def wait_until_told(topics: Sequence[str], bootstrap_servers: str) -> None:
    """Return when no transaction is open on these topics: what is committed is there for readers.

    Raises:
        NotNowError: one stays open.
    """
    deadline = time.monotonic() + OPEN_SECONDS
    partitions = await partitions_of(topics, bootstrap_servers)
    async with (
        AIOKafkaConsumer(**client_settings(bootstrap_servers), isolation_level="read_committed") as stable,
        AIOKafkaConsumer(**client_settings(bootstrap_servers)) as high,
    ):
        while await stable.end_offsets(partitions) != await high.end_offsets(partitions):
            if time.monotonic() > deadline:
                raise NotNowError(f"Somebody still writes to {', '.join(topics)}. Stop all services, then begin again.")
            await asyncio.sleep(PAUSE_SECONDS)


async def find_ground(service: str, bootstrap_servers: str) -> Ground:
    """Look where a service stands."""
    topics = [topic.name for topic in heard_by(service)]
    positions: Positions = dict.fromkeys(await partitions_of(topics, bootstrap_servers), 0)
    admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
    try:
        await admin.start()
        found = [await committed_positions(admin, group_id(service, topic)) for topic in topics]
    finally:
        await admin.close()
    committed = {partition: position for places in found for partition, position in places.items()}
    return Ground(service=service, positions=positions | committed, committed=frozenset(committed))


async def committed_positions(admin: AIOKafkaAdminClient, group: str) -> Positions:
    """Return the committed positions of one group."""
    offsets = await admin.list_consumer_group_offsets(group)
    return {partition: place.offset for partition, place in offsets.items() if place.offset >= 0}


async def positions_now(prefix: str, bootstrap_servers: str) -> dict[str, Positions]:
    """Return the committed positions of all groups whose names begin so."""
    admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
    try:
        await admin.start()
        groups = sorted({str(group[0]) for group in await admin.list_consumer_groups()})
        return {name: await committed_positions(admin, name) for name in groups if name.startswith(prefix)}
    finally:
        await admin.close()


async def move_back(group: str, now: Positions, then: Positions, bootstrap_servers: str) -> Positions:
    """Put a group where it stood then; to the beginning where it had heard nothing yet. Return where it stands."""
    async with AIOKafkaConsumer(
        **client_settings(bootstrap_servers), group_id=group, enable_auto_commit=False
    ) as consumer:
        unheard = [partition for partition in now if partition not in then]
        places = then | (await consumer.beginning_offsets(unheard) if unheard else {})
        if places:
            consumer.assign(list(places))
            await consumer.commit(places)
    return places


async def partitions_of(topics: Sequence[str], bootstrap_servers: str) -> list[TopicPartition]:
    """Return the partitions of topics.

    Raises:
        NotNowError: one of them is not there.
    """
    async with TopicAdmin(bootstrap_servers) as admin:
        counts = await admin.partition_counts()
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        raise NotNowError(f"There is no {', '.join(missing)}: what lay there cannot be made again.")
    return [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]


async def generations(database: Database, ground: Ground) -> dict[str, int]:
    """Return the generation of each topic as the service's documents know it; 0 where they know none."""
    topics = sorted({partition.topic for partition in ground.positions})
    found = await database["sources"].find({"_id": {"$in": topics}}).to_list()
    return dict.fromkeys(topics, 0) | {source["_id"]: int(source["generation"]) for source in found}


async def note_sources(database: Database, ground: Ground, known: Mapping[str, int]) -> None:
    """Let the service find the topics as it knows them."""
    for topic, generation in known.items():
        source = {"generation": generation, "partitions": ground.partitions(topic)}
        change = {"$set": source, "$inc": {"revision": 1}, "$unset": {RESTORING: ""}}
        await database["sources"].update_one({"_id": topic}, change, upsert=True)


def mark(partition: TopicPartition, position: int, generation: int) -> dict[str, Any]:
    """Return the mark of a document that all below a position is folded into and told."""
    return {
        "source": f"{partition.topic}/{partition.partition}",
        "generation": generation,
        "offset": position - 1,
        "floor": position,
        "emitted": [],
    }


def fresh_revision() -> int:
    """Return a revision that no document ever had, so that no late write of a dead process fits."""
    return int(time.time())


def database_of(client: AsyncMongoClient[dict[str, Any]], service: str) -> Database:
    """Return a service's database, read and written as the service does."""
    options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
    return client.get_database(
        database_name(service), codec_options=options, read_concern=ReadConcern("majority"), write_concern=DURABLE
    )


def in_parts(documents: Iterable[Any], at_once: int = AT_ONCE) -> Iterable[list[Any]]:
    """Yield items some at once."""
    part: list[Any] = []
    for document in documents:
        part.append(document)
        if len(part) == at_once:
            yield part
            part = []
    if part:
        yield part
