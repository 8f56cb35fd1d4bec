"""A unit: one partition of one topic, owned by one transactional producer.

own     start the producer (which fences whoever had the partition), then read the committed position, then seek
fold    load, decide, write
tell    one transaction: the messages and the position, which is promised while the rest is at work

Trouble ends in one of three ways: the same records again after a pause (a dependency is away), owning anew and
fetching again from the committed position (the producer cannot be trusted), or an alarm (the source is unknown).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.envelope import Message, Record
from shared.errors import CalloutError, OwnershipLost, TransientError, UnknownSchema
from shared.flow.document import BelowFloor, Document, Source
from shared.flow.item import Item, read_item
from shared.flow.ledger import FEW, Ledger
from shared.flow.patience import patiently
from shared.flow.plan import COMMIT_SECONDS, Plan
from shared.flow.room import Room, State
from shared.flow.settings import FlowSettings
from shared.flow.sources import Unusable, generation_of
from shared.flow.standing import fetched_since_sought
from shared.flow.teller import Fenced, Teller
from shared.metrics import FlowFigures
from shared.storage import Documents

log = structlog.get_logger()
Alarm = Callable[..., Awaitable[None]]


class Unit(Generic[State]):
    """Folds and tells the records of one partition."""

    def __init__(
        self,
        partition: TopicPartition,
        *,
        consumer: AIOKafkaConsumer,
        room: Room[State],
        documents: Documents,
        sources: Documents,
        settings: FlowSettings,
        leaving: asyncio.Event,
        alarm: Alarm,
        new_teller: Callable[[TopicPartition], Teller],
    ) -> None:
        self._partition = partition
        self._consumer = consumer
        self._room = room
        self._sources = sources
        self._settings = settings
        self._leaving = leaving
        self._alarm = alarm
        self._new_teller = new_teller
        self._figures = FlowFigures(room.service, partition.topic)
        self._ledger = Ledger(
            room,
            documents,
            Source(partition.topic, partition.partition),
            remembered=settings.remembered_documents,
            figures=self._figures,
        )
        self._teller: Teller | None = None
        self._committed = self._position = self._partitions = 0
        self._committed_at = 0.0
        self._below_floor_at: int | None = None
        self.stopped = False
        self._log = log.bind(topic=partition.topic, partition=partition.partition)

    @property
    def owned(self) -> bool:
        """Whether the partition is ours to work on."""
        return self._teller is not None

    @property
    def overdue(self) -> bool:
        """Whether the position is ours to commit, and was committed a while ago."""
        return self.owned and asyncio.get_running_loop().time() - self._committed_at > COMMIT_SECONDS

    @property
    def _owner(self) -> Teller:
        if self._teller is None:
            raise OwnershipLost("not owned")
        return self._teller

    async def own(self) -> None:
        """Fence whoever had the partition, then see where it stands, then go there.

        Raises:
            TransientError: if Kafka or the store is away; the partition is then not owned.
        """
        await self.disown()
        teller = self._new_teller(self._partition)
        try:
            async with asyncio.timeout(self._settings.own_timeout_seconds):
                await teller.start()
                committed = await self._consumer.committed(self._partition)
                self._partitions = await teller.partitions_of(self._partition.topic)
                generation = await generation_of(self._partition.topic, self._partitions, self._sources)
                await asyncio.gather(*map(teller.partitions_of, self._room.tells_always))
                self._consumer.seek(self._partition, committed or 0)
        except Unusable as error:
            await teller.stop()
            await self._halt(error.kind, str(error))
            return
        except (KafkaError, OSError, TimeoutError, CalloutError) as error:
            await teller.stop()
            raise TransientError(f"cannot own: {type(error).__name__}") from error
        except BaseException:
            await teller.stop()
            raise
        self._ledger.source = Source(self._partition.topic, self._partition.partition, generation)
        self._committed = self._position = committed or 0
        self._teller = teller

    async def disown(self) -> None:
        """Let go of the producer and of everything remembered."""
        teller, self._teller = self._teller, None
        self._ledger.forget()
        if teller is not None:
            await teller.stop()

    async def run(self, records: Sequence[Any]) -> int:
        """Fold and tell records; return how many were told.

        Whatever goes wrong, the partition is left positioned so that what was not told comes again.
        """
        if not self.owned and not self.stopped:
            await self._own_again("not_owned", pause_seconds=0.2)
            return 0
        if self.stopped or not await fetched_since_sought(self._consumer, self._partition, records[-1].offset):
            return 0
        todo = [read_item(self._room, r, self._partitions) for r in records if r.offset >= self._position]
        before = len(todo)
        try:
            todo = await self._work_off(todo)
        except Fenced:
            await self._own_again("fenced", pause_seconds=self._settings.session_timeout_seconds + 0.5)
        except BelowFloor as error:
            await self._below_floor(str(error))
        except UnknownSchema as error:
            await self._halt("unknown_schema", str(error))
        except CalloutError as error:
            await self._own_again(str(error), pause_seconds=0.3)
        return before - len(todo)

    async def _work_off(self, todo: list[Item]) -> list[Item]:
        """Fold and tell all; after a bug one record at a time, so that the culprit alone is buried."""
        at_once = len(todo)
        while todo:
            try:
                told = await self._patiently(todo[:at_once])
                todo = todo[told:]
            except CalloutError:
                raise
            except Exception as error:
                if at_once > 1:
                    at_once = 1
                elif todo[0].incoming is not None:
                    await self._report_bug(todo[0].record, error)
                    self._ledger.forget()
                    todo[0].bury(error, self._room.service)
                    at_once = len(todo)
                else:
                    await self._report_bug(todo[0].record, error)
                    raise OwnershipLost("a record cannot be buried") from error
        return todo

    async def flush(self) -> None:
        """Use a quiet moment: commit the position after records passed over, own what could not be owned before."""
        if not self.owned and not self.stopped:
            await self._own_again("not_owned", pause_seconds=0.2)
            return
        try:
            await self._commit_passed()
        except CalloutError as error:
            await self._own_again(str(error), pause_seconds=0.3)

    def rewind(self) -> None:
        """Go back to the first record that was not worked off."""
        with contextlib.suppress(KafkaError):
            self._consumer.seek(self._partition, self._position if self.owned else self._committed)

    async def retire(self) -> None:
        """Leave the partition to others, with everything in order."""
        with contextlib.suppress(CalloutError):
            await self._commit_passed()
        await self.disown()

    async def _commit_passed(self) -> None:
        if self.owned and self._position > self._committed:
            await self._tell((), self._position)

    async def _patiently(self, items: Sequence[Item]) -> int:
        """Fold and tell, again and again while a dependency is away."""

        def forget(reason: str, attempt: int) -> None:
            self._log.warning("batch_will_be_tried_again", reason=reason, attempt=attempt)
            self._ledger.forget()

        most = self._settings.retry_for_seconds
        return await patiently(lambda: self._fold_and_tell(items), most, sleep=self._pause, before=forget)

    async def _fold_and_tell(self, items: Sequence[Item]) -> int:
        try:
            if self._room.answers:
                await self._owner.promise(items[-1].offset + 1)
            await self._room.prepare([item.incoming for item in items if item.incoming is not None])
            plan, count = await self._fold(items)
        except Exception:
            await self._owner.withdraw()
            raise
        for record, error in plan.bugs:
            await self._report_bug(record, error)
        if plan.must_tell(position := items[count - 1].offset + 1):
            await self._tell(plan.messages, position)
        self._position = position
        self._ledger.remember(plan.documents, self._committed)
        return count

    async def _tell(self, messages: Sequence[Message], position: int) -> None:
        await self._room.open_topics(messages)
        with self._figures.step("tell"):
            await self._owner.tell(messages, position)
        self._committed, self._committed_at = position, asyncio.get_running_loop().time()
        self._figures.count_told(messages)

    async def _fold(self, items: Sequence[Item]) -> tuple[Plan[State], int]:
        """Decide and write until no document was written by somebody else in between."""
        documents: dict[str, Document[State]] = {}
        ids = dict.fromkeys(item.key for item in items if item.key is not None)
        if len(items) <= FEW:
            ids |= dict.fromkeys(item.guide for item in items if item.guide is not None)
        await self._ledger.load(documents, ids)
        overdue = self.overdue
        while True:
            plan = Plan(self._room, self._ledger.source, self._committed, documents, overdue)
            await self._ledger.load(documents, plan.missing(items))
            with self._figures.step("decide"):
                count = plan.decide(items)
                plan.settle()
            position = items[count - 1].offset + 1
            await (self._owner.promise(position, plan.messages) if plan.must_tell(position) else self._owner.withdraw())
            conflicts = await self._ledger.write(plan)
            if not conflicts:
                return plan, count
            for document in documents.values():
                document.reset()
            await self._ledger.load(documents, conflicts)

    async def _report_bug(self, record: Record, error: Exception) -> None:
        name = type(error).__name__
        self._log.error("record_buried", offset=record.offset, error=name, exc_info=error)
        await self._alarm(kind="bug", partition=self._partition, offset=record.offset, reason=name)

    async def _below_floor(self, reason: str) -> None:
        if self._below_floor_at == self._position:
            await self._halt("stale_source", reason)
            return
        self._below_floor_at = self._position
        await self._own_again("below_floor", pause_seconds=self._settings.session_timeout_seconds + 0.5)

    async def _halt(self, kind: str, reason: str) -> None:
        """Stop with an alarm, until an operator has seen to it; nothing is skipped."""
        self.stopped = True
        self._log.error("partition_stopped", kind=kind, reason=reason)
        await self._alarm(kind=kind, partition=self._partition, offset=self._position, reason=reason)
        await self.disown()

    async def _own_again(self, reason: str, *, pause_seconds: float) -> None:
        """Start over at `own`; on failure the next round tries again."""
        self._log.warning("partition_owned_again", reason=reason)
        self._figures.count_owned_again()
        await self.disown()
        with contextlib.suppress(OwnershipLost, KafkaError):
            await self._pause(pause_seconds)
            if self._partition in self._consumer.assignment():
                try:
                    await self.own()
                except CalloutError as error:
                    self._log.warning("partition_not_owned", reason=str(error))
                    self.rewind()

    async def _pause(self, seconds: float) -> None:
        """Wait; raise `OwnershipLost` once the partition is about to be taken away."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)
            raise OwnershipLost("a rebalance is under way")
