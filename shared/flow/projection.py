"""A projection: what a topic tells, kept where it can be asked for.

Nothing is told of it, so it needs less than the flow: a round's records are written, all partitions together, then
the positions after them are committed, beside the next round. Whoever writes makes sure that a record may come again,
in any batch and beside another process: an older one never takes a newer one's place.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream.kafka import KafkaBroker

from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import Incoming, Message, read
from shared.errors import CalloutError, OwnershipLost, TransientError, Unreadable
from shared.flow.ear import Ear, Work
from shared.flow.item import buried
from shared.flow.patience import patiently
from shared.flow.room import Hearer
from shared.flow.settings import FlowSettings
from shared.flow.unit import Alarm

log = structlog.get_logger()
OWN_SECONDS = 15
CLOSE_SECONDS = 2


class Heard(NamedTuple):
    """A record that could be read, and what it says."""

    record: Any
    incoming: Incoming


class Viewer(Hearer, ABC):
    """A service's view of one topic."""

    @abstractmethod
    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write down what a batch says; it may come again, whole or in part, and beside others.

        Raises:
            TransientError: if the store is away; the batch is tried again.
        """


class Bookmark:
    """Where this process stands in one partition."""

    def __init__(self, partition: TopicPartition, consumer: AIOKafkaConsumer) -> None:
        self._partition = partition
        self._consumer = consumer
        self.position: int | None = None
        self.stopped = False

    @property
    def owned(self) -> bool:
        """Whether it is known where the partition stands."""
        return self.position is not None

    async def own(self) -> None:
        """Go to the committed position.

        Raises:
            TransientError: if Kafka does not say where that is.
        """
        try:
            async with asyncio.timeout(OWN_SECONDS):
                self.position = await self._consumer.committed(self._partition) or 0
            self._consumer.seek(self._partition, self.position)
        except (KafkaError, OSError, TimeoutError) as error:
            self.position = None
            raise TransientError(f"cannot own: {type(error).__name__}") from error

    async def flush(self) -> None:
        """Own what could not be owned before."""
        if not self.owned:
            with suppress(CalloutError):
                await self.own()

    def rewind(self) -> None:
        """Go back to the first record that was not worked off."""
        with suppress(KafkaError):
            self._consumer.seek(self._partition, self.position or 0)

    async def retire(self) -> None:
        """Leave nothing behind: what was written is committed."""

    async def is_next(self, records: Sequence[ConsumerRecord]) -> bool:
        """Tell whether records were fetched after the last seek; others would leave a hole before them."""
        with suppress(KafkaError):
            return self.owned and bool(await self._consumer.position(self._partition) > records[-1].offset)
        return False


class Projection(Ear[Bookmark]):
    """One service's ear for a topic that it keeps a view of."""

    def __init__(self, broker: KafkaBroker, viewer: Viewer, *, settings: FlowSettings, alarm: Alarm) -> None:
        super().__init__(broker, viewer, settings=settings, alarm=alarm)
        self._viewer = viewer
        self._committing: asyncio.Task[None] | None = None

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let the round end and its positions be committed, then let go."""
        await super().on_partitions_revoked(revoked)
        await self._committed()

    async def close(self) -> None:
        """Let go of all partitions, after the consumer was stopped."""
        await super().close()
        with suppress(TimeoutError):  # a consumer that was stopped may never answer; then they come again
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._committed()

    def _unit(self, partition: TopicPartition) -> Bookmark:
        return Bookmark(partition, self.subscriber.consumer)

    async def _work_off(self, work: Work) -> int:
        try:
            return await self._write_and_commit(work)
        except OwnershipLost as error:
            # A rebalance came in between: whoever has the partitions next begins at the committed positions.
            log.info("round_given_up", group=self.group, reason=str(error))
            for tp in work:
                self.units[tp].rewind()
            return 0

    async def _write_and_commit(self, work: Work) -> int:
        for tp in work:
            await self.units[tp].flush()
        todo = {
            tp: [record for record in batch if record.offset >= (self.units[tp].position or 0)]
            for tp, batch in work.items()
            if await self.units[tp].is_next(batch)
        }
        todo = {tp: batch for tp, batch in todo.items() if batch}
        letters: dict[TopicPartition, list[Message]] = defaultdict(list)
        heard = [item for tp, batch in todo.items() for item in self._read(batch, letters[tp])]
        with self._figures.step("write"):
            for record, error in await self._keep_all(heard):
                tp = TopicPartition(record.topic, record.partition)
                letters[tp].append(buried(record, error, self.room.service))
        with self._figures.step("tell"):
            await self._commit({tp: batch[-1].offset + 1 for tp, batch in todo.items()}, letters)
        for batch in todo.values():
            self._figures.count_delays(batch)
        return sum(map(len, todo.values()))

    def _read(self, batch: Sequence[ConsumerRecord], letters: list[Message]) -> list[Heard]:
        heard = []
        for record in batch:
            try:
                incoming = read(self.room.topic, record)
            except Unreadable as error:
                letters.append(dead_letter(record, error.code, error.reason, service=self.room.service))
            else:
                if incoming is not None:
                    heard.append(Heard(record, incoming))
        return heard

    async def _keep_all(self, heard: Sequence[Heard]) -> list[tuple[Any, Exception]]:
        """Write all; after a bug one record at a time. Returns the culprits."""
        if not heard:
            return []
        try:
            await self._keep(heard)
        except CalloutError:
            raise
        except Exception as error:
            if len(heard) > 1:
                return [culprit for item in heard for culprit in await self._keep_all([item])]
            record = heard[0].record
            place = TopicPartition(record.topic, record.partition)
            log.exception("record_buried", topic=record.topic, offset=record.offset)
            await self._alarm(kind="bug", partition=place, offset=record.offset, reason=type(error).__name__)
            return [(record, error)]
        return []

    async def _keep(self, heard: Sequence[Heard]) -> None:
        def tell(reason: str, attempt: int) -> None:
            log.warning("batch_will_be_tried_again", group=self.group, reason=reason, attempt=attempt)

        most = self._settings.retry_for_seconds
        await patiently(lambda: self._viewer.keep(heard), most, sleep=self._pause, before=tell)

    async def _commit(self, positions: dict[TopicPartition, int], letters: dict[TopicPartition, list[Message]]) -> None:
        """Commit the positions, those of partitions with dead letters together with these."""
        await self._committed()  # an older position never comes after a newer one
        plain = {tp: position for tp, position in positions.items() if not letters[tp]}
        for tp in positions.keys() - plain.keys():
            teller = self._teller(tp)
            try:
                await teller.start()
                await teller.tell(letters[tp], positions[tp])
            except KafkaError as error:
                raise TransientError(f"dead letters cannot be told: {type(error).__name__}") from error
            finally:
                await teller.stop()
            self._figures.count_told(letters[tp])
            self.units[tp].position = positions[tp]
        if plain:
            self._committing = asyncio.create_task(self._commit_plainly(plain))
        for tp, position in plain.items():
            self.units[tp].position = position

    async def _commit_plainly(self, positions: dict[TopicPartition, int]) -> None:
        try:
            consumer: AIOKafkaConsumer = self.subscriber.consumer
            await consumer.commit(positions)
        except (KafkaError, ConsumerStoppedError) as error:
            # They come again, here or elsewhere: that is harmless.
            log.warning("positions_not_committed", group=self.group, reason=type(error).__name__)

    async def _committed(self) -> None:
        """Wait for the positions that are being committed, while the next round is at work."""
        if self._committing is not None:
            await self._committing
            self._committing = None

    async def _pause(self, seconds: float) -> None:
        """Wait; raise `OwnershipLost` once partitions are about to be taken away."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)
            raise OwnershipLost("a rebalance is under way")
