"""Gives drained topics more partitions, and lets the services that hear them know the new count."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo import AsyncMongoClient, WriteConcern

from deploy.adoption import database_name, running_services
from deploy.consumer_lag import LagMeter
from deploy.embedded.services import SERVICES
from deploy.topic_admin import Difference, TopicAdmin, wait_until_served
from deploy.topics import Catalogue, Topic


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


async def grow(
    admin: TopicAdmin,
    catalogue: Catalogue,
    differences: Iterable[Difference],
    *,
    bootstrap_servers: str,
    mongodb_uri: str,
) -> list[Known]:
    """Raise what has fewer partitions than declared, then tell every hearing service the count it will find.

    Repeating it ends what was cut short in between.

    Raises:
        NotDrainedError: a service runs, or has not read all of a topic that would grow.
    """
    growing = {each.topic.name: each for each in differences if each.grows}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        counts = await admin.partition_counts()
        wanted = counts | {name: each.topic.partitions for name, each in growing.items()}
        if not growing and not await _unaware(client, catalogue, wanted):
            return []
        await _refuse_while_running(catalogue, bootstrap_servers)
        if growing:
            now = [replace(each.topic, partitions=counts[name]) for name, each in growing.items()]
            await _refuse_undrained(now, bootstrap_servers)
            topics = [each.topic for each in growing.values()]
            await admin.raise_partitions(topics)
            await wait_until_served(bootstrap_servers, topics)
        unaware = await _unaware(client, catalogue, wanted)
        for known in unaware:
            await _make_known(client, known)
        return unaware


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
