"""A unit that leaves a trace: used in place of the plain one where tracing is on; the plain one knows nothing of it."""

import time
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from shared.errors import CalloutError
from shared.flow.item import Item
from shared.flow.room import State
from shared.flow.unit import Unit

if TYPE_CHECKING:  # what it brings along is loaded only where tracing is on
    from shared.tracing import Followed, Tracing


class TracedUnit(Unit[State]):
    """Works as a unit does; what sampled records make carries on their traces."""

    def __init__(self, partition: TopicPartition, *, tracing: "Tracing", group: str, **parts: Any) -> None:  # noqa: ANN401
        super().__init__(partition, **parts)
        self._tracing = tracing
        self._group = group

    async def _work_off(self, todo: list[Item]) -> list[Item]:
        began_ns, records, topic = time.time_ns(), len(todo), self._partition.topic
        followed = self._follow(todo)
        if not followed:
            return await super()._work_off(todo)
        with self._figures.timed_steps() as steps:
            try:
                rest = await super()._work_off(todo)
            except CalloutError as error:
                self._tracing.fail(topic, records, began_ns, type(error).__name__, steps)
                raise
        self._tracing.end(topic, records, began_ns, followed, steps)
        return rest

    def _follow(self, todo: list[Item]) -> "list[Followed]":
        """Put each sampled record's own span in the place of its sender's, for what it makes to carry on."""
        followed = []
        for item in todo:
            found = None if item.incoming is None else self._tracing.follow(item.incoming, self._group)
            if found is not None and item.incoming is not None:
                item.incoming = item.incoming._replace(traceparent=found.traceparent)
                followed.append(found)
        return followed
