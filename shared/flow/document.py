"""A document and its marks: what was folded into it from each source, and the messages that made.

A mark says, for one source partition: the offset of the last record folded in, the `floor` (the position committed
at that write, below which no record can ever come again) and the messages of the records at or above it.
"""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic

from shared.contracts.envelope import Message
from shared.errors import OwnershipLost
from shared.flow.room import State
from shared.storage import Write

EMITTED_BYTES_MAX = 1024 * 1024


class BelowFloor(OwnershipLost):
    """A record came that can never come again: we are not the owner any more, or the source was made anew."""


@dataclass(frozen=True, slots=True)
class Source:
    """One partition of one topic, and how often the topic was adopted anew."""

    topic: str
    partition: int
    generation: int = 0

    @property
    def name(self) -> str:
        """The name under which marks are kept."""
        return f"{self.topic}/{self.partition}"


@dataclass(slots=True)
class Mark:
    """What is known of one source in one document."""

    offset: int = -1
    floor: int = 0
    emitted: list[dict[str, Any]] = field(default_factory=list)
    verdicts: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Document(Generic[State]):
    """A document as one unit sees it: the state, its revision and the mark of the unit's own source."""

    id: str
    revision: int
    state: State | None
    mark: Mark
    other_marks: list[dict[str, Any]]
    base: State | None = None
    dirty: bool = False
    seen: int = -1
    fresh: dict[int, list[Message]] = field(default_factory=dict)
    fresh_verdicts: dict[int, str] = field(default_factory=dict)
    fresh_bytes: int = 0
    pending: Mark = field(default_factory=Mark)

    def folded(self, offset: int) -> bool:
        """Tell whether a record of the unit's source is folded in already.

        Raises:
            BelowFloor: if the record cannot come again.
        """
        if offset < self.mark.floor:
            raise BelowFloor(f"offset {offset} is below the floor {self.mark.floor} of {self.id[:80]}")
        return offset <= self.mark.offset

    def stored(self, offset: int) -> list[Message]:
        """Return the messages that a folded record made."""
        return [_unpack(entry) for entry in self.mark.emitted if entry["offset"] == offset]

    def see(self, offset: int, state: State | None, messages: list[Message], verdict: str = "") -> None:
        """Note what a record did: the new state (nothing: unchanged) and its messages."""
        if state is not None:
            self.state = state
            self.dirty = True
        self.seen = offset
        if messages:
            self.fresh.setdefault(offset, []).extend(messages)
            self.fresh_bytes += sum(len(m.value or b"") + 600 for m in messages)
        if verdict:
            self.fresh_verdicts[offset] = verdict

    def write(self, source: Source, position: int, body: dict[str, Any]) -> Write:
        """Return the write that folds in what was seen while `position` was committed."""
        self.pending = Mark(
            offset=max(self.seen, self.mark.offset),
            floor=position,
            emitted=[e for e in self.mark.emitted if e["offset"] >= position]
            + [_pack(offset, message) for offset, messages in self.fresh.items() for message in messages],
            verdicts={o: v for o, v in self.mark.verdicts.items() if o >= position} | self.fresh_verdicts,
        )
        body["_id"] = self.id
        body["revision"] = self.revision + 1
        body["marks"] = [*self.other_marks, _pack_mark(source, self.pending)]
        return Write(self.id, self.revision, body)

    def written(self) -> None:
        """Note that the last write took place."""
        self.mark = self.pending
        self.revision += 1
        self.base = self.state
        self.reset()

    def reset(self) -> None:
        """Go back to what is stored."""
        self.state = self.base
        self.dirty = False
        self.seen = -1
        self.fresh = {}
        self.fresh_verdicts = {}
        self.fresh_bytes = 0

    def told(self, position: int) -> None:
        """Note that all below a position was told; an earlier owner may have folded in more."""
        self.mark.emitted = [e for e in self.mark.emitted if e["offset"] >= position]
        self.mark.verdicts = {o: v for o, v in self.mark.verdicts.items() if o >= position}
        self.reset()


def new_document(id_: str) -> Document[Any]:
    """Return the document of an id that has none yet."""
    return Document(id=id_, revision=0, state=None, mark=Mark(), other_marks=[])


def read_document(stored: dict[str, Any], state: State, source: Source) -> Document[State]:
    """Read a stored document as the unit of `source` sees it; marks of earlier generations are dropped."""
    mark = Mark()
    others = []
    for packed in stored.get("marks", ()):
        if packed["source"] != source.name:
            others.append(packed)
        elif packed["generation"] >= source.generation:
            mark = _unpack_mark(packed)
    return Document(
        id=stored["_id"], revision=stored["revision"], state=state, base=state, mark=mark, other_marks=others
    )


def _pack_mark(source: Source, mark: Mark) -> dict[str, Any]:
    packed: dict[str, Any] = {
        "source": source.name,
        "generation": source.generation,
        "offset": mark.offset,
        "floor": mark.floor,
        "emitted": mark.emitted,
    }
    if mark.verdicts:
        packed["verdicts"] = [{"offset": o, "verdict": v} for o, v in mark.verdicts.items()]
    return packed


def _unpack_mark(packed: dict[str, Any]) -> Mark:
    verdicts = {entry["offset"]: entry["verdict"] for entry in packed.get("verdicts", ())}
    return Mark(packed["offset"], packed["floor"], packed["emitted"], verdicts)


def _pack(offset: int, message: Message) -> dict[str, Any]:
    """Return a message as it is stored; names of headers are values here, for outsiders choose some of them."""
    return {
        "offset": offset,
        "topic": message.topic,
        "key": message.key,
        "value": message.value,
        "headers": list(chain.from_iterable(message.headers)),
    }


def _unpack(entry: dict[str, Any]) -> Message:
    parts = entry["headers"]
    return Message(entry["topic"], entry["key"], entry["value"], tuple(zip(parts[::2], parts[1::2], strict=True)))
