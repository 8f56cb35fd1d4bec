"""Replays a recording as signals of devices: each line once, however often it is begun, at the pace asked for.

A line's signal has the same `ce_id` in every run. What the topic has already is not sent again; a small file beside
remembers from where on to look, and what is older than the topic's memory.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from deploy.replay_lines import Recording, Row
from deploy.replay_mapping import TIME, LineError, LineMapping, Made
from deploy.replay_place import Place, Sent
from deploy.sending import Sender
from deploy.topic_reader import Positions, TopicReader
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.envelope import Message, encode, message, read
from shared.contracts.fields import rfc3339, utc_milliseconds
from shared.contracts.signals import RAISED
from shared.errors import Unreadable

SOURCE: Final = "/callout/replay"
CHECKPOINT_SECONDS: Final = 5
WRONG_MAX: Final = 1_000
BY_TIME: Final = "time"
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Record:
    """A signal as intake would get it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int = 0
    offset: int = 0
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A line that makes a signal; `value` is its body with the time that the recording has."""

    number: int
    made: Made
    value: bytes


@dataclass(slots=True)
class Tally:
    """What was found in the lines, and what was done with them."""

    raised: int = 0
    cleared: int = 0
    passed: int = 0
    wrong: int = 0
    sent: int = 0
    there: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    in_order: bool = True
    wrong_lines: list[tuple[int, str]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def note_wrong(self, number: int, why: str) -> None:
        """Note a line that makes no signal."""
        self.wrong += 1
        self.reasons[why] += 1
        if len(self.wrong_lines) < WRONG_MAX:
            self.wrong_lines.append((number, why))

    def note(self, made: Made) -> None:
        """Note a signal."""
        self.raised += made.type == RAISED
        self.cleared += made.type != RAISED
        if made.at is not None:
            self.in_order = self.in_order and (self.last_at is None or made.at >= self.last_at)
            self.first_at = min(self.first_at or made.at, made.at)
            self.last_at = max(self.last_at or made.at, made.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, and where in time; `speed` 60: an hour in a minute, 0: as fast as the broker takes it.

    `shift_to` moves the recording in time: at a speed its first signal is then at that instant and the rest follows at
    that speed; else its last one is, and the intervals stay.
    """

    speed: float = 0
    shift_to: datetime | None = None

    def shifted(self, at: datetime, tally: Tally) -> datetime:
        """Return the event time of a signal, of a recording that was looked through."""
        if self.shift_to is None or tally.first_at is None or tally.last_at is None:
            return at
        if self.speed:
            return utc_milliseconds(self.shift_to + (at - tally.first_at) / self.speed)
        return utc_milliseconds(self.shift_to + (at - tally.last_at))


class Replay:
    """One recording under one mapping; `label` makes it another than the same one before."""

    def __init__(self, recording: Recording, mapping: LineMapping, *, label: str = "") -> None:
        self.recording = recording
        self._mapping = mapping
        parts = f"{recording.digest}|{mapping.identity()}|{label}"
        self.run = hashlib.sha256(parts.encode()).hexdigest()[:16]

    def prepare(self, tally: Tally) -> Iterator[Prepared]:
        """Yield the signals of all lines in their order; what is wrong is tallied and passed over."""
        for row in self.recording.rows():
            try:
                prepared = self._prepare(row)
            except LineError as error:
                tally.note_wrong(row.number, str(error))
                continue
            if prepared is None:
                tally.passed += 1
            else:
                tally.note(prepared.made)
                yield prepared

    def message(self, prepared: Prepared, at: datetime | None) -> Message:
        """Return a line's signal as it goes out, with an event time of its own."""
        made, value = prepared.made, prepared.value
        if at != made.at and at is not None:
            value = encode(made.body | {TIME: rfc3339(at)})
        return self._message(prepared.number, made, value, at)

    def _prepare(self, row: Row) -> Prepared | None:
        if row.wrong:
            raise LineError(row.wrong)
        made = self._mapping.make(row.values)
        if made is None:
            return None
        try:
            value = encode(made.body)
            told = self._message(row.number, made, value, made.at)
            read(DEVICE_SIGNALS, _Record(told.topic, told.key, told.value, told.headers))
        except Unreadable as error:
            raise LineError(error.reason) from error
        except (TypeError, ValueError) as error:  # what cannot be told in JSON or UTF-8
            raise LineError(f"no JSON can say it: {error}") from error
        return Prepared(row.number, made, value)

    def _message(self, number: int, made: Made, value: bytes, at: datetime | None) -> Message:
        tenant, device = str(made.body.get("tenant_id", "")), str(made.body.get("device_id", ""))
        return message(
            DEVICE_SIGNALS,
            type_=made.type,
            id_=f"{self.run}-{number}",
            source=SOURCE,
            time=at or datetime.now(UTC),
            value=value,
            key=f"{tenant}/{device}",
            tenant=tenant,
            subject=device,
        )


async def look_for_sent(
    reader: TopicReader, replay: Replay, place: Place, report: Callable[[int, int], None] = lambda _, __: None
) -> Sent:
    """Find the lines whose signals are in the topic already; `report` hears how many of how many offsets are read."""
    sent = Sent(replay.recording.lines)
    ends = await reader.ends()
    starts = place.starts(ends)
    await reader.skip_to(starts)
    total = sum(ends[partition] - starts.get(partition, 0) for partition in ends)
    prefix, done = f"{replay.run}-".encode(), 0
    async for records in reader.read(ends):
        for record in records:
            for name, text in record.headers:
                if name == "ce_id" and text is not None and text.startswith(prefix):
                    sent.add(text.removeprefix(prefix))
        done += len(records)
        report(done, total)
    return sent


async def send(
    replay: Replay,
    pace: Pace,
    place: Place,
    *,
    seen: Tally,
    sent: Sent,
    ends: Callable[[], Awaitable[Positions]],
    sender: Sender,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> Tally:
    """Send every line's signal that was not sent yet; `report` hears how many signals are through, and which line.

    `seen` is what `survey` found; a replay that is neither paced nor shifted needs none. `ends` tells where the topic
    ends now.
    """
    tally = Tally()
    lines: Iterable[Prepared] = replay.prepare(tally)
    if place.order == BY_TIME:
        lines = sorted(lines, key=lambda line: line.made.at or EARLIEST)
    clock = _Clock(pace.speed, seen.first_at)
    saved, count = time.monotonic(), 0
    for count, line in enumerate(lines, 1):
        report(count, line.number)
        if place.is_through(count) or line.number in sent:
            tally.there += 1
            clock.skip(line.made.at)
            continue
        await clock.wait_for(line.made.at)
        at = line.made.at if line.made.at is None else pace.shifted(line.made.at, seen)
        await sender.put(replay.message(line, at))
        tally.sent += 1
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            await sender.settle()
            place.save(count, await ends())
            saved = time.monotonic()
    await sender.settle()
    place.save(count, await ends(), finished=True)
    return tally


def survey(replay: Replay) -> Tally:
    """Look through all lines and send nothing."""
    tally = Tally()
    for _ in replay.prepare(tally):
        pass
    return tally


class _Clock:
    """Says when a signal is due; what was sent by an earlier run takes no time again."""

    def __init__(self, speed: float, first_at: datetime | None) -> None:
        self._speed, self._first_at = speed, first_at
        self._began: float | None = None
        self._skipped: datetime | None = None

    def skip(self, at: datetime | None) -> None:
        if self._began is None:
            self._skipped = at or self._skipped

    async def wait_for(self, at: datetime | None) -> None:
        if not self._speed or at is None or self._first_at is None:
            return
        if self._began is None:
            ahead = (self._skipped or self._first_at) - self._first_at
            self._began = time.monotonic() - ahead.total_seconds() / self._speed
        pause = self._began + (at - self._first_at).total_seconds() / self._speed - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
