"""The journal: what was said and not yet received, on disk, bounded, signed, and whole after any end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from callout_agent.domain.judgement import Move
from callout_agent.domain.notice import Notice
from callout_agent.segments import Place, Signer, Writer, lines, locked, numbers, path_of, sync_folder

OLDEST, NEWEST = "oldest", "newest"
SEGMENTS = 8
LEAST_BYTES = 64 * 1024


class Full(Exception):
    """There is no room for a notice; it was counted as dropped."""


class Entry(NamedTuple):
    """A notice as it was kept."""

    seq: int
    move: Move
    key: str
    body: dict[str, Any]


class Counts(NamedTuple):
    """What became of notices, since the journal was made: `dropped` for want of room, `refused` by the adapter.

    Since this start: `damaged` lines were not as they had been written, `torn` bytes of an unfinished one were cut off.
    """

    dropped: int
    refused: int
    damaged: int
    torn: int


class Journal:
    """The notices that have no receipt yet, by rising numbers that no other journal of this device ever gave.

    An entry leaves by `settle` alone, or, where `max_bytes` are full, because the policy says so: `oldest` gives the
    oldest segment up, `newest` refuses what comes. `fsync_s`: 0 syncs every write, more at most so often, less never.

    Raises:
        Busy: The folder is another process's.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, policy: str = OLDEST, fsync_s: float = 0.0, now: float | None = None
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = locked(folder)
        self._signer = Signer.of_folder(folder)
        self._max = max(max_bytes, LEAST_BYTES)
        self._policy = policy
        self._fsync_s = fsync_s
        self._synced_at = 0.0
        self._places: dict[int, Place] = {}
        self._moves: dict[int, tuple[Move, str]] = {}
        self._sizes: dict[int, int] = {}
        self._waiting: dict[int, int] = {}
        self._dropped = self._refused = self._damaged = self._torn = 0
        self.raised: set[str] = set()
        self._next = 0
        # A journal that begins anew, after its folder was lost, must not give numbers again: it begins at the time.
        self._writer = self._open(int((time.time() if now is None else now) * 1000))

    @property
    def counts(self) -> Counts:
        """What became of notices."""
        return Counts(self._dropped, self._refused, self._damaged, self._torn)

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return sum(self._sizes.values())

    def waiting(self) -> list[int]:
        """Return the numbers of all entries, oldest first."""
        return sorted(self._places)

    def holds(self, seq: int) -> bool:
        """Say whether an entry is kept."""
        return seq in self._places

    def size(self, seq: int) -> int:
        """Return the bytes of an entry."""
        return self._places[seq].length if seq in self._places else 0

    def add(self, notices: Iterable[Notice]) -> list[int]:
        """Keep notices, and return their numbers when they would outlive what the policy of syncing promises.

        A notice for which there is no room is counted, and has no number.
        """
        given = []
        for notice in notices:
            try:
                given.append(self._add(notice))
            except Full:  # noqa: PERF203 - the others may find room
                self._dropped += 1
        self._sync()
        return given

    def settle(self, seqs: Iterable[int], *, refused: bool = False) -> None:
        """Let entries go: a receipt came, or (`refused`) the adapter will never take them."""
        gone = [seq for seq in seqs if seq in self._places]
        if not gone:
            return
        self._refused += len(gone) if refused else 0
        for seq in gone:
            self._forget(seq)
        try:
            self._write({"a": gone, "refused": self._refused, "dropped": self._dropped})
        except OSError:
            return  # they are sent again after a restart, which counts once
        self._sync()
        self._tidy()

    def read(self, seqs: Iterable[int]) -> list[Entry]:
        """Return entries; one whose line was damaged since is counted and left out (and no longer kept)."""
        entries = []
        for seq in seqs:
            place = self._places.get(seq)
            if place is None:
                continue
            with path_of(self._folder, place.segment).open("rb") as file:
                file.seek(place.offset)
                said = self._signer.read(place.segment, file.read(place.length)[:-1])
            if said is None:
                self._damaged += 1
                self._forget(seq)
                continue
            entries.append(Entry(seq, Move(said["k"]), said["d"], said["b"]))
        return entries

    def close(self) -> None:
        """Sync, and let the folder go."""
        self._writer.close()
        os.close(self._lock)

    def tick(self) -> None:
        """Sync what waits for it."""
        self._sync()

    def _open(self, first: int) -> Writer:
        found = numbers(self._folder)
        end = 0
        for number in found:
            end = self._take_in(number, last=number == found[-1])
        self._next = self._next or first
        if not found:
            return self._begin(1)
        writer = Writer(self._folder, found[-1], fresh=False)
        if end < writer.size:
            self._torn += writer.size - end
            writer.cut(end)
            writer.sync()
        self._sizes[writer.number] = writer.size
        # What is damaged goes when the rest of its segment is settled, if nothing more is written there.
        return writer if writer.size and not self._damaged else self._begin(found[-1] + 1, old=writer)

    def _take_in(self, number: int, *, last: bool) -> int:
        """Read a segment; return where its last whole line ends."""
        end, damaged = 0, 0
        self._sizes[number] = path_of(self._folder, number).stat().st_size
        self._waiting[number] = 0
        for line in lines(self._folder, number, self._signer):
            if line.said is None:
                damaged += 1
                continue
            end = line.offset + line.length
            self._damaged += damaged
            damaged = 0
            self._apply(number, line.offset, line.length, line.said)
        if not last:
            self._damaged += damaged
        return end

    def _apply(self, number: int, offset: int, length: int, said: dict[str, Any]) -> None:
        if "s" in said:
            self._keep(said["s"], Move(said["k"]), said["d"], Place(number, offset, length))
            return
        self._refused = max(self._refused, said.get("refused", 0))
        self._dropped = max(self._dropped, said.get("dropped", 0))
        self._next = max(self._next, said.get("next", 0))
        if "raised" in said:
            self.raised = set(said["raised"])
        for seq in said.get("a", ()):
            self._forget(seq)
        for seq in [seq for seq in self._places if seq <= said.get("upto", -1)]:
            self._forget(seq)

    def _keep(self, seq: int, move: Move, key: str, place: Place) -> None:
        self._places[seq] = place
        self._moves[seq] = (move, key)
        self._waiting[place.segment] += 1
        self._next = max(self._next, seq + 1)
        if move is Move.RAISE:
            self.raised.add(key)
        else:
            self.raised.discard(key)

    def _forget(self, seq: int) -> None:
        place = self._places.pop(seq, None)
        self._moves.pop(seq, None)
        if place is not None:
            self._waiting[place.segment] -= 1

    def _add(self, notice: Notice) -> int:
        seq = self._next
        said = {"s": seq, "k": notice.move.value, "d": notice.key, "b": notice.body}
        self._make_room(len(self._signer.line(self._writer.number, said)))
        try:
            offset, length = self._write(said)
        except OSError as error:
            raise Full from error
        self._keep(seq, notice.move, notice.key, Place(self._writer.number, offset, length))
        return seq

    def _make_room(self, length: int) -> None:
        if self._writer.size + length > self._max // SEGMENTS:
            try:
                self._begin_next()
            except OSError as error:
                raise Full from error
        while self.bytes + length > self._max:
            oldest = min(self._sizes)
            if self._policy == NEWEST or oldest == self._writer.number:
                raise Full
            self._give_up(oldest)

    def _give_up(self, number: int) -> None:
        lost = [seq for seq, place in self._places.items() if place.segment == number]
        later = {key for seq, (_, key) in self._moves.items() if self._places[seq].segment != number}
        for move, key in (self._moves[seq] for seq in lost):
            if key not in later:  # what nobody will hear has not been told
                (self.raised.discard if move is Move.RAISE else self.raised.add)(key)
        for seq in lost:
            self._forget(seq)
        self._dropped += len(lost)
        try:
            self._write({"upto": max(lost, default=-1), "dropped": self._dropped, "raised": sorted(self.raised)})
            self._writer.sync()
        except OSError as error:
            raise Full from error
        self._remove(number)

    def _begin_next(self) -> None:
        old = self._writer
        self._writer = self._begin(old.number + 1, old=old)
        self._tidy()

    def _begin(self, number: int, *, old: Writer | None = None) -> Writer:
        head = {"next": self._next, "dropped": self._dropped, "refused": self._refused, "raised": sorted(self.raised)}
        writer = Writer(self._folder, number, fresh=True)
        try:
            writer.append(self._signer.line(number, head))
            writer.sync()
        except OSError:
            path_of(self._folder, number).unlink()
            raise
        self._sizes[number] = writer.size
        self._waiting[number] = 0
        if old is not None:
            old.close()
        return writer

    def _write(self, said: dict[str, Any]) -> tuple[int, int]:
        line = self._signer.line(self._writer.number, said)
        offset = self._writer.append(line)
        self._sizes[self._writer.number] = self._writer.size
        return offset, len(line)

    def _tidy(self) -> None:
        # Oldest first: a later segment says which entries of the earlier ones are settled.
        for number in sorted(self._sizes):
            if number == self._writer.number or self._waiting[number]:
                return
            self._remove(number)

    def _remove(self, number: int) -> None:
        path_of(self._folder, number).unlink()
        sync_folder(self._folder)
        del self._sizes[number]
        del self._waiting[number]

    def _sync(self) -> None:
        now = time.monotonic()
        if self._fsync_s >= 0 and now - self._synced_at >= self._fsync_s:
            self._writer.sync()
            self._synced_at = now
