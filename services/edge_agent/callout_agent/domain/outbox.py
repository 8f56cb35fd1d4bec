"""Which of the kept entries to send now: in order, one message at a time, again where no receipt came."""

from __future__ import annotations

from typing import Callable, NamedTuple

WINDOW = 100
BATCH = 50
BATCH_BYTES = 48 * 1024
PATIENCE_S = 10.0
PATIENCE_MAX_S = 300.0


class _Sent(NamedTuple):
    tries: int
    again_at: float
    under_way: bool


class Outbox:
    """Entries by their numbers, from when they are kept until their receipt.

    Messages that are under way together may overtake each other: the next one goes when each entry of the last has its
    receipt. And whoever counts signals remembers a bounded number of them, to see repeats: nothing is sent that is
    `window` or more numbers after the oldest one without a receipt.
    """

    def __init__(self, window: int = WINDOW, batch: int = BATCH) -> None:
        self._window = window
        self._batch = batch
        self._waiting: dict[int, _Sent | None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, seq: int) -> None:
        """Take in an entry; numbers rise."""
        self._waiting[seq] = None

    def remove(self, seq: int) -> bool:
        """Let an entry go, for its receipt came or it was given up; say whether it was waiting."""
        return self._waiting.pop(seq, False) is not False

    def missing(self, holds: Callable[[int], bool]) -> list[int]:
        """Return the oldest entries that are held no more: whoever keeps them gave them up, from the oldest on."""
        gone: list[int] = []
        for seq in self._waiting:
            if holds(seq):
                break
            gone.append(seq)
        return gone

    def put_off(self, seq: int, now: float, seconds: float) -> None:
        """Send an entry again, and what comes after it, only after so long."""
        if seq in self._waiting:
            sent = self._waiting[seq]
            self._waiting[seq] = _Sent(sent.tries if sent else 1, now + seconds, under_way=False)

    def begin(self) -> None:
        """Begin on a new connection: nothing has been sent on it."""
        self._waiting = dict.fromkeys(self._waiting)

    def take(self, now: float, size: Callable[[int], int] = lambda _: 0) -> list[int]:
        """Return what to send now as one message, oldest first, and count it as sent; `size` tells an entry's bytes."""
        at = self.next_at()
        if at is None or at > now:
            return []
        chosen: list[int] = []
        room = BATCH_BYTES
        for seq in self._waiting:
            room -= size(seq)
            if chosen and (len(chosen) >= self._batch or seq - chosen[0] >= self._window or room < 0):
                break
            chosen.append(seq)
        for seq in chosen:
            sent = self._waiting[seq]
            tries = sent.tries + 1 if sent else 1
            patience = min(PATIENCE_MAX_S, PATIENCE_S * 2.0 ** min(tries - 1, 10))
            self._waiting[seq] = _Sent(tries, now + patience, under_way=True)
        return chosen

    def next_at(self) -> float | None:
        """Say when `take` will have something if nothing else happens; none if never, 0 for at once."""
        head: float | None = None
        for place, sent in enumerate(self._waiting.values()):
            at = sent.again_at if sent else 0.0
            if head is None:
                head = at
            elif sent is not None and sent.under_way:
                head = max(head, at)
            if place >= self._window:
                break
        return head
