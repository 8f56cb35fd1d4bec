"""Whether store and history agree: nothing lost, doubled, missing or edited. Pure: it is fed, it reads nothing.

It keeps a few words per case and 24 bytes per event, never the events themselves.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import orjson

from deploy.case_store import StoredCase
from deploy.chains import ERASED, Chain, span_text
from deploy.findings import KINDS, Finding, Told
from deploy.shared_verification import SharedVerification

#: Who says what became of a case's commands.
WORKFLOW: Final = b"/callout/workflow"


@dataclass(slots=True)
class _Track(Chain):
    """What is known of one case's history."""

    ordinal: int = 0
    digest: bytes = b""
    #: The latest effect: cause, place of its record, version.
    effect: tuple[int, object, object, object] | None = None
    stored: bool = False


class Verification:
    """Takes in every event, then outcomes and stored cases in any order; what is fed later may heal a finding."""

    def __init__(self) -> None:
        self.events = self.erased = 0
        self.shared = SharedVerification()
        self._tracks: dict[str, _Track] = {}
        self._ids: list[str] = []
        self._effects = _Effects()
        self._in_events: list[Finding] = []
        self._in_store: dict[str, list[Finding]] = {}
        self._unproven: dict[str, tuple[str, int]] = {}
        self._stored: set[str] = set()

    @property
    def cases(self) -> int:
        """How many cases are stored; stubs are none."""
        return len(self._stored)

    def event(self, record: Told) -> None:
        """Take in one event; those of a case come in the topic's order."""
        self.events += 1
        try:
            body = orjson.loads(record.value or b"")
            case_id, seq, state = str(body["case_id"]), int(body["seq"]), body["case"]
            cause = (str(body["cause"]["id"]), body["cause"]["partition"], body["cause"]["offset"])
            version = state["version"]
        except (ValueError, KeyError, TypeError):
            where = f"partition {record.partition}, offset {record.offset}"
            self._in_events.append(Finding(kind="edited", case_id=None, seq=None, why=f"cannot be read: {where}"))
            return
        track = self._tracks.get(case_id) or self._begin(case_id)
        if track.has(seq) or seq < 1:
            self._find("doubled", case_id, seq, "this event is in the topic twice")
            return
        headers = dict(record.headers)
        self.erased += ERASED in headers
        fault = track.fault(seq, headers, record.value or b"")
        if fault:
            self._find("edited", case_id, seq, fault)
        key = _key(case_id, cause[0])
        effect = (key, cause[1], cause[2], version)
        if effect != track.effect or abs(seq - track.last) != 1:  # one command may bring events in a row
            self._effects.add(key, track.ordinal, seq)
        if track.take(seq, headers):
            track.effect, track.digest = effect, _digest(state)

    def outcome(self, record: Told) -> None:
        """Take in one outcome, after all events; what became of commands of other kinds is told there too."""
        if dict(record.headers).get("ce_source", WORKFLOW) != WORKFLOW:
            return
        try:
            body = orjson.loads(record.value or b"")
            if body["accepted"]:
                told = (str(body["case_id"]), int(body["seq"]))
                command_id = str(body["command_id"])
        except (ValueError, KeyError, TypeError):
            return
        if body["accepted"] and not self._proven(command_id, *told):
            self._unproven[command_id] = told

    def stored(self, case: StoredCase) -> None:
        """Take in what the store has of a case, after all events; a later word on the same case replaces it."""
        self._in_store.pop(case.id, None)
        self.shared.stored(case)
        track = self._tracks.get(case.id)
        if track is not None:
            track.stored = case.state is not None
        if case.state is None:
            return
        self._stored.add(case.id)
        findings = list(_compare(case, case.state, track))
        if findings:
            self._in_store[case.id] = findings

    def suspects(self) -> list[str]:
        """Return the cases of which store and history disagree: they may just be on their way."""
        absent = [id_ for id_, track in self._tracks.items() if not track.stored]
        unproven = (case_id for case_id, _ in self._unproven.values())
        return [*self._in_store, *absent, *unproven, *self.shared.suspects()]

    def findings(self) -> Iterator[Finding]:
        """Yield all that is wrong, in the redacted topics too."""
        yield from self.shared.findings()
        yield from self._in_events
        for case_id, track in self._tracks.items():
            for first, last in track.missing:
                yield Finding(
                    kind="gaps", case_id=case_id, seq=first, why=span_text(first, last), count=last - first + 1
                )
            if not track.stored:
                yield Finding(kind="edited", case_id=case_id, seq=track.last, why="has events, but is not stored")
        for ordinal, seq in self._effects.repeated():
            why = "its cause had an effect on this case before"
            yield Finding(kind="doubled", case_id=self._ids[ordinal], seq=seq, why=why)
        for findings in self._in_store.values():
            yield from findings
        for command_id, (case_id, seq) in self._unproven.items():
            if not self._proven(command_id, case_id, seq) and not self._known_lost(case_id, seq):
                why = f"command {command_id} was accepted, but there is no event of it"
                yield Finding(kind="lost", case_id=case_id, seq=seq, why=why)

    def counts(self) -> dict[str, int]:
        """Return what was looked at and how much of it is wrong."""
        wrong: Counter[str] = Counter()
        for finding in self.findings():
            wrong[finding.kind] += finding.count
        return {"cases": self.cases, "events": self.events, **{kind: wrong[kind] for kind in KINDS}}

    def parts(self) -> dict[str, Any]:
        """Return how many events have left only their digests, and what of the counts is of redacted topics."""
        return {"erased": self.erased, "shared": self.shared.counts()}

    def _begin(self, case_id: str) -> _Track:
        track = self._tracks[case_id] = _Track(ordinal=len(self._ids))
        self._ids.append(case_id)
        return track

    def _find(self, kind: str, case_id: str, seq: int, why: str) -> None:
        self._in_events.append(Finding(kind=kind, case_id=case_id, seq=seq, why=why))

    def _proven(self, command_id: str, case_id: str, seq: int) -> bool:
        track = self._tracks.get(case_id)
        return track is not None and track.has(seq) and _key(case_id, command_id) in self._effects

    def _known_lost(self, case_id: str, seq: int) -> bool:
        track = self._tracks.get(case_id)
        lost = any(finding.kind == "lost" for finding in self._in_store.get(case_id, ()))
        return lost and (track is None or not track.has(seq))


class _Effects:
    """Which causes had an effect on which case: 24 bytes each, sorted when asked."""

    def __init__(self) -> None:
        self._keys, self._ordinals, self._seqs = array("Q"), array("Q"), array("Q")
        self._sorted = array("Q")

    def add(self, key: int, ordinal: int, seq: int) -> None:
        self._keys.append(key)
        self._ordinals.append(ordinal)
        self._seqs.append(seq)

    def __contains__(self, key: int) -> bool:
        if len(self._sorted) != len(self._keys):
            self._sorted = array("Q", sorted(self._keys))
        place = bisect_left(self._sorted, key)
        return place < len(self._sorted) and self._sorted[place] == key

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Yield case and seq of every effect whose cause had one before."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        for before, place in pairwise(order):
            if self._keys[before] == self._keys[place]:
                yield self._ordinals[place], self._seqs[place]


def _compare(case: StoredCase, state: dict[str, Any], track: _Track | None) -> Iterator[Finding]:
    stored, told = state.get("seq", 0), track.last if track else 0
    for first, last in (track or _Track()).absent(stored):
        why = f"{span_text(first, last)}; the stored case is at {stored}"
        yield Finding(kind="lost", case_id=case.id, seq=first, why=why, count=last - first + 1)
    fault = None
    if track is not None and stored < told:
        fault = f"the stored case is at {stored}, its last event is {told}"
    elif track is not None and stored == told:
        fault = _difference(case, state, track)
    elif case.torn:
        fault = _torn(case)
    if fault:
        yield Finding(kind="edited", case_id=case.id, seq=stored, why=fault)


def _difference(case: StoredCase, state: dict[str, Any], track: _Track) -> str | None:
    if _digest(state) != track.digest:
        return "the stored case differs from the state after its last event"
    if case.hash.encode() != track.hash:
        return "the stored case has another hash than its last event"
    return _torn(case) if case.torn else None


def _torn(case: StoredCase) -> str:
    return f"the document contradicts itself: {', '.join(case.torn)}"


def _key(case_id: str, cause_id: str) -> int:
    name = f"{case_id}|{cause_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest())


def _digest(state: dict[str, Any]) -> bytes:
    return blake2b(orjson.dumps(state, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
