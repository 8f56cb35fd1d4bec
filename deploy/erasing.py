"""What remains of each record when a person is erased. Pure: it is fed, it reads nothing."""

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

import orjson
from aiokafka import ConsumerRecord, TopicPartition

from deploy.chains import ERASED
from deploy.dead_letters.letter import Letter
from deploy.dead_letters.settled import Settled
from deploy.file_erasure import forget_file
from deploy.topic_moving import Kept, as_it_is
from services.workflow.domain.erasure import NO_DEEDS, Deeds, Person, forget, forget_state, is_about, note_deeds


def case_of(record: ConsumerRecord) -> str:
    """Return the case that a record is about: its key."""
    return (record.key or b"").decode("utf-8", "replace")


@dataclass(slots=True)
class LastSnapshots:
    """Which snapshot of a case is the last one: the only one that is kept."""

    _offsets: dict[tuple[TopicPartition, bytes | None], int] = field(default_factory=dict)

    def note(self, record: ConsumerRecord) -> None:
        """Take in a snapshot; of a case they come in order."""
        self._offsets[TopicPartition(record.topic, record.partition), record.key] = record.offset

    def has(self, record: ConsumerRecord) -> bool:
        """Tell whether a snapshot is the last one."""
        last = self._offsets.get((TopicPartition(record.topic, record.partition), record.key))
        return last is not None and last == int(record.offset)


class Decider(Protocol):
    """Learns from the whole history, and then decides what remains of each record."""

    last: LastSnapshots

    @property
    def touched(self) -> set[str]:
        """The cases whose documents are made again in the end."""

    def learn(self, record: ConsumerRecord) -> None:
        """Take in an event of the history."""

    def concerns(self, record: ConsumerRecord) -> bool:
        """Tell whether an event, of the case or redacted, does not stay as it is."""

    def names(self, record: ConsumerRecord) -> bool:
        """Tell whether a snapshot does not stay."""

    def is_named(self, letter: ConsumerRecord) -> bool:
        """Tell whether a dead letter does not stay."""

    def event(self, record: ConsumerRecord) -> Kept | None:
        """Decide on an event."""

    def snapshot(self, record: ConsumerRecord) -> Kept | None:
        """Decide on a snapshot."""

    def of_file(self, record: ConsumerRecord) -> Kept | None:
        """Decide on an event of a file."""

    def letter(self, record: ConsumerRecord) -> Kept | None:
        """Decide on a dead letter."""


@dataclass(slots=True)
class Erasing:
    """Decides what remains of each record of each topic."""

    person: Person
    #: Only these cases, if any are named.
    cases: frozenset[str] = frozenset()
    deeds: defaultdict[str, Deeds] = field(default_factory=lambda: defaultdict(Deeds))
    #: Cases of which an event has left its digest, of this person or of another.
    touched: set[str] = field(default_factory=set)
    settled: Settled = field(default_factory=Settled)
    last: LastSnapshots = field(default_factory=LastSnapshots)

    def learn(self, record: ConsumerRecord) -> None:
        """Take in what an event says that the person did."""
        if ERASED in dict(record.headers):
            self.touched.add(case_of(record))
        body = self._body(record)
        if body is not None:
            deeds = Deeds()
            note_deeds(body, self.person, deeds)
            if deeds != NO_DEEDS:
                known = self.deeds[case_of(record)]
                known.versions |= deeds.versions
                known.notes |= deeds.notes
                known.words |= deeds.words

    def event(self, record: ConsumerRecord) -> Kept:
        """Decide on an event, of the case or redacted: its body goes, its digest stays."""
        body = self._body(record)
        if body is None:
            return as_it_is(record)
        forgotten = forget(body, self.person, self.deeds.get(case_of(record), NO_DEEDS))
        if forgotten is body:
            return as_it_is(record)
        headers = list(record.headers)
        if ERASED not in dict(headers):
            headers.append((ERASED, sha256(record.value).hexdigest().encode()))
        return Kept(record.key, orjson.dumps(forgotten), headers)

    def concerns(self, record: ConsumerRecord) -> bool:
        """Tell whether an event names the person."""
        return self.event(record).value is not record.value

    def snapshot(self, record: ConsumerRecord) -> Kept | None:
        """Decide on a snapshot: what is replaced goes, what was the last word stays, without the person."""
        if not self.last.has(record):
            return None
        if record.value is None:
            return as_it_is(record)
        state = self._about({"case": orjson.loads(record.value)}, record)
        if state is None:
            return as_it_is(record)
        forgotten = forget_state(state["case"], self.person, self.deeds.get(case_of(record), NO_DEEDS))
        return (
            as_it_is(record)
            if forgotten is state["case"]
            else Kept(record.key, orjson.dumps(forgotten), record.headers)
        )

    def names(self, record: ConsumerRecord) -> bool:
        """Tell whether a snapshot names the person, the last one or an earlier one."""
        if record.value is None:
            return False
        state = self._about({"case": orjson.loads(record.value)}, record)
        return (
            state is not None
            and forget_state(state["case"], self.person, self.deeds.get(case_of(record), NO_DEEDS)) is not state["case"]
        )

    def of_file(self, record: ConsumerRecord) -> Kept:
        """Decide on an event of a file: who stored it goes, and what its name tells of them."""
        if record.value is None:
            return as_it_is(record)
        body = orjson.loads(record.value)
        forgotten = forget_file(body, self.person)
        if forgotten is body or (self.cases and body.get("case_id") not in self.cases):
            return as_it_is(record)
        return Kept(record.key, orjson.dumps(forgotten), record.headers)

    def letter(self, record: ConsumerRecord) -> Kept | None:
        """Decide on a dead letter: what names the person goes whole, and what is settled."""
        if self.settled.find(Letter(record)) or self.is_named(record):
            return None
        return as_it_is(record)

    def is_named(self, record: ConsumerRecord) -> bool:
        """Tell whether a record that nobody could read has the person's id beside the tenant's, or one of the words."""
        text = (record.value or b"").decode("utf-8", "replace")
        quoted = [orjson.dumps(name).decode() for name in (self.person.id, self.person.tenant_id)]
        words = self.person.words.union(*(deeds.words for deeds in self.deeds.values()))
        whole = Person(tenant_id=self.person.tenant_id, id=self.person.id, words=words)
        return all(name in text for name in quoted) or whole.meant_by(text) is not None

    def _body(self, record: ConsumerRecord) -> dict[str, Any] | None:
        """Return the body of an event of a case that is meant; nothing of others."""
        if record.value is None:
            return None
        body: dict[str, Any] = orjson.loads(record.value)
        return self._about(body, record)

    def _about(self, body: dict[str, Any], record: ConsumerRecord) -> dict[str, Any] | None:
        meant = is_about(body, self.person) and (not self.cases or case_of(record) in self.cases)
        return body if meant else None


class Plan:
    """Takes in all records, and says which partitions have to be written anew, and how many records they have."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._seen: defaultdict[TopicPartition, int] = defaultdict(int)
        self._found: defaultdict[str, set[TopicPartition]] = defaultdict(set)
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.cases: set[str] = set()

    def event(self, record: ConsumerRecord) -> None:
        """Take in an event of the history."""
        if self._note("events", record, self._decider.concerns(record)):
            self.cases.add(case_of(record))

    def redacted(self, record: ConsumerRecord) -> None:
        """Take in an event of a redacted topic."""
        self._note("redacted", record, self._decider.concerns(record))

    def of_file(self, record: ConsumerRecord) -> None:
        """Take in an event of a file."""
        kept = self._decider.of_file(record)
        self._note("told_of_files", record, kept is None or kept.value is not record.value)

    def snapshot(self, record: ConsumerRecord) -> None:
        """Take in a snapshot."""
        self._decider.last.note(record)
        self._note("snapshots", record, self._decider.names(record))

    def letter(self, record: ConsumerRecord) -> None:
        """Take in a dead letter."""
        self._note("letters", record, self._decider.is_named(record))

    def partitions(self) -> dict[TopicPartition, int]:
        """Return the partitions in the order in which they are written anew, the history last."""
        kinds = ("letters", "told_of_files", "snapshots", "redacted", "events")
        return {partition: self._seen[partition] for kind in kinds for partition in sorted(self._found[kind])}

    def _note(self, what: str, record: ConsumerRecord, goes: bool) -> bool:
        place = TopicPartition(record.topic, record.partition)
        self._seen[place] += 1
        if goes:
            self._found[what].add(place)
            self.counts[what] += 1
        return goes
