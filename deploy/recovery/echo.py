"""Lets intake's rooms hear again what they heard, so that all that was told comes out, and tells nothing. Pure.

What intake knows of a key is written by several of its partitions, and no topic says in which order their records met
there. But every record's messages were told, by ids that name the record. So records are heard in the order of what
they told; where something else would come out, records of other partitions that had arrived by then are heard first,
until it fits. Among these may be some that nobody has told yet: then the store was ahead of the positions there, and
the key gets back the mark and the messages of such records, which the service tells when they come again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final

import orjson

from deploy.recovery.hearing import Hearing, with_told
from deploy.recovery.memory import NEVER, Heard, Memory, Queue
from services.intake.handlers import KeyRoom
from services.intake.store import document_id, from_document
from shared.contracts.catalogue import CASE_COMMANDS, INTAKE_DECISIONS
from shared.contracts.commands import command_name
from shared.contracts.envelope import Incoming, Record, read
from shared.contracts.ids import derived_id
from shared.errors import Unreadable

#: Which of the things that a record made a message is; and the sum over all that joined with it.
NUMBERS: Final = tuple(map(str, range(6)))
SUMS: Final = ("settle-0", "settle-1")


class Echo:
    """The keys of intake after the records that they heard.

    Records and messages are handed in by time, stored documents before the records that touch them.
    """

    def __init__(self, rooms: Mapping[str, KeyRoom], positions: Mapping[str, int]) -> None:
        self.heard = 0
        self._rooms = rooms
        self._positions = positions
        self._hearing = Hearing(rooms)
        self._memories, self._queues = self._hearing.memories, self._hearing.queues
        self._by_cause: dict[str, list[Heard]] = defaultdict(list)

    @property
    def unexplained(self) -> Sequence[str]:
        """The places of records that should have told something else, in every order that was tried."""
        return self._hearing.unexplained

    @property
    def alike(self) -> Sequence[str]:
        """The places of records that should have told another time or name, but the same counts."""
        return self._hearing.alike

    def listen(self, record: Record) -> Incoming | None:
        """Read a record; nothing for one that touches no key."""
        room = self._rooms[record.topic]
        try:
            incoming = read(room.topic, record)
        except Unreadable:
            return None
        return incoming if incoming is not None and room.key(incoming) is not None else None

    def unknown(self, batch: Iterable[Incoming]) -> set[str]:
        """Return the documents that these records touch and that were not handed in yet."""
        found = {id_ for incoming in batch for id_ in self._touches(incoming) if id_ is not None}
        return found - self._memories.keys()

    def know(self, ids: Iterable[str], documents: Iterable[Mapping[str, Any]]) -> None:
        """Take in documents as they are stored; those of these ids that are not among them do not exist."""
        self._memories.update((id_, Memory()) for id_ in ids)
        for stored in documents:
            key = from_document(dict(stored))
            self._memories[str(stored["_id"])] = Memory(stored=stored, known=key, key=key)

    def take(self, incoming: Incoming) -> None:
        """Take in a record, of each partition in order; one that its key knows is passed over."""
        own, guide = self._touches(incoming)
        source = f"{incoming.topic}/{incoming.partition}"
        if own is None or self._knows(own, guide, source, incoming.offset):
            return
        heard = Heard(incoming, source, own, guide, incoming.offset < self._positions[source])
        for id_ in heard.touches:
            self._queues[id_].setdefault(source, Queue()).items.append(heard)
        self._by_cause[incoming.id].append(heard)

    def told(self, record: Record) -> None:
        """Take in a message, after the record it comes from; what comes from none that was taken in is passed over."""
        headers = dict(record.headers)
        causes = self._by_cause.get(headers.get("ce_causeid", b"").decode())
        if not causes or record.value is None:
            return
        identity = headers["ce_id"].decode()
        for heard in causes:
            name = _name(record, headers, heard.incoming.place, identity)
            if name is None:
                continue
            if name in SUMS:
                body = orjson.loads(record.value)
                heard.sums[document_id(body["tenant_id"], body["dedup_key"])] = int(body["count"])
            else:
                kind = headers["ce_type"].decode().split(".")[2]
                heard.messages[identity] = record.value
                heard.kinds.add(kind)
                if kind == "occur":
                    body = orjson.loads(record.value)
                    heard.counts[body["case_id"]] = heard.counts.get(body["case_id"], 0) + int(body["count"])
            heard.at = min(heard.at, record.timestamp)
            return

    def hear(self, until: float = NEVER) -> None:
        """Hear what told something before that time; at the end (`NEVER`) all that was told of nothing, too."""
        queues = ((id_, queue) for id_, sources in self._queues.items() for queue in sources.values())
        waiting = [heard for id_, queue in queues for heard in queue.waiting() if heard.own == id_]
        due = [heard for heard in waiting if heard.told and heard.due < until]
        for heard in sorted(due, key=lambda each: each.due):
            if not heard.floats:
                self._catch_up(heard)
            elif next(self._queues[heard.own][heard.source].waiting(), None) is heard:
                self._hearing.try_now(heard)  # or it waits until it fits
        if until == NEVER:
            for heard in sorted((each for each in waiting if each.told), key=lambda each: each.arrived):
                self._catch_up(heard)
            self._end_batches([heard for heard in waiting if not heard.told])
        self._forget_heard()

    def finish(self) -> Iterator[tuple[str, Memory]]:
        """Yield the keys that are not as they are stored, and forget all."""
        while self._memories:
            id_, memory = self._memories.popitem()
            if memory.key is not None and (memory.key != memory.known or memory.ahead):
                yield id_, replace(memory, key=with_told(memory.key, min(memory.key.told, memory.key.count)))

    def _touches(self, incoming: Incoming) -> tuple[str | None, str | None]:
        room = self._rooms[incoming.topic]
        return room.key(incoming), room.guide(incoming)

    def _knows(self, own: str, guide: str | None, source: str, offset: int) -> bool:
        """Tell whether a record was heard, and by its guide too if that was asked."""
        memory = self._memories[own]
        heeded = guide is None or memory.verdict(source, offset) is None or self._memories[guide].has(source, offset)
        return memory.has(source, offset) and heeded

    def _end_batches(self, later: list[Heard]) -> None:
        """Hear on where what joined was not summed up: its batch went on beyond the position."""
        for heard in sorted(later, key=lambda each: each.incoming.offset):
            memories = [self._memories[id_] for id_ in (heard.own, heard.guide) if id_ is not None]
            if any(heard.source in memory.joined for memory in memories):
                self._catch_up(heard)

    def _catch_up(self, heard: Heard) -> None:
        """Hear a record after those before it in its partition."""
        found, todo = [heard], [heard]
        while todo:
            last = todo.pop()
            for id_ in last.touches:
                before = takewhile(last.follows, self._queues[id_].get(last.source, Queue()).waiting())
                todo += (new := [each for each in before if each not in found])
                found += new
        for each in sorted(found, key=lambda each: each.incoming.offset):
            if not each.done:
                each.by = min(each.at, heard.at)
                self._hearing.explain(each)

    def _forget_heard(self) -> None:
        self._hearing.forget_steps()
        self._by_cause = defaultdict(list)
        for id_ in list(self._queues):
            for source, queue in list(self._queues[id_].items()):
                self.heard += queue.forget(id_)
                for item in queue.items:
                    if item.own == id_:
                        self._by_cause[item.incoming.id].append(item)
                if not queue.items:
                    del self._queues[id_][source]


def _name(record: Record, headers: Mapping[str, bytes], place: str, identity: str) -> str | None:
    """Return which of the messages of a record this is; nothing if it is none of them."""
    key = (record.key or b"").decode()
    if record.topic == INTAKE_DECISIONS.name:
        kind, subject, numbers = "decision", key.partition("/")[2], (*NUMBERS, *SUMS)
        for number in numbers:
            if derived_id(kind, place, subject, number) == identity:
                return number
        return None
    if record.topic == CASE_COMMANDS.name:
        kind = command_name(headers["ce_type"].decode())
        return next((n for n in NUMBERS if derived_id(kind, place, key, n) == identity), None)
    return None


def by_time(batches: Iterable[Sequence[Record]]) -> list[Record]:
    """Return the records of several partitions in the order of their times, each partition's in its own."""
    return sorted((record for batch in batches for record in batch), key=lambda record: record.timestamp)
