"""The memory of what was retried or dropped: which letters are settled, and how."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from deploy.dead_letters.letter import Letter
from shared.contracts.envelope import Incoming
from shared.contracts.settled_letters import RETRIED, OffsetRange, SettledLetters

HOW: Final = {True: "retried", False: "dropped"}


class Settlement(NamedTuple):
    """What was done with letters in one transaction."""

    how: str
    at: datetime
    by: str
    first_at: datetime
    last_at: datetime


class _Span(NamedTuple):
    first: int
    last: int
    settlement: Settlement


class Settled:
    """All letters that are settled, as ranges: what it holds grows with how scattered they are, not with how many."""

    def __init__(self) -> None:
        # Spans of one list never overlap. Only a topic that was recreated, and has its offsets again, needs a second.
        self._spans: dict[tuple[str, int], list[list[_Span]]] = defaultdict(list)

    def add(self, incoming: Incoming) -> None:
        """Note what one transaction settled."""
        body: SettledLetters = incoming.data
        how = HOW[incoming.type == RETRIED]
        settlement = Settlement(how, incoming.now, body.by, body.first_at, body.last_at)
        for each in body.ranges:
            self._insert(body.topic, body.partition, _Span(each.first, each.last, settlement))

    def find(self, letter: Letter) -> Settlement | None:
        """Return what was done with a letter; nothing if it is open."""
        spans, place = self._place(letter)
        return spans[place].settlement if spans else None

    def end(self, letter: Letter) -> int:
        """Return the offset up to which every letter from this one on is settled; its own, if it is open."""
        spans, place = self._place(letter)
        if not spans:
            return letter.record.offset
        while place + 1 < len(spans) and spans[place + 1].first == spans[place].last + 1:
            place += 1
        return spans[place].last + 1

    def _place(self, letter: Letter) -> tuple[list[_Span], int]:
        record = letter.record
        for spans in self._spans.get((record.topic, record.partition), ()):
            place = bisect_right(spans, record.offset, key=_first) - 1
            if place >= 0 and record.offset <= spans[place].last:
                settlement = spans[place].settlement
                if settlement.first_at <= letter.died_at <= settlement.last_at:
                    return spans, place
        return [], 0

    def _insert(self, topic: str, partition: int, span: _Span) -> None:
        lists = self._spans[topic, partition]
        for spans in lists:
            place = bisect_right(spans, span.first, key=_first)
            clear_before = place == 0 or spans[place - 1].last < span.first
            if clear_before and (place == len(spans) or span.last < spans[place].first):
                spans.insert(place, span)
                return
        lists.append([span])


def _first(span: _Span) -> int:
    return span.first


def ranges(letters: Iterable[tuple[Letter, bool]], after: int | None = None) -> Iterator[OffsetRange]:
    """Return as few ranges as hold the chosen ones of open letters, which come in the order of their partition.

    `after` is the offset of the open letter before them: nothing lies between, so the ranges of a row of transactions
    touch, and a reader can leap over all of them.
    """
    first: int | None = None
    last = 0
    for number, (letter, chosen) in enumerate(letters):
        offset = letter.record.offset
        if chosen:
            begin = offset if number or after is None or after >= offset else after + 1
            first, last = begin if first is None else first, offset
        elif first is not None:
            yield OffsetRange(first=first, last=last)
            first = None
    if first is not None:
        yield OffsetRange(first=first, last=last)


def settled_body(
    letters: Sequence[tuple[Letter, bool]], *, by: str, mended: bool = False, after: int | None = None
) -> dict[str, Any]:
    """Return what is told of the chosen ones of open letters of one partition."""
    chosen = [letter for letter, is_chosen in letters if is_chosen]
    times = [letter.died_at for letter in chosen]
    body = SettledLetters(
        topic=chosen[0].place.topic,
        partition=chosen[0].place.partition,
        ranges=tuple(ranges(letters, after)),
        count=len(chosen),
        first_at=min(times),
        last_at=max(times),
        by=by,
        mended=mended,
    )
    return body.model_dump(mode="json", exclude_defaults=True)
