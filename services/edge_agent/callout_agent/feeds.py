"""Where readings come from: standard input, a file of comma separated values, a broker on the device's side."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotYet
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, Callable, NamedTuple, Union

from callout_agent.domain.reading import Reading, seconds
from callout_agent.settings import Feed
from callout_agent.telling import say

BATCH = 500
LINE_MAX = 64 * 1024
FOLLOW_PAUSE_S = 0.5


class Said(NamedTuple):
    """What another program on the device says: `{"raise": FAULT, …}` or `{"clear": FAULT}`, and when."""

    at: float
    data: Mapping[str, Any]


class Unread(NamedTuple):
    """What could not be understood, and why."""

    why: str


Item = Union[Reading, Said, Unread]


class Feeder:
    """Runs feeds in threads of their own, and hands over what they read, some hundred at a time, in `batches`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.batches: asyncio.Queue[list[Item]] = asyncio.Queue(maxsize=4)
        self._stopping = threading.Event()
        self.running = 0

    def start(self, items: Callable[[threading.Event], Iterable[list[Item]]]) -> None:
        """Begin with a feed."""
        self.running += 1
        threading.Thread(target=self._run, args=(items,), daemon=True).start()

    def stop(self) -> None:
        """Ask all feeds to end."""
        self._stopping.set()

    def _run(self, items: Callable[[threading.Event], Iterable[list[Item]]]) -> None:
        try:
            for batch in items(self._stopping):
                if self._stopping.is_set():
                    return
                self._put(batch)
        except OSError as error:
            self._put([Unread(f"a feed ended: {error}")])
        finally:
            if not self._stopping.is_set():
                self._loop.call_soon_threadsafe(self._ended)

    def _put(self, batch: list[Item]) -> None:
        # Waits while the agent is busy: then the pipe fills, and whoever writes into it waits too.
        waiting = asyncio.run_coroutine_threadsafe(self.batches.put(batch), self._loop)
        while not self._stopping.is_set():
            try:
                waiting.result(timeout=0.5)
            except NotYet:
                continue
            except CancelledError:
                pass
            return

    def _ended(self) -> None:
        self.running -= 1
        say("feed_ended", feeds_left=self.running)
        if not self.batches.full():  # who waits for the end of all feeds looks again with the next batch
            self.batches.put_nowait([])


def of_stdin(stopping: threading.Event, handle: int | None = None) -> Iterator[list[Item]]:
    """Read lines from standard input as they come: `series=value …` or JSON objects."""
    source = sys.stdin.fileno() if handle is None else handle
    rest = b""
    while not stopping.is_set():
        chunk = os.read(source, 64 * 1024)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_MAX:
            rest = b""
            yield [Unread(f"a line of more than {LINE_MAX} bytes")]
        yield from _batches(item for line in lines for item in of_line(line, time.time()))
    yield from _batches(of_line(rest, time.time()))


def of_line(line: bytes, now: float) -> Iterator[Item]:
    """Understand one line: `temp_c=91.4 rpm=1200`, `{"temp_c": 91.4, "at": "…"}` or `{"raise": "E417", …}`."""
    text = line.decode("utf-8", "replace").strip()
    if not text:
        return
    if text.startswith("{"):
        yield from of_json(text, now)
        return
    for part in text.split():
        series, _, value = part.rpartition("=")
        yield _reading(series, now, value)


def of_json(text: str, now: float) -> Iterator[Item]:
    """Understand one JSON object: series and their values, or a word of another program; `at` is when."""
    try:
        said = json.loads(text)
        at = said.pop("at", None)
        moment = now if at is None else float(at) if isinstance(at, (int, float)) else seconds(at)
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        yield Unread(f"{text[:80]!r}: {error}")
        return
    if "raise" in said or "clear" in said:
        yield Said(moment, said)
        return
    for series, value in said.items():
        if isinstance(value, (int, float)):
            yield _reading(series, moment, value)


def of_csv(feed: Feed) -> Callable[[threading.Event], Iterator[list[Item]]]:
    """Read a file with a header: a column of times, and one for each series."""
    path = feed.path or Path()
    zone = timezone(timedelta(hours=feed.utc_offset_h))

    def items(stopping: threading.Event) -> Iterator[list[Item]]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(_lines(file, stopping, follow=feed.follow))
            head = next(rows, [])
            if feed.time_column not in head:
                yield [Unread(f"{path}: has no column {feed.time_column}; it has {', '.join(head)}")]
                return
            place = head.index(feed.time_column)
            if feed.follow:
                file.seek(0, os.SEEK_END)
            batch: list[Item] = []
            for row in rows:
                if row:
                    batch += _of_row(row, head, place, zone, feed.series)
                if len(batch) >= (1 if feed.follow else BATCH):
                    yield batch
                    batch = []
            if batch:
                yield batch

    return items


def of_message(topic: str, payload: bytes, series: Mapping[str, str], now: float) -> list[Item]:
    """Understand a message: a number is the series of its topic (as `series` calls it), an object has its own."""
    text = payload.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        return list(of_json(text, now))
    return [_reading(series.get(topic, topic.rpartition("/")[2]), now, text)]


def _lines(file: Any, stopping: threading.Event, *, follow: bool) -> Iterator[str]:  # noqa: ANN401 - a text file
    rest = ""
    while not stopping.is_set():
        line = file.readline()
        if not line:
            if not follow:
                break
            stopping.wait(FOLLOW_PAUSE_S)
            continue
        rest += line
        if follow and not rest.endswith("\n"):
            continue  # half a line: the other half is being written
        yield rest
        rest = ""
    if rest:
        yield rest


def _of_row(row: list[str], head: list[str], place: int, zone: timezone, series: Mapping[str, str]) -> Iterator[Item]:
    try:
        at = seconds(row[place], zone)
    except (ValueError, IndexError) as error:
        yield Unread(f"{','.join(row)[:80]!r}: {error}")
        return
    for name, value in zip(head, row):
        if name != head[place] and value.strip():
            yield _reading(series.get(name, name), at, value)


def _reading(series: str, at: float, value: object) -> Item:
    try:
        return Reading(series, at, float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return Unread(f"{series}={value!s:.40}: not a number")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
