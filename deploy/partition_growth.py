"""Gives drained topics more partitions, and lets the services that hear them know the new count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import AsyncMongoClient, WriteConcern

from deploy.adoption import database_name, running_services
from deploy.consumer_lag import LagMeter
from deploy.embedded.services import SERVICES
from deploy.topic_admin import Difference, TopicAdmin, wait_until_served
from deploy.topics import Catalogue, Topic
from shared.kafka import client_settings


class NotDrainedError(Exception):
    """A topic may not get more partitions now; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A service knows another partition count of a topic than the cluster has."""

    service: str
    topic: str
    #: What it knows, and what the cluster has.
    before: int
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What was done."""

    raised: frozenset[str]
    known: Sequence[Known]


async def grow(
    admin: TopicAdmin,
    catalogue: Catalogue,
    differences: Sequence[Difference],
    *,
    bootstrap_servers: str,
    mongodb_uri: str,
) -> Growth:
    """Raise what has fewer partitions than declared, then tell every hearing service the count it will find.

    Topics whose records stay, compacted or for ever, are passed over unless they are empty: they can never be drained.
    Repeating it ends what was cut short in between.

    Raises:
        NotDrainedError: a service runs, or has not read all of a topic that would grow.
    """
    counts = await admin.partition_counts()
    short = [replace(each.topic, partitions=counts[each.topic.name]) for each in differences if each.grows]
    holding = await _holding(short, bootstrap_servers)
    now = [topic for topic in short if not (topic.keeps_all and topic.name in holding)]
    growing = {each.topic.name: each.topic for each in differences if each.topic.name in {topic.name for topic in now}}
    wanted = counts | {name: topic.partitions for name, topic in growing.items()}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        if growing or await _unaware(client, catalogue, wanted):
            await _refuse_while_running(catalogue, bootstrap_servers)
        if growing:
            await _refuse_undrained(now, bootstrap_servers)
            await admin.raise_partitions(list(growing.values()))
            await wait_until_served(bootstrap_servers, growing.values())
        unaware = await _unaware(client, catalogue, wanted)
        for known in unaware:
            await _make_known(client, known)
    return Growth(raised=frozenset(growing), known=unaware)


async def _holding(topics: Sequence[Topic], bootstrap_servers: str) -> set[str]:
    """Return the topics that hold records."""
    partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    if not partitions:
        return set()
    async with AIOKafkaConsumer(**client_settings(bootstrap_servers)) as consumer:
        first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    return {partition.topic for partition in partitions if first[partition] < end[partition]}


async def _refuse_while_running(catalogue: Catalogue, bootstrap_servers: str) -> None:
    running = await running_services([topic for topic in catalogue.topics if topic.heard_by], bootstrap_servers)
    if running:
        raise NotDrainedError(
            f"{', '.join(running)} still run. Let the senders pause, wait until `callout lag` shows 0 everywhere, stop "
            "all services, wait until their sessions have ended, and apply again."
        )


async def _refuse_undrained(topics: Sequence[Topic], bootstrap_servers: str) -> None:
    heard = [topic for topic in topics if topic.heard_by]
    if not heard:
        return
    async with LagMeter(bootstrap_servers, services=SERVICES, topics=heard) as meter:
        behind = [f"{lag.service} has {lag.lag} of {lag.topic} to read" for lag in await meter.measure() if lag.lag]
    if behind:
        raise NotDrainedError(
            f"Not drained: {'; '.join(behind)}. What a key still has in its old partition would be overtaken by what "
            "comes into its new one. Give the file the live count again, start the services, wait until `callout lag` "
            "shows 0, and stop them."
        )


async def _unaware(
    client: AsyncMongoClient[dict[str, Any]], catalogue: Catalogue, counts: dict[str, int]
) -> list[Known]:
    found = []
    for topic in catalogue.topics:
        for service in topic.heard_by:
            source = await client[database_name(service)]["sources"].find_one({"_id": topic.name})
            known, now = (source or {}).get("partitions"), counts.get(topic.name)
            if known is not None and now is not None and known != now:
                found.append(Known(service=service, topic=topic.name, before=known, now=now))
    return found


async def _make_known(client: AsyncMongoClient[dict[str, Any]], known: Known) -> None:
    database = client[database_name(known.service)]
    sources = database.get_collection("sources", write_concern=WriteConcern(w="majority", j=True))
    await sources.update_one({"_id": known.topic}, {"$set": {"partitions": known.now}, "$inc": {"revision": 1}})
