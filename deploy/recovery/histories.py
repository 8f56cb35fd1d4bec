"""Makes cases again from their events. Pure: it is fed, it reads nothing.

It keeps a few words and the last event of each case, never the history itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import orjson

from deploy.chains import fits
from deploy.recovery.shares import shares_of, with_shares
from services.workflow.domain.case import Case, Shared
from services.workflow.domain.history import Told, remember
from services.workflow.domain.timing import begin
from shared.contracts.case import CASE_STATE, Actor
from shared.contracts.words import Role
from shared.evolution import evolve

PREFIX: Final = "callout.case."


class Record(Protocol):
    """What the topic hands over of one event."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Flaw:
    """A place of the history that does not fit what lies before it."""

    case_id: str
    seq: int
    why: str


@dataclass(slots=True)
class _Track:
    """A case as far as its events were taken in; `last` is the latest one's body, if one was newer than the case."""

    case: Case
    seq: int = 0
    last: bytes | None = None


@dataclass(slots=True)
class SharedHistories:
    """Takes in what counterparts were told, and keeps how far: seq and hash per case."""

    flaws: list[Flaw] = field(default_factory=list)
    _told: dict[str, Shared] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Take in one event of a redacted topic; one that was seen is passed over."""
        headers = dict(record.headers)
        if record.value is None or not headers.get("ce_type", b"").decode().startswith(PREFIX):
            return
        body = orjson.loads(record.value)
        case_id, seq = str(body["case_id"]), int(body["seq"])
        known = self._told.get(case_id, Shared())
        if seq > known.seq:
            flaw = None if fits(headers, record.value) else "its hash does not fit its body"
            if seq != known.seq + 1 or headers.get("ce_prevhash", b"").decode() != known.hash:
                flaw = f"it does not continue event {known.seq}"
            if flaw:
                self.flaws.append(Flaw(case_id, seq, f"told to its counterpart: {flaw}"))
            self._told[case_id] = Shared(seq=seq, hash=headers.get("ce_hash", b"").decode())

    def of(self, case_id: str) -> Shared | None:
        """Return how far the counterpart of a case was told; nothing if it was told nothing."""
        return self._told.get(case_id)


@dataclass(slots=True)
class Histories:
    """Takes in events, of each case in order, and gives back the cases after them."""

    events: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    #: Topic and partition -> the latest record there that had an effect.
    causes: dict[tuple[str, int], int] = field(default_factory=dict)
    last_number: int = 0
    _tracks: dict[str, _Track] = field(default_factory=dict)

    def unknown(self, records: Iterable[Record]) -> set[str]:
        """Return the cases of these events that were not heard of yet."""
        return {record.key.decode() for record in records if record.key} - self._tracks.keys()

    def know(self, cases: Iterable[Case]) -> None:
        """Take in cases as they are stored: their histories go on from there."""
        for case in cases:
            self._tracks[case.id] = _Track(case, case.state.seq if case.state else 0)

    def take(self, record: Record) -> None:
        """Take in one event; one that its case has seen is passed over."""
        headers = dict(record.headers)
        name = headers.get("ce_type", b"").decode()
        if record.value is None or not name.startswith(PREFIX):
            return
        body = orjson.loads(record.value)
        self._count(body)
        case_id, seq = str(body["case_id"]), int(body["seq"])
        track = self._tracks.setdefault(case_id, _Track(Case(id=case_id)))
        if seq > track.seq:
            flaw = _flaw(track, seq, headers, record.value)
            case = remember(track.case, _told(name.removeprefix(PREFIX).rsplit(".v", 1)[0], body))
            track.case = evolve(case, hash=headers.get("ce_hash", b"").decode())
            track.seq, track.last = seq, record.value
        else:
            again = seq < track.seq or headers.get("ce_hash", b"").decode() == track.case.hash
            flaw = None if again else "another event of this number came before"
        if flaw:
            self.flaws.append(Flaw(case_id, seq, flaw))

    def finish(self) -> Iterator[Case]:
        """Yield the cases that changed, and forget them all."""
        while self._tracks:
            _, track = self._tracks.popitem()
            if track.last is not None:
                state = CASE_STATE.validate_python(orjson.loads(track.last)["case"])
                timing = with_shares(begin(state), state, shares_of(track.case.timing, track.case.state))
                yield evolve(track.case, state=state, timing=timing)

    def _count(self, body: dict[str, Any]) -> None:
        self.events += 1
        self.last_number = max(self.last_number, int(body["number"]))
        cause = body["cause"]
        place = (str(cause["topic"]), int(cause["partition"]))
        self.causes[place] = max(self.causes.get(place, -1), int(cause["offset"]))


def _flaw(track: _Track, seq: int, headers: dict[str, bytes], value: bytes) -> str | None:
    if not fits(headers, value):
        return "its hash does not fit its body"
    if seq != track.seq + 1:
        return f"the event before it is missing, the last one is {track.seq}"
    if headers.get("ce_prevhash", b"").decode() != track.case.hash:
        return "its hash does not continue the one before"
    return None


def _told(name: str, body: dict[str, Any]) -> Told:
    actor = body["actor"]
    return Told(
        name=name,
        seq=int(body["seq"]),
        version=int(body["case"]["version"]),
        at=datetime.fromisoformat(body["at"]),
        actor=Actor(id=actor["id"], role=Role(actor["role"]), tenant_id=actor["tenant_id"]),
        cause_id=str(body["cause"]["id"]),
        change=body["change"],
    )
