"""The host application of Sparkplug B: its STATE tells edge nodes whether anybody hears them.

Whoever holds the session of number 0 speaks for all adapters. The broker says that nobody is there when that session
has had no holder for a while: a rebalance is none.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import orjson

from services.edge_adapter.domain.topics import SPARKPLUG_ROOT
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.mqtt import Session
from services.edge_adapter.mqtt_client import Will

SPEAKER: Final = 0
"""The number of the session that speaks for all."""
ABSENT_SECONDS: Final = 10


class Host:
    """Says `online` with each connection, and leaves the broker what to say when none follows."""

    def __init__(self, host_id: str, now: Callable[[], datetime], *, absent_seconds: int = ABSENT_SECONDS) -> None:
        self.topic: Final = f"{SPARKPLUG_ROOT}/STATE/{host_id}"
        self._now = now
        self._absent_seconds = absent_seconds
        self._since = 0

    def will(self) -> Will:
        """Return what the broker is to say once a connection that begins now has had no successor for a while."""
        self._since = max(self._since + 1, int(self._now().timestamp() * 1000))
        return Will(self.topic, self._state(online=False), self._absent_seconds)

    def present(self, session: Session) -> None:
        """Say that we are there, for whoever comes later too."""
        session.tell(self.topic, self._state(online=True), expiry_seconds=None, retain=True)

    def hear(self, inbound: Inbound) -> None:
        """Take what is said of us; that we are gone is put right."""
        inbound.acknowledge()
        try:
            said: Any = orjson.loads(inbound.payload)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict) or said.get("online") is not True:
            self.present(inbound.session)

    def _state(self, *, online: bool) -> bytes:
        """Return a state; both of one connection carry the same time, so that nodes know a death that comes late."""
        return orjson.dumps({"online": online, "timestamp": self._since})
