"""Whether the redacted topics of counterparts agree with the store. Pure: it is fed, it reads nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from deploy.case_store import StoredCase
from deploy.chains import ERASED, Chain, span_text
from deploy.findings import KINDS, Finding, Told

TOPIC = "redacted topic"


@dataclass(slots=True)
class _Track(Chain):
    """What one case's counterpart was told."""

    stored: bool = False


class SharedVerification:
    """Takes in what counterparts were told, then stored cases; a later word on the same case replaces the earlier."""

    def __init__(self) -> None:
        self.events = self.erased = 0
        self._tracks: dict[str, _Track] = {}
        self._in_events: list[Finding] = []
        self._in_store: dict[str, list[Finding]] = {}

    def event(self, record: Told) -> None:
        """Take in one event of a redacted topic."""
        self.events += 1
        headers, value = dict(record.headers), record.value or b""
        self.erased += ERASED in headers
        try:
            body = orjson.loads(value)
            case_id, seq = str(body["case_id"]), int(body["seq"])
        except (ValueError, KeyError, TypeError):
            where = f"partition {record.partition}, offset {record.offset}"
            self._find("edited", None, None, f"cannot be read: {where}")
            return
        track = self._tracks.setdefault(case_id, _Track())
        if track.has(seq) or seq < 1:
            self._find("doubled", case_id, seq, "this event is in the topic twice")
            return
        fault = track.fault(seq, headers, value)
        if fault:
            self._find("edited", case_id, seq, fault)
        track.take(seq, headers)

    def stored(self, case: StoredCase) -> None:
        """Take in how far the store says that a counterpart was told, after all events."""
        self._in_store.pop(case.id, None)
        track = self._tracks.get(case.id)
        if track is None and case.shared is None:
            return
        track = track or self._tracks.setdefault(case.id, _Track())
        track.stored = True
        findings = list(_compare(case, track))
        if findings:
            self._in_store[case.id] = findings

    def suspects(self) -> list[str]:
        """Return the cases of which store and topic disagree: they may just be on their way."""
        return [*self._in_store, *(id_ for id_, track in self._tracks.items() if not track.stored)]

    def findings(self) -> Iterator[Finding]:
        """Yield all that is wrong."""
        yield from self._in_events
        for case_id, track in self._tracks.items():
            for first, last in track.missing:
                yield _finding("gaps", case_id, first, span_text(first, last), last - first + 1)
            if not track.stored:
                yield _finding("edited", case_id, track.last, "has events, but is not stored")
        for findings in self._in_store.values():
            yield from findings

    def counts(self) -> dict[str, int]:
        """Return what was looked at and how much of it is wrong."""
        wrong: Counter[str] = Counter()
        for finding in self.findings():
            wrong[finding.kind] += finding.count
        return {"events": self.events, **{kind: wrong[kind] for kind in KINDS}, "erased": self.erased}

    def _find(self, kind: str, case_id: str | None, seq: int | None, why: str) -> None:
        self._in_events.append(_finding(kind, case_id, seq, why))


def _compare(case: StoredCase, track: _Track) -> Iterator[Finding]:
    stored, digest = case.shared or (0, "")
    for first, last in track.absent(stored):
        why = f"{span_text(first, last)}; the stored case is at {stored}"
        yield _finding("lost", case.id, first, why, last - first + 1)
    if stored < track.last:
        yield _finding("edited", case.id, stored, f"the stored case is at {stored}, its last event is {track.last}")
    elif stored == track.last and digest.encode() != track.hash:
        yield _finding("edited", case.id, stored, "the stored case has another hash than its last event")


def _finding(kind: str, case_id: str | None, seq: int | None, why: str, count: int = 1) -> Finding:
    return Finding(kind=kind, case_id=case_id, seq=seq, why=f"{TOPIC}: {why}", count=count)
