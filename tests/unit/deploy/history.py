"""A good history of a few cases, and hands to forge it with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from deploy.case_store import StoredCase
from deploy.chains import FIRST_PREVIOUS
from deploy.verification import Verification

ANN, BOB = "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11", "0dbae303-1bd9-5ff0-9513-8aa62ef15394"


@dataclass(frozen=True)
class Told:
    """A record as the broker hands it over."""

    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int = 3
    offset: int = 0
    key: bytes | None = None


@dataclass
class History:
    """What store and topics have; good unless a test forges it."""

    events: list[Told] = field(default_factory=list)
    outcomes: list[Told] = field(default_factory=list)
    store: dict[str, StoredCase] = field(default_factory=dict)

    def command(self, case_id: str, cause: str, offset: int, *, events: int = 1) -> None:
        """Let one command be accepted: its events, its outcome, the case as stored."""
        stored = self.store.get(case_id)
        state = dict(stored.state) if stored and stored.state else {"id": case_id, "seq": 0, "version": 0, "n": []}
        digest = stored.hash if stored else FIRST_PREVIOUS
        state["version"] += 1
        for _ in range(events):
            state = {**state, "seq": state["seq"] + 1, "n": [*state["n"], cause]}
            told = event(case_id, state, digest, cause=cause, offset=offset)
            digest = dict(told.headers)["ce_hash"].decode()
            self.events.append(told)
        self.outcomes.append(outcome(case_id, cause, state["seq"]))
        self.store[case_id] = StoredCase(id=case_id, state=state, hash=digest)

    def store_state(self, case_id: str, **fields: Any) -> None:
        """Edit the stored case."""
        stored = self.store[case_id]
        self.store[case_id] = replace(stored, state={**(stored.state or {}), **fields})

    def counts(self) -> dict[str, int]:
        """Verify it."""
        return self.verification().counts()

    def verification(self) -> Verification:
        """Feed it."""
        verification = Verification()
        for told in self.events:
            verification.event(told)
        for told in self.outcomes:
            verification.outcome(told)
        for case in self.store.values():
            verification.stored(case)
        return verification


def good() -> History:
    """Return a history without fault: two cases, one of them with a compound commit."""
    history = History()
    history.command(ANN, "c-1", 10)
    history.command(BOB, "c-2", 11)
    history.command(ANN, "c-3", 12, events=2)
    history.command(ANN, "c-4", 13)
    history.command(BOB, "c-5", 14)
    return history


def event(case_id: str, state: dict[str, Any], previous: str, *, cause: str, offset: int) -> Told:
    """Return an event whose hash continues `previous`."""
    cause_ = {"id": cause, "type": "t", "topic": "case.commands.v1", "partition": 3, "offset": offset}
    body = {"case_id": case_id, "seq": state["seq"], "cause": cause_, "case": state}
    value = json.dumps(body).encode()
    return Told(value, chain(state["seq"], previous, value))


def chain(seq: int, previous: str, value: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of the chain."""
    digest = sha256((previous + sha256(value).hexdigest()).encode()).hexdigest()
    return (("ce_sequence", b"%d" % seq), ("ce_prevhash", previous.encode()), ("ce_hash", digest.encode()))


def outcome(case_id: str, command_id: str, seq: int, *, accepted: bool = True, service: str = "workflow") -> Told:
    """Return the outcome of a command."""
    body = {"command_id": command_id, "case_id": case_id, "accepted": accepted, "seq": seq}
    return Told(json.dumps(body).encode(), (("ce_source", f"/callout/{service}".encode()),))


def rewritten(told: Told, change: Callable[[dict[str, Any]], None]) -> Told:
    """Return an event with another body under the same headers."""
    body = json.loads(told.value or b"")
    change(body)
    return replace(told, value=json.dumps(body).encode())
