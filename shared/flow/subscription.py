"""A subscription: a service's part in the flow of one topic, a unit for each partition, side by side."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from aiokafka import ConsumerRecord, TopicPartition
from faststream.kafka import KafkaBroker

from shared.flow.ear import Ear, Work
from shared.flow.room import Room, State
from shared.flow.settings import FlowSettings
from shared.flow.traced import TracedUnit
from shared.flow.unit import Alarm, Unit
from shared.storage import Documents


class Subscription(Ear[Unit[State]]):
    """One service's ear for one topic, whose records become documents and messages."""

    def __init__(
        self,
        broker: KafkaBroker,
        room: Room[State],
        *,
        documents: Documents,
        sources: Documents,
        settings: FlowSettings,
        alarm: Alarm,
    ) -> None:
        super().__init__(broker, room, settings=settings, alarm=alarm)
        self._room = room
        self._documents = documents
        self._sources = sources

    def _unit(self, partition: TopicPartition) -> Unit[State]:
        make: Callable[..., Unit[State]] = Unit
        if self.tracing is not None:
            make = partial(TracedUnit, tracing=self.tracing, group=self.group)
        return make(
            partition,
            consumer=self.subscriber.consumer,
            room=self._room,
            documents=self._documents,
            sources=self._sources,
            settings=self._settings,
            leaving=self._leaving,
            alarm=self._raise_alarm,
            new_teller=self._teller,
        )

    async def _work_off(self, work: Work) -> int:
        quiet = [unit for tp, unit in self.units.items() if tp not in work and unit.overdue]
        running = [self._run_unit(self.units[tp], batch) for tp, batch in work.items()]
        told, _ = await asyncio.gather(asyncio.gather(*running), asyncio.gather(*(unit.flush() for unit in quiet)))
        return sum(told)

    async def _run_unit(self, unit: Unit[State], batch: Sequence[ConsumerRecord]) -> int:
        told = await unit.run(batch)
        self._figures.count_delays(batch[:told])
        return told
