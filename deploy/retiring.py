"""What remains when ended cases go after the time that their tenants keep them. Pure: it is fed, it reads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from aiokafka import ConsumerRecord

from deploy.erasing import LastSnapshots, case_of
from deploy.topic_moving import Kept, as_it_is
from shared.contracts.words import State


@dataclass(slots=True)
class Retiring:
    """Decides what remains of each record: nothing of a case that is archived or deleted for long enough."""

    #: Days by tenant; of others, all is kept.
    days: Mapping[str, int]
    now: datetime
    #: The cases that go; known when all of the history was learned.
    gone: set[str] = field(default_factory=set)
    last: LastSnapshots = field(default_factory=LastSnapshots)

    @property
    def touched(self) -> set[str]:
        """The cases whose documents are made again: none."""
        return set()

    def learn(self, record: ConsumerRecord) -> None:
        """Take in what an event says of its case."""
        if record.value is None:
            return
        body = orjson.loads(record.value)
        state, days = body["case"], self.days.get(body["case"]["tenant_id"])
        ended = state["state"] == State.ARCHIVED or "deleted_at" in state
        if days and ended and datetime.fromisoformat(body["at"]) + timedelta(days=days) < self.now:
            self.gone.add(case_of(record))
        else:
            self.gone.discard(case_of(record))

    def concerns(self, record: ConsumerRecord) -> bool:
        """Tell whether an event or a snapshot is of a case that goes."""
        return case_of(record) in self.gone

    def event(self, record: ConsumerRecord) -> Kept | None:
        """Decide on an event, of the case or redacted."""
        return None if self.concerns(record) else as_it_is(record)

    def snapshot(self, record: ConsumerRecord) -> Kept | None:
        """Decide on a snapshot: what is replaced goes too."""
        return self.event(record) if self.last.has(record) else None

    def names(self, record: ConsumerRecord) -> bool:
        """Tell whether a snapshot is of a case that goes."""
        return self.concerns(record)

    def is_named(self, _letter: ConsumerRecord) -> bool:
        """Tell whether a dead letter goes: they go by themselves."""
        return False

    def of_file(self, record: ConsumerRecord) -> Kept:
        """Keep an event of a file: they go by themselves."""
        return as_it_is(record)

    def letter(self, record: ConsumerRecord) -> Kept | None:
        """Keep a dead letter."""
        return as_it_is(record)
