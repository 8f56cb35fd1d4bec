"""One record on its way through the flow: read, or answered without being read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import Incoming, Message, Record, read, size_of
from shared.contracts.limits import DEFAULT_BYTES_MAX
from shared.contracts.words import DeadCode
from shared.errors import Unreadable
from shared.flow.room import Room
from shared.flow.teller import home_partition


@dataclass(slots=True)
class Item:
    """A record, the documents it touches, and the messages it makes where it is not read (`incoming` is nothing)."""

    record: Record
    incoming: Incoming | None = None
    key: str | None = None
    guide: str | None = None
    messages: Sequence[Message] = ()

    @property
    def offset(self) -> int:
        """The record's offset."""
        return self.record.offset

    def bury(self, error: Exception, service: str) -> None:
        """Make a dead letter of a record that our own code failed on."""
        self.incoming = None
        self.messages = (buried(self.record, error, service),)


def read_item(room: Room[Any], record: Record, partitions: int) -> Item:
    """Read a record; one that lies on a foreign partition, where two would write its document, is sent home."""
    try:
        incoming = read(room.topic, record)
        key = room.key(incoming) if incoming is not None else None
    except Unreadable as error:
        return Item(record, messages=room.unreadable(record, error))
    if incoming is None:
        return Item(record)
    if key is None:
        return Item(record, messages=room.hand_on(incoming))
    if room.exclusive:
        home = key.encode()
        if home_partition(home, partitions) != record.partition:
            return Item(record, messages=_sent_home(room, record, home))
    return Item(record, incoming, key, room.guide(incoming))


def buried(record: Record, error: Exception, service: str) -> Message:
    """Return the dead letter of a record that our own code failed on."""
    return dead_letter(record, DeadCode.BUG, f"{type(error).__name__} in {service}", service=service)


def _sent_home(room: Room[Any], record: Record, home: bytes) -> Sequence[Message]:
    message = Message(record.topic, home, record.value, tuple(record.headers))
    if size_of(message) <= DEFAULT_BYTES_MAX:
        return (message,)
    return room.unreadable(record, Unreadable(DeadCode.TOO_LARGE, "too large to be sent to its home partition"))
