"""Compares a cluster's topics with the declared ones, and brings it to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaTimeoutError, TopicAlreadyExistsError, for_code

from deploy.topics import Catalogue, Topic
from shared.kafka import client_settings

SERVED_TRIES: Final = 3
#: Where Kafka says a setting comes from the topic itself, not from a default.
SET_ON_TOPIC: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one topic of the cluster has otherwise than declared."""

    topic: Topic
    missing: bool = False
    #: The live partition count, where it differs.
    partitions: int | None = None
    #: Setting -> (live value, declared value).
    config: dict[str, tuple[str | None, str]] = field(default_factory=dict, hash=False)

    @property
    def grows(self) -> bool:
        """Whether the declaration has more partitions than the cluster."""
        return self.partitions is not None and self.partitions < self.topic.partitions

    def __str__(self) -> str:
        if self.missing:
            return f"{self.topic.name}: missing"
        parts = [f"{key} is {live}, declared {wanted}" for key, (live, wanted) in sorted(self.config.items())]
        if self.partitions is not None:
            parts.insert(0, f"has {self.partitions} partitions, declared {self.topic.partitions}")
        return f"{self.topic.name}: {'; '.join(parts)}"


async def wait_until_served(bootstrap_servers: str, topics: Iterable[Topic]) -> None:
    """Return when every partition has a leader that answers: right after a start or a creation it may not yet."""
    async with AIOKafkaConsumer(*(topic.name for topic in topics), **client_settings(bootstrap_servers)) as consumer:
        for left in reversed(range(SERVED_TRIES)):
            try:
                await consumer.end_offsets(consumer.assignment())
                return
            except KafkaTimeoutError:  # a broker on a crowded machine may need longer than one request may take
                if not left:
                    raise


class TopicAdmin:
    """A connection to a cluster that looks at topics and sets them right."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
        except BaseException:
            await self._admin.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def partition_counts(self) -> dict[str, int]:
        """Return how many partitions every topic of the cluster has."""
        topics = await self._admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in topics if not topic["error_code"]}

    async def differences(self, catalogue: Catalogue) -> list[Difference]:
        """Compare the cluster with a catalogue; topics that nobody declared are nobody's business."""
        partitions = await self.partition_counts()
        wanted = [*catalogue.topics, *catalogue.from_templates(partitions)]
        present = [topic for topic in wanted if topic.name in partitions]
        settings = await self._settings(topic.name for topic in present)
        found = [Difference(topic=topic, missing=True) for topic in wanted if topic.name not in partitions]
        for topic in present:
            live = {key: value for key, (value, _) in settings[topic.name].items()}
            count = partitions[topic.name]
            config = {key: (live.get(key), value) for key, value in topic.config.items() if live.get(key) != value}
            if config or count != topic.partitions:
                found.append(
                    Difference(topic=topic, partitions=count if count != topic.partitions else None, config=config)
                )
        return found

    async def settle(self, differences: Iterable[Difference], *, replication_factor: int = 1) -> None:
        """Create what is missing and change settings that differ; partition counts stay as they are.

        Raises:
            KafkaError: the cluster refused something.
        """
        differences = list(differences)
        await self._create([each.topic for each in differences if each.missing], replication_factor)
        await self._configure([each.topic for each in differences if each.config])

    async def raise_partitions(self, topics: Sequence[Topic]) -> None:
        """Give topics as many partitions as they declare; keys move to other partitions, away from their history.

        Raises:
            KafkaError: the cluster refused something; it never lowers a count.
        """
        await self._admin.create_partitions({topic.name: NewPartitions(topic.partitions) for topic in topics})

    async def setting(self, name: str, key: str) -> str | None:
        """Return what is set on a topic itself; nothing where a default counts."""
        value, source = (await self._settings([name]))[name].get(key, (None, None))
        return value if source == SET_ON_TOPIC else None

    async def set(self, name: str, **changes: str | None) -> None:
        """Set something on a topic; `None`: let the default count. In names `_` stands for a dot.

        Raises:
            KafkaError: the cluster refused it.
        """
        settings = (await self._settings([name]))[name]
        kept: dict[str, str | None] = {
            key: value for key, (value, source) in settings.items() if source == SET_ON_TOPIC
        }
        kept |= {key.replace("_", "."): value for key, value in changes.items()}
        await self._alter([(name, {key: value for key, value in kept.items() if value is not None})])

    async def _create(self, topics: Sequence[Topic], replication_factor: int) -> None:
        if not topics:
            return
        response = await self._admin.create_topics(
            [NewTopic(topic.name, topic.partitions, replication_factor, topic_configs=topic.config) for topic in topics]
        )
        for name, code, message in response.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):  # another `apply` may run at the same time
                raise for_code(code)(f"{name}: {message}")

    async def _configure(self, topics: Sequence[Topic]) -> None:
        if not topics:
            return
        settings = await self._settings(topic.name for topic in topics)
        wanted = []
        for topic in topics:
            kept = {key: value for key, (value, source) in settings[topic.name].items() if source == SET_ON_TOPIC}
            wanted.append((topic.name, {**kept, **topic.config}))
        await self._alter(wanted)

    async def _alter(self, wanted: Iterable[tuple[str, Mapping[str, str | None]]]) -> None:
        # This request replaces all settings of a topic: what an operator set beside ours is said again.
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(config)) for name, config in wanted]
        for response in await self._admin.alter_configs(resources):
            for code, message, _, name in response.resources:
                if code:
                    raise for_code(code)(f"{name}: {message}")

    async def _settings(self, names: Iterable[str]) -> dict[str, dict[str, tuple[str | None, int]]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        settings: dict[str, dict[str, tuple[str | None, int]]] = {}
        if not resources:
            return settings
        for response in await self._admin.describe_configs(resources):
            for code, message, _, name, entries in response.resources:
                if code:
                    raise for_code(code)(f"{name}: {message}")
                settings[name] = {entry[0]: (entry[1], entry[3]) for entry in entries}
        return settings
