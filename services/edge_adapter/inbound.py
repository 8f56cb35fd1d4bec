"""What came in over MQTT, and how it is acknowledged."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from services.edge_adapter.mqtt import Session


class Inbound(NamedTuple):
    """A message that came in; `place` is the connection it came by and the packet number there."""

    topic: str
    payload: bytes
    retain: bool
    correlation: bytes | None
    session: "Session"
    place: tuple[int, int]

    def acknowledge(self) -> None:
        """Let the broker forget it; of no effect once the connection is another."""
        self.session.acknowledge(self.place)


class Acknowledgements:
    """Sends those of the connection that there is now: as they come, or in the order in which their messages came.

    MQTT asks for that order; mosquitto does without, and then nobody waits for a neighbour.
    """

    def __init__(self, send: Callable[[int], None], *, in_order: bool) -> None:
        self.connection = 0
        self._send = send
        self._in_order = in_order
        self._open: dict[int, bool] = {}

    def begin(self) -> None:
        """Forget what came before: the connection is another."""
        self.connection += 1
        self._open.clear()

    def heard(self, packet: int) -> None:
        """Note that a message came, in its turn."""
        if self._in_order and packet:
            self._open[packet] = False

    def acknowledge(self, place: tuple[int, int]) -> None:
        """Acknowledge a message, at once or in its turn."""
        connection, packet = place
        if not packet or connection != self.connection:
            return
        if not self._in_order:
            self._send(packet)
            return
        if packet in self._open:
            self._open[packet] = True
        for first in list(self._open):
            if not self._open[first]:
                return
            del self._open[first]
            self._send(first)
