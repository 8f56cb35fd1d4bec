"""The numbers of an edge node's messages (Sparkplug B): which is missing, whatever order they come in. Pure.

A birth has a number, each message after it the next, and 255 is followed by 0. The broker shares messages out among
sessions, so they overtake each other; a number is missing only while a later one is there.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

NUMBERS: Final = 256
AHEAD: Final = NUMBERS // 2
"""A number less than this beyond the next one is a later message, any other an earlier one."""
BEYOND_MAX: Final = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """The next number, those out of order that came already, and since when one is known to be missing."""

    next: int
    beyond: tuple[int, ...] = ()
    missing_since: datetime | None = None


def begun(known: Sequence | None, seq: int | None) -> Sequence | None:
    """Return where a birth begins; messages that overtook it count. Nothing where the node does not number."""
    return None if seq is None else _passed(seq, known.beyond if known is not None else (), None)


def followed(known: Sequence, seq: int, now: datetime) -> Sequence:
    """Return where the numbers stand after one more message."""
    if seq == known.next:
        return _passed(seq, known.beyond, now)
    beyond = known.beyond if seq in known.beyond else (*known.beyond, seq)[-BEYOND_MAX:]
    missing_since = known.missing_since or (now if _is_ahead(known.next, beyond) else None)
    return Sequence(next=known.next, beyond=beyond, missing_since=missing_since)


def _passed(seq: int, beyond: tuple[int, ...], now: datetime | None) -> Sequence:
    left, following = set(beyond) - {seq}, (seq + 1) % NUMBERS
    while following in left:
        left.remove(following)
        following = (following + 1) % NUMBERS
    if now is None or not _is_ahead(following, tuple(left)):
        return Sequence(next=following)
    return Sequence(next=following, beyond=tuple(sorted(left)), missing_since=now)


def _is_ahead(following: int, beyond: tuple[int, ...]) -> bool:
    return any((each - following) % NUMBERS < AHEAD for each in beyond)
