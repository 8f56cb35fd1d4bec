"""The pure heart of the flow: decide a batch on loaded documents, and say what to write and what to tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, cast

from shared.contracts.envelope import Incoming, Message, Record
from shared.contracts.limits import DEFAULT_BYTES_MAX
from shared.errors import CalloutError
from shared.flow.document import EMITTED_BYTES_MAX, Document, Source
from shared.flow.item import Item, buried
from shared.flow.room import Decision, Room, State
from shared.storage import Write

TOLD_BYTES_MAX = 16 * 1024 * 1024
PASSED_MAX = 1000  # records without a message before the position is committed all the same
COMMIT_SECONDS = 1.0  # or so long after it was committed, where anything changed: what lies between is seen as lag


class TooLargeToTell(Exception):
    """A message that the broker would refuse; nothing was written for it."""


@dataclass(slots=True)
class Plan(Generic[State]):
    """Decisions on one partition's records while `position` is its committed position.

    `overdue`: it was committed a while ago, so that it is time to, where anything changed.
    """

    room: Room[State]
    source: Source
    position: int
    documents: dict[str, Document[State]]
    overdue: bool = True
    messages: list[Message] = field(default_factory=list)
    bugs: list[tuple[Record, Exception]] = field(default_factory=list)
    last: dict[str, Incoming] = field(default_factory=dict)
    guides: set[str] = field(default_factory=set)
    told_bytes: int = 0
    full: bool = False
    wrote: bool = False

    def missing(self, items: Sequence[Item]) -> list[str]:
        """Return the guides that these records need and that are not loaded yet."""
        found = (
            item.guide
            for item in items
            if item.guide is not None and item.guide not in self.documents and self._needs_guide(item)
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
                self.full |= self.told_bytes > TOLD_BYTES_MAX
            elif (own := self.documents[item.key]).folded(item.offset):
                self._tell_again(item, item.incoming, own)
            else:
                self._fold(item, item.incoming, own)
            if self.full:
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
        """Return the documents to write: those with verdicts among them, and the guides that rely on these."""
        dirty = [document for document in self.documents.values() if document.dirty]
        return [d for d in dirty if d.id not in self.guides], [d for d in dirty if d.id in self.guides]

    def must_tell(self, position: int) -> bool:
        """Tell whether it is time for a transaction: there are messages, or the position lags behind.

        What was folded in without a message needs none: should it come again, its documents know it. Where others
        write them too it does: they may tell what came of a record before its position was committed, and who
        restores a lost store could not explain that.
        """
        if self.messages or position - self.position > PASSED_MAX:
            return True
        overdue = self.overdue or not self.room.exclusive
        return overdue and (self.wrote or any(document.dirty for document in self.documents.values()))

    def write(self, document: Document[State]) -> Write:
        """Return the write of one dirty document, which has a state."""
        return document.write(self.source, self.position, self.room.to_document(cast("State", document.state)))

    def _needs_guide(self, item: Item) -> bool:
        if item.incoming is None or item.key is None:
            return False
        own = self.documents[item.key]
        if own.folded(item.offset):
            return item.offset in own.mark.verdicts
        return self.room.needs_guide(item.incoming, own.state)

    def _tell_again(self, item: Item, incoming: Incoming, own: Document[State]) -> None:
        """Tell what a folded record made; what its guide has not heeded yet, it heeds now."""
        self.messages.extend(own.stored(item.offset))
        verdict = own.mark.verdicts.get(item.offset)
        if verdict is None or item.guide is None:
            return
        guide = self.documents[item.guide]
        if guide.folded(item.offset):
            self.messages.extend(guide.stored(item.offset))
            return
        try:
            heeded = _checked(self.room.heed(incoming, guide.state, verdict))
        except CalloutError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug costs its record only
            heeded = self._buried(item, error)
        self._see(guide, item.offset, incoming, heeded)
        self.guides.add(guide.id)

    def _fold(self, item: Item, incoming: Incoming, own: Document[State]) -> None:
        guide = self.documents.get(item.guide) if item.guide is not None else None
        if guide is not None and not self.room.needs_guide(incoming, own.state):
            guide = None
        heeded = None
        try:
            decision = _checked(self.room.decide(incoming, own.state, guide.state if guide else None))
            if guide is not None and decision.verdict:
                heeded = _checked(self.room.heed(incoming, guide.state, decision.verdict))
        except CalloutError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug costs its record only
            decision, heeded = self._buried(item, error), None
        self._see(own, item.offset, incoming, decision)
        if guide is not None and heeded is not None:
            self._see(guide, item.offset, incoming, heeded)
            self.guides.add(guide.id)

    def _see(self, document: Document[State], offset: int, incoming: Incoming, decision: Decision[State]) -> None:
        self.last[document.id] = incoming
        document.see(offset, decision.own, list(decision.messages), decision.verdict)
        self.messages.extend(decision.messages)
        self.told_bytes += sum(len(m.value or b"") for m in decision.messages)
        self.full |= document.fresh_bytes > EMITTED_BYTES_MAX or self.told_bytes > TOLD_BYTES_MAX

    def _buried(self, item: Item, error: Exception) -> Decision[State]:
        self.bugs.append((item.record, error))
        return Decision(messages=(buried(item.record, error, self.room.service),))


def _checked(decision: Decision[State]) -> Decision[State]:
    for message in decision.messages:
        if len(message.value or b"") > DEFAULT_BYTES_MAX:
            raise TooLargeToTell(f"{len(message.value or b'')} bytes for {message.topic}")
    return decision
