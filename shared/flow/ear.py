"""An ear: rounds of one topic inside FastStream, and what a rebalance means for them.

A round and every change of ownership hold one lock, so that there are never two units, nor two `own` steps, of one
partition at a time. A rebalance that waits for the lock tells the round to hurry (`leaving`).
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

from shared import garbage
from shared.errors import CalloutError
from shared.flow.room import Hearer
from shared.flow.settings import FlowSettings, heartbeat_seconds
from shared.flow.standing import Place, places_of
from shared.flow.teller import Teller
from shared.flow.unit import Alarm
from shared.kafka import beat_on
from shared.metrics import FlowFigures

if TYPE_CHECKING:  # what it brings along is loaded only where tracing is on
    from shared.tracing import Tracing

log = structlog.get_logger()
POLL_MS, POLL_APART_MS = 1000, 200
FATAL = frozenset({"unknown_schema", "partition_count", "restore_unfinished"})
#: All partitions notice it, and it is one matter.
TOLD_ONCE = frozenset({"partition_count", "restore_unfinished"})


class Desk(Protocol):
    """Where the records of one partition are worked on."""

    stopped: bool

    @property
    def owned(self) -> bool:
        """Whether the partition is ours to work on."""

    async def own(self) -> None:
        """Find out where the partition stands, and go there."""

    async def flush(self) -> None:
        """Use a quiet moment."""

    def rewind(self) -> None:
        """Go back to the first record that was not worked off."""

    async def retire(self) -> None:
        """Leave the partition to others."""


AnyDesk = TypeVar("AnyDesk", bound=Desk)
Work = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Ear(ConsumerRebalanceListener, ABC, Generic[AnyDesk]):  # type: ignore[misc]
    """One service's ear for one topic."""

    def __init__(self, broker: KafkaBroker, room: Hearer, *, settings: FlowSettings, alarm: Alarm) -> None:
        self.room = room
        self.group = f"callout.{room.service}.{room.topic.name}"
        self.units: dict[TopicPartition, AnyDesk] = {}
        self._broker = broker
        self._settings = settings
        self._alarm = alarm
        self._round = asyncio.Lock()
        self._leaving = asyncio.Event()
        self._joined = False
        self._stumbling = False
        self.failed = asyncio.Event()
        self._figures = FlowFigures(room.service, room.topic.name)
        self._at_work: dict[TopicPartition, int] = {}
        self.tracing: Tracing | None = None
        self.subscriber = broker.subscriber(
            room.topic.name,
            group_id=self.group,
            batch=True,
            max_records=settings.max_records,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(heartbeat_seconds(settings.session_timeout_seconds) * 1000),
            rebalance_timeout_ms=int(max(30, settings.session_timeout_seconds) * 1000),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            listener=self,
            parser=_unparsed,
            decoder=_undecoded,
            no_reply=True,
            title=f"{room.service}:{room.topic.name}",
        )
        # FastStream's own sleeps, deaf, for as long as it had polled in vain.
        self.subscriber.get_msg = self._poll  # type: ignore[method-assign]
        self.subscriber(self._on_batch)

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned and all of them are owned and at work."""
        at_work = all(unit.owned and not unit.stopped for unit in self.units.values())
        return self._joined and not self._stumbling and at_work

    @property
    def lost(self) -> bool:
        """Whether partitions are missing that no alarm has given up: those of a rebalance, or that cannot be owned."""
        return not self._joined or any(not unit.owned and not unit.stopped for unit in self.units.values())

    def owns(self, partition: int) -> bool:
        """Tell whether this process works on a partition."""
        unit = self.units.get(TopicPartition(self.room.topic.name, partition))
        return unit is not None and unit.owned

    @property
    def partitions(self) -> set[int]:
        """The partitions that this process works on."""
        return {tp.partition for tp, unit in self.units.items() if unit.owned}

    @property
    def partition_count(self) -> int:
        """How many partitions the topic has, as far as is known; at least one."""
        consumer: AIOKafkaConsumer = self.subscriber.consumer
        known = consumer.partitions_for_topic(self.room.topic.name) if consumer is not None else None
        return len(known or ()) or 1

    async def show_lag(self) -> dict[TopicPartition, Place]:
        """Show in the figures how far each partition is behind; return where each stands, nothing if nobody knows."""
        consumer: AIOKafkaConsumer = self.subscriber.consumer
        if consumer is None:
            return {}
        try:
            places = await places_of(consumer, list(self.units), self._at_work)
        except (KafkaError, TimeoutError) as error:
            log.debug("lag_not_known", group=self.group, reason=type(error).__name__)
            return {}
        partitions = len(consumer.partitions_for_topic(self.room.topic.name) or ())
        owned = sum(unit.owned for unit in self.units.values())
        self._figures.show_lag({tp.partition: place.lag for tp, place in places.items()}, partitions, owned)
        return places

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let the round end, then let go."""
        self._leaving.set()
        async with self._round:
            self._joined = False
            await asyncio.gather(*(self.units.pop(tp).retire() for tp in list(revoked) if tp in self.units))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Own what was assigned before any of it is worked on."""
        beat_on(self.subscriber.consumer)
        async with self._round:
            self._leaving.clear()
            self.units = {tp: self._unit(tp) for tp in assigned}
            await asyncio.gather(*(self._own(tp) for tp in assigned))
            self._joined = True
            log.info("partitions_assigned", group=self.group, partitions=sorted(tp.partition for tp in assigned))

    async def close(self) -> None:
        """Let go of all partitions, after the consumer was stopped."""
        async with self._round:
            await asyncio.gather(*(unit.retire() for unit in self.units.values()))
            self.units.clear()

    @abstractmethod
    def _unit(self, partition: TopicPartition) -> AnyDesk:
        """Return a new desk for a partition."""

    @abstractmethod
    async def _work_off(self, work: Work) -> int:
        """Work on the records of a round, by partition; return how many were worked off."""

    async def _raise_alarm(self, *, kind: str, **facts: Any) -> None:  # noqa: ANN401 - as the alarm takes them
        known = self.failed.is_set()
        if kind in FATAL:
            self.failed.set()
        if not (known and kind in TOLD_ONCE):
            await self._alarm(kind=kind, **facts)

    def _teller(self, partition: TopicPartition) -> Teller:
        return Teller(
            f"callout-{self.room.service}-{partition.topic}-{partition.partition}",
            partition,
            self.group,
            bootstrap_servers=self._settings.bootstrap_servers,
            transaction_timeout_seconds=self._settings.transaction_timeout_seconds,
            timeout_seconds=self._settings.tell_timeout_seconds,
        )

    async def _own(self, partition: TopicPartition) -> None:
        try:
            await self.units[partition].own()
        except CalloutError as error:
            log.warning("partition_not_owned", partition=partition.partition, reason=str(error))

    async def _poll(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        """Fetch a round; when that fails, what was fetched along the way must come again."""
        try:
            records = await (self._fetch_apart(consumer) if self._stumbling else self._fetch(consumer))
        except ConsumerStoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the ear must go on
            await self._start_over(error)
            return ()
        if not records:
            async with self._round:
                await asyncio.gather(*(unit.flush() for unit in self.units.values()))
        return tuple(records)

    async def _fetch(self, consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
        """Fetch what is there when idle; in a backlog a fair share of every partition, so that all units work."""
        most = self._settings.max_records
        share = max(1, most // max(1, len(self.units)))
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=share)
        records = list(chain.from_iterable(batches.values()))
        if len(records) < share:
            return records
        for partition in consumer.assignment() - batches.keys():
            more = await consumer.getmany(partition, timeout_ms=0, max_records=share)
            records.extend(chain.from_iterable(more.values()))
        if len(records) < most:
            more = await consumer.getmany(timeout_ms=0, max_records=most - len(records))
            records.extend(chain.from_iterable(more.values()))
        return records

    async def _fetch_apart(self, consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
        """Fetch partition by partition, so that one that cannot be read holds up no other."""
        records: list[ConsumerRecord] = []
        most = self._settings.max_records
        stumbling = False
        for partition in sorted(consumer.assignment()):
            try:
                more = await consumer.getmany(partition, timeout_ms=POLL_APART_MS, max_records=most)
                records.extend(chain.from_iterable(more.values()))
            except ConsumerStoppedError:
                raise
            except Exception as error:  # noqa: BLE001 - as in _poll
                stumbling = True
                log.warning("partition_not_read", partition=partition.partition, reason=type(error).__name__)
                if partition in self.units:
                    self.units[partition].rewind()
        self._stumbling = stumbling
        return records

    async def _start_over(self, error: Exception) -> None:
        """Go back to what is told; raise an alarm where that is news."""
        log.error("round_failed", group=self.group, error=type(error).__name__, exc_info=error)
        if not self._stumbling:
            await self._alarm(kind="stuck", reason=type(error).__name__)
        self._stumbling = True
        async with self._round:
            for unit in self.units.values():
                unit.rewind()
        await asyncio.sleep(POLL_MS / 1000)

    async def _on_batch(self, _: Any) -> None:  # noqa: ANN401 - taken raw from the context, without a thread hop
        raw = self._broker.context.get_local("message").raw_message
        try:
            async with self._round:
                await self._run_round(raw)
        except Exception as error:  # noqa: BLE001 - FastStream would go on as if nothing had happened
            await self._start_over(error)

    async def _run_round(self, records: Sequence[ConsumerRecord]) -> None:
        started = time.perf_counter()
        by_partition: dict[TopicPartition, list[ConsumerRecord]] = defaultdict(list)
        for record in records:
            by_partition[TopicPartition(record.topic, record.partition)].append(record)
        mine = {tp: batch for tp, batch in by_partition.items() if tp in self.units}
        self._at_work = {tp: batch[0].offset for tp, batch in by_partition.items()}
        try:
            with garbage.put_off():
                told = await self._work_off(mine)
        finally:
            self._at_work = {}
        seconds = time.perf_counter() - started
        self._figures.count_round(len(records), told, seconds)
        log.info("round_told", group=self.group, records=len(records), told=told, partitions=len(mine), seconds=seconds)


async def _unparsed(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    """Return a round as it is.

    FastStream's own parser fails on a header that is null or not UTF-8 and drops the whole round without a word; and
    it would answer wherever a header `reply_to` says.
    """
    return KafkaMessage(records, b"", consumer=FAKE_CONSUMER)


async def _undecoded(_: Any) -> None:  # noqa: ANN401 - the flow reads the raw records itself
    return None
