"""The documents of one unit: loaded, remembered where nobody else writes them, and written back with a guard."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic

from shared.flow.document import Document, Source, new_document, read_document
from shared.flow.plan import Plan
from shared.flow.room import Room, State
from shared.metrics import FlowFigures
from shared.storage import Documents

FEW: Final = 50
"""So few documents that a round trip costs more than they do."""


class Ledger(Generic[State]):
    """What one source partition's records are folded into."""

    def __init__(
        self, room: Room[State], documents: Documents, source: Source, *, remembered: int, figures: FlowFigures
    ) -> None:
        self.source = source
        self._room = room
        self._documents = documents
        self._remembered = remembered if room.exclusive else 0
        self._memory: dict[str, Document[State]] = {}
        self._figures = figures

    async def load(self, documents: dict[str, Document[Any]], ids: Iterable[str]) -> None:
        """Add documents to those at hand, from memory or in one round trip.

        Raises:
            TransientError: if the store is away.
            UnknownSchema: if a newer version wrote one of them.
        """
        unknown = []
        for id_ in ids:
            if id_ in self._memory:
                documents[id_] = self._memory[id_]
            else:
                unknown.append(id_)
        if not unknown:
            return
        documents.update((id_, new_document(id_)) for id_ in unknown)
        with self._figures.step("load"):
            found = await self._documents.find(unknown)
        for stored in found:
            documents[stored["_id"]] = read_document(stored, self._room.from_document(stored), self.source)

    async def write(self, plan: Plan[State]) -> list[str]:
        """Write what the plan changed; return the ids of what was not written, because somebody else wrote first.

        After a conflict nothing that may rely on it is written: it is to be decided again.

        Raises:
            TransientError: if the store is away; what was written is then not known.
        """
        for documents, ordered in _stages(plan):
            with self._figures.step("write"):
                writes = [plan.write(document) for document in documents]
                conflicts = await self._documents.replace(writes, ordered=ordered)
            plan.wrote = True
            for document in documents:
                if document.id in conflicts:
                    self._memory.pop(document.id, None)
                else:
                    document.written()
            if conflicts:
                self._figures.count_conflicts(len(conflicts))
                return sorted(conflicts)
        return []

    def remember(self, documents: dict[str, Document[State]], position: int) -> None:
        """Keep documents for the next rounds, now that all below a position is told; the oldest give way."""
        if not self._remembered:
            return
        for id_, document in documents.items():
            document.told(position)
            self._memory.pop(id_, None)
            self._memory[id_] = document
        while len(self._memory) > self._remembered:
            del self._memory[next(iter(self._memory))]

    def forget(self) -> None:
        """Forget all: the next load asks the store."""
        self._memory.clear()


def _stages(plan: Plan[State]) -> Iterator[tuple[list[Document[State]], bool]]:
    """Return what to write in one go: what holds verdicts first, and guides after; a few in one go, in order."""
    owns, guides = plan.dirty()
    if guides and len(guides) + len(owns) <= FEW:
        yield [*owns, *guides], True
        return
    yield from ((documents, False) for documents in (owns, guides) if documents)
