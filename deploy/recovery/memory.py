"""What is remembered of one key of intake, and of the records it has to hear, while it is made again. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.intake.domain import Key
from services.intake.store import to_document
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.envelope import Incoming, Message
from shared.flow.document import Source, read_document

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Ahead:
    """A record that a key knows though its service has not told it."""

    source: str
    offset: int
    messages: tuple[Message, ...]
    verdict: str


@dataclass(frozen=True, slots=True)
class Memory:
    """A key on its way: as it is stored, as it is, the sources it heard, and what it knows before it was told.

    `joined`: how many signals of a source joined since that was last told.
    """

    stored: Mapping[str, Any] | None = None
    known: Key | None = None
    key: Key | None = None
    heard: frozenset[str] = frozenset()
    ahead: tuple[Ahead, ...] = ()
    joined: Mapping[str, int] = field(default_factory=dict)

    def mark(self, source: str) -> Mapping[str, Any]:
        """Return the stored mark of a source."""
        marks = self.stored["marks"] if self.stored else ()
        return next((mark for mark in marks if mark["source"] == source), {"offset": -1})

    def has(self, source: str, offset: int) -> bool:
        """Tell whether a record is folded in."""
        newest = max((each.offset for each in self.ahead if each.source == source), default=-1)
        return bool(max(newest, self.mark(source)["offset"]) >= offset)

    def messages(self, source: str, offset: int) -> tuple[Message, ...]:
        """Return what a record that is folded in made."""
        for each in self.ahead:
            if (each.source, each.offset) == (source, offset):
                return each.messages
        topic, _, partition = source.rpartition("/")
        stored = dict(self.stored or {"_id": "", "revision": 0})
        return tuple(read_document(stored, None, Source(topic, int(partition))).stored(offset))

    def verdict(self, source: str, offset: int) -> str | None:
        """Return what the guide said of a record."""
        for each in self.ahead:
            if (each.source, each.offset) == (source, offset):
                return each.verdict
        entries = self.mark(source).get("verdicts", ())
        return next((str(entry["verdict"]) for entry in entries if entry["offset"] == offset), None)


@dataclass(slots=True, eq=False)
class Heard:
    """A record, and what was told of it; `told` is whether it lies below the position, so that all of it was."""

    incoming: Incoming
    source: str
    own: str
    guide: str | None
    told: bool
    messages: dict[str, bytes] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    #: Case -> how many signals it was told of.
    counts: dict[str, int] = field(default_factory=dict)
    #: Document -> how many had joined when this, the last record of its batch, was told.
    sums: dict[str, int] = field(default_factory=dict)
    #: When something of it was told first.
    at: float = NEVER
    #: The latest moment at which it can have been heard.
    by: float = NEVER
    done: bool = False
    #: Whether it was forgotten since: if it is undone, it has to be heard again at once.
    gone: bool = False

    @property
    def arrived(self) -> float:
        """When the record was appended, in milliseconds."""
        return self.incoming.now.timestamp() * 1000

    @property
    def touches(self) -> tuple[str, ...]:
        """The keys that it touches, or may."""
        return (self.own,) if self.guide is None else (self.own, self.guide)

    def follows(self, other: "Heard") -> bool:
        """Tell whether another record of its partition lies before it."""
        return other.incoming.offset < self.incoming.offset

    @property
    def floats(self) -> bool:
        """Whether nothing says when it was heard; a signal that told nothing came with the next that did."""
        return self.at == NEVER and self.incoming.topic != DEVICE_SIGNALS.name

    @property
    def due(self) -> float:
        """When it was heard, as far as one can tell."""
        return self.arrived if self.floats else self.at


@dataclass(slots=True)
class Step:
    """One record heard: what the keys that it touched were before and after."""

    heard: Heard
    before: dict[str, Memory] = field(default_factory=dict)
    after: dict[str, Memory] = field(default_factory=dict)


@dataclass(slots=True)
class Queue:
    """The records of one partition that one key has to hear, in order."""

    items: list[Heard] = field(default_factory=list)
    start: int = 0

    def waiting(self) -> Iterator[Heard]:
        """Yield what was not heard yet."""
        while self.start < len(self.items) and self.items[self.start].done:
            self.start += 1
        return (item for item in self.items[self.start :] if not item.done)

    def forget(self, id_: str) -> int:
        """Forget what was heard; return how much of it was this key's own."""
        count = 0
        for item in self.items:
            item.gone = item.done
            count += item.done and item.own == id_
        self.items, self.start = [item for item in self.items if not item.done], 0
        return count


def document_of(
    id_: str, memory: Memory, positions: Mapping[str, int], generations: Mapping[str, int]
) -> dict[str, Any]:
    """Return the document of a key that is there: what was told is folded in, what was not is known with its messages.

    Raises:
        ValueError: there is no key.
    """
    key = memory.key
    if key is None:
        raise ValueError(id_)
    body = dict(memory.stored) if memory.stored else {"_id": id_, "revision": 0, "marks": []}
    for name in sorted(memory.heard):
        topic, _, partition = name.rpartition("/")
        source = Source(topic, int(partition), generations.get(topic, 0))
        document = read_document(body, key, source)
        document.see(max(positions[name] - 1, document.mark.offset), key, [])
        for each in memory.ahead:
            if each.source == name:
                document.see(each.offset, key, list(each.messages), each.verdict)
        body = document.write(source, positions[name], to_document(key)).document
    return body
