"""Makes again what waits for the creation of its case: commands that were heard, and of which there is no event."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from services.workflow.domain import Case
from services.workflow.domain.decide import PARKABLE
from services.workflow.domain.history import wait
from services.workflow.store import from_document
from shared.contracts.catalogue import CASE_COMMANDS
from shared.contracts.commands import command_name, command_type
from shared.contracts.envelope import Incoming, read
from shared.contracts.events import Cause
from shared.errors import Unreadable
from shared.flow.teller import home_partition

WAITING = frozenset(command_type(name).encode() for name in PARKABLE)


class Stubs:
    """Takes in commands in the order of their topic, and keeps those of cases that nobody created."""

    def __init__(self, partitions: int, created: Callable[[Set[str]], Awaitable[Set[str]]]) -> None:
        self.cases: dict[str, Case] = {}
        self._partitions = partitions
        self._created = created
        self._seen: dict[str, int] = {}
        self._known: dict[str, Case] = {}

    def know(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take in stubs as they are stored: what they have seen is not taken in again."""
        for stored in documents:
            case = from_document(dict(stored))
            self.cases[case.id] = self._known[case.id] = case
            self._seen[case.id] = max((int(mark["offset"]) for mark in stored["marks"]), default=-1)

    async def take(self, records: Sequence[Any]) -> None:
        """Take in commands."""
        waiting = [incoming for record in records if (incoming := self._read(record)) is not None]
        unknown = {str(incoming.data.case_id) for incoming in waiting} - self.cases.keys()
        created = await self._created(unknown) if unknown else set()
        for incoming in waiting:
            case_id = str(incoming.data.case_id)
            if case_id not in created and incoming.offset > self._seen.get(case_id, -1):
                stub = self.cases.get(case_id) or Case(id=case_id)
                cause = Cause(incoming.id, incoming.type, incoming.topic, incoming.partition, incoming.offset)
                name = command_name(incoming.type)
                self.cases[case_id] = wait(stub, name, incoming.data, cause=cause, now=incoming.now)

    def changed(self) -> list[Case]:
        """Return the stubs on which more waits than was stored."""
        return [case for case in self.cases.values() if case.parked and case != self._known.get(case.id)]

    def _read(self, record: Any) -> Incoming | None:  # noqa: ANN401 - the client's record
        if dict(record.headers).get("ce_type") not in WAITING:
            return None
        try:
            incoming = read(CASE_COMMANDS, record)
        except Unreadable:
            return None
        if (
            incoming is None
            or home_partition(str(incoming.data.case_id).encode(), self._partitions) != record.partition
        ):
            return None  # what lies on a foreign partition was sent home, and lies there too
        return incoming
