"""The pure heart of the flow: decide a batch on loaded documents, and say what to write and what to tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, cast

from shared.contracts.envelope import Incoming, Message, Record
from shared.contracts.limits import DEFAULT_BYTES_MAX
from shared.errors import CalloutError
from shared.flow.document import EMITTED_BYTES_MAX, Document, Source
from shared.flow.item import Item, buried
from shared.flow.room import Decision, Room, State
from shared.storage import Write

TOLD_BYTES_MAX = 16 * 1024 * 1024
PASSED_MAX = 1000  # records passed over before the position is committed all the same


class TooLargeToTell(Exception):
    """A message that the broker would refuse; nothing was written for it."""


@dataclass(slots=True)
class Plan(Generic[State]):
    """Decisions on one partition's records while `position` is its committed position.

    Records below `horizon` may have been folded in, in part, by an earlier owner of the partition.
    """

    room: Room[State]
    source: Source
    position: int
    horizon: int
    documents: dict[str, Document[State]]
    messages: list[Message] = field(default_factory=list)
    bugs: list[tuple[Record, Exception]] = field(default_factory=list)
    last: dict[str, Incoming] = field(default_factory=dict)
    told_bytes: int = 0
    wrote: bool = False

    def missing(self, items: Sequence[Item]) -> list[str]:
        """Return the guides that these records need and that are not loaded yet."""
        found = (
            item.guide
            for item in items
            if item.guide is not None and item.guide not in self.documents and self._asks_guide(item)
        )
        return list(dict.fromkeys(found))

    def decide(self, items: Sequence[Item]) -> int:
        """Decide records in order; return how many were: fewer than all when a document, or the plan, is full.

        Raises:
            BelowFloor: if a record came that can never come again.
        """
        for count, item in enumerate(items, 1):
            if item.incoming is None or item.key is None:
                self.messages.extend(item.messages)
                self.told_bytes += sum(len(m.value or b"") for m in item.messages)
                if self.told_bytes > TOLD_BYTES_MAX:
                    return count
                continue
            own = self.documents[item.key]
            self.last[item.key] = item.incoming
            if own.folded(item.offset):
                self._tell_again(item, own)
            elif self._fold(item, item.incoming, own):
                return count
        return len(items)

    def settle(self) -> None:
        """Sum up every document that is about to be written, and add what follows from all messages."""
        for id_, document in self.documents.items():
            if document.dirty and document.state is not None:
                state, messages = self.room.settle(document.state, self.last[id_])
                document.see(document.seen, state, list(messages))
                self.messages.extend(messages)
        self.messages.extend(self.room.derive(self.messages))

    def dirty(self) -> tuple[list[Document[State]], list[Document[State]]]:
        """Return the documents to write: guides, and those that may rely on them."""
        dirty = [document for document in self.documents.values() if document.dirty]
        return [d for d in dirty if d.fresh_verdicts], [d for d in dirty if not d.fresh_verdicts]

    def must_tell(self, position: int) -> bool:
        """Tell whether there is more to say of these records than that they were passed over, or that of too many."""
        dirty = any(document.dirty for document in self.documents.values())
        return self.wrote or dirty or bool(self.messages) or position - self.position > PASSED_MAX

    def write(self, document: Document[State]) -> Write:
        """Return the write of one dirty document, which has a state."""
        return document.write(self.source, self.position, self.room.to_document(cast("State", document.state)))

    def _asks_guide(self, item: Item) -> bool:
        if item.incoming is None or item.key is None:
            return False
        own = self.documents[item.key]
        behind = item.offset < self.horizon or own.folded(item.offset)
        return behind or self.room.needs_guide(item.incoming, own.state)

    def _tell_again(self, item: Item, own: Document[State]) -> None:
        self.messages.extend(own.stored(item.offset))
        if item.guide is not None:
            self.messages.extend(self.documents[item.guide].stored(item.offset))

    def _fold(self, item: Item, incoming: Incoming, own: Document[State]) -> bool:
        guide, verdict = self._ask(item, incoming, own)
        try:
            decision = self.room.decide(incoming, own.state, guide.state if guide else None, verdict)
            messages = _checked(decision)
        except CalloutError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug costs its record only
            self.bugs.append((item.record, error))
            decision, messages = Decision(), [buried(item.record, error, self.room.service)]
        in_guide = guide is not None and decision.guide_tells
        if guide is not None and decision.guide is not None:
            self.last[guide.id] = incoming
            guide.see(item.offset, decision.guide, messages if in_guide else [], decision.verdict)
        own.see(item.offset, decision.own, [] if in_guide else messages)
        self.messages.extend(messages)
        self.told_bytes += sum(len(m.value or b"") for m in messages)
        full = own.fresh_bytes > EMITTED_BYTES_MAX or (guide is not None and guide.fresh_bytes > EMITTED_BYTES_MAX)
        return full or self.told_bytes > TOLD_BYTES_MAX

    def _ask(self, item: Item, incoming: Incoming, own: Document[State]) -> tuple[Document[State] | None, str | None]:
        """Return the guide to be asked, or the verdict that it gave before a crash."""
        guide = self.documents.get(item.guide) if item.guide is not None else None
        if guide is None:
            return None, None
        if guide.folded(item.offset) and item.offset in guide.mark.verdicts:
            self.messages.extend(guide.stored(item.offset))
            return None, guide.mark.verdicts[item.offset]
        if not self.room.needs_guide(incoming, own.state):
            return None, None
        return (None, "") if guide.folded(item.offset) else (guide, None)


def _checked(decision: Decision[Any]) -> list[Message]:
    for message in decision.messages:
        if len(message.value or b"") > DEFAULT_BYTES_MAX:
            raise TooLargeToTell(f"{len(message.value or b'')} bytes for {message.topic}")
    return list(decision.messages)
