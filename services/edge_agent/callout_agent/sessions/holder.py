"""The sessions that the machine has taken: each with its lease, its connections and what went through it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LEASE_SECONDS = 15.0
GRACE_SECONDS = 60.0


@dataclass
class Taken:
    """One session, as it was offered."""

    session: Mapping[str, Any]
    renewed_at: float
    inside: set[Any] = field(default_factory=set)
    bytes_in: int = 0
    bytes_out: int = 0
    active_at: float = 0.0
    told: int = -1
    made: set[bytes] = field(default_factory=set)
    terminals: int = 0

    def count(self, bytes_in: int, bytes_out: int) -> None:
        """Note what went through."""
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self.active_at = time.time()

    def reaches(self, host: str, port: int) -> bool:
        """Tell whether a target is one of the session's own."""
        return any(
            not service.get("root") and (service.get("host"), service.get("port")) == (host, port)
            for service in self.session["services"]
        )

    @property
    def terminal(self) -> str | None:
        """The endpoint of the terminal that the session is for, if it is for one."""
        return self.session["services"][0]["endpoint"] if self.session.get("kind") == "terminal" else None

    @property
    def files(self) -> Mapping[str, Any] | None:
        """The folder that the session may use, if it is for files."""
        return next((service for service in self.session["services"] if service.get("root")), None)


class Holder:
    """All of them. What is not renewed is cut off, and so is what is told to be over."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._taken: dict[str, Taken] = {}

    def find(self, session_id: str) -> Taken | None:
        """Return a session whose lease holds."""
        taken = self._taken.get(session_id)
        return taken if taken is not None and self._steady() - taken.renewed_at <= LEASE_SECONDS else None

    def all(self) -> list[Taken]:
        """Return the sessions that are held."""
        return list(self._taken.values())

    def take(self, session: Mapping[str, Any]) -> None:
        """Hold a session; one that was held before goes on with its counts."""
        known = self._taken.get(session["id"])
        if known is None:
            self._taken[session["id"]] = Taken(session, self._steady())
        else:
            known.session, known.renewed_at = session, self._steady()

    def renew(self, session_ids: list[str]) -> None:
        """Renew the leases that are named; the others are over."""
        for session_id, taken in list(self._taken.items()):
            if session_id in session_ids:
                taken.renewed_at = self._steady()
            else:
                self.cut(session_id)

    def cut(self, session_id: str) -> None:
        """Cut a session off, now."""
        taken = self._taken.pop(session_id, None)
        for connection in list(taken.inside) if taken is not None else ():
            connection.abort()

    def cut_all(self) -> None:
        """Cut everything off, now."""
        for session_id in list(self._taken):
            self.cut(session_id)

    def sweep(self) -> None:
        """Cut the ways of what was not renewed in time; forget it when nobody renews it for a minute."""
        for session_id, taken in list(self._taken.items()):
            silent = self._steady() - taken.renewed_at
            if silent > LEASE_SECONDS:
                for connection in list(taken.inside):
                    connection.abort()
            if silent > GRACE_SECONDS:
                self.cut(session_id)
