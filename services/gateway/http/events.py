"""The stream of case events: one reader in a process while anybody follows, and a bounded queue for each who does.

An event's id is where the reader stands after it, for all partitions. Who comes back with it goes on there: a reader of
its own catches up, then the common one takes over. Who is too slow is cut off, and comes back the same way.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.gateway.domain.access import Identity, Sight, visible
from services.gateway.domain.following import Selection, event_of, parse_position, position_text
from services.gateway.http.figures import STREAMS
from services.gateway.http.readers import new_reader, reader_at_end
from shared.contracts.catalogue import CASE_EVENTS
from shared.contracts.envelope import Record
from shared.errors import TransientError

log = structlog.get_logger()
POLL_MS: Final = 500
POLLED_MAX: Final = 2_000
QUEUED_MAX: Final = 1_000
HEARTBEAT_SECONDS: Final = 15
RETRY_MS: Final = 2_000
END: Final = f"retry: {RETRY_MS}\n\n".encode()

Positions = dict[int, int]


@dataclass(eq=False)
class Stream:
    """One who follows: what is for them waits in a queue; `ended` once there will be no more.

    What lies before `behind` is known to them: another process may have been further than this one.
    """

    who: Identity
    selection: Selection
    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUED_MAX + 1))
    behind: Mapping[int, int] = field(default_factory=dict)
    ended: bool = False
    sight: Sight = field(init=False)

    def __post_init__(self) -> None:
        self.sight = visible(self.who)

    def put(self, text: bytes) -> None:
        """Hand over a piece; a full queue ends the stream."""
        if self.ended:
            return
        if self.waiting.qsize() >= QUEUED_MAX:
            self.end(overrun=True)
        else:
            self.waiting.put_nowait(text)

    def end(self, *, overrun: bool = False) -> None:
        """Let there be no more: of who was too slow what waits is dropped, it will be asked for again."""
        while overrun and not self.waiting.empty():
            self.waiting.get_nowait()
        if not self.ended:
            self.ended = True
            self.waiting.put_nowait(None)


class EventHub:
    """Reads `case.events.v1` for all who follow it over HTTP."""

    hears = (CASE_EVENTS,)

    def __init__(self, bootstrap_servers: str, *, streams_max: int = 1_000) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._streams: set[Stream] = set()
        self._streams_max = streams_max
        self._reader: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._positions: Positions = {}
        self._beginning = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Need nothing before somebody follows."""

    async def stop(self) -> None:
        """End all streams, with a hint when to come back, and read no more."""
        self._closed = True
        for stream in self._streams:
            stream.end()
        await self._rest()

    @property
    def following(self) -> int:
        """How many follow now."""
        return len(self._streams)

    async def follow(self, who: Identity, selection: Selection, last_id: str | None) -> AsyncIterator[bytes]:
        """Yield the stream for somebody, from behind `last_id`, or from now on.

        Raises:
            ValueError: `last_id` is no place in this topic.
            TransientError: too many follow, or Kafka is away.
        """
        if self._closed or len(self._streams) >= self._streams_max:
            raise TransientError("no more streams are taken now")
        wanted = parse_position(last_id) if last_id else None
        stream = Stream(who, selection, behind=wanted or {})
        self._streams.add(stream)
        STREAMS.labels(service="gateway").set_function(lambda: len(self._streams))
        try:
            await self._begin()
            joined = dict(self._positions)
            if wanted is not None:
                _check(wanted, joined)
        except BaseException:
            self._streams.discard(stream)
            raise
        return self._pieces(stream, joined, joined | (wanted or {}))

    async def _pieces(self, stream: Stream, joined: Positions, wanted: Positions) -> AsyncIterator[bytes]:
        try:
            yield _place(wanted)
            if any(wanted[partition] < joined[partition] for partition in joined):
                async for text in self._missed(stream, wanted, joined):
                    yield text
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        piece = await stream.waiting.get()
                except TimeoutError:
                    # Nothing waits: all until here is told or was not for this stream.
                    yield _place(self._positions)
                    continue
                if piece is None:
                    break
                yield piece
            yield END
        finally:
            self._streams.discard(stream)

    async def _missed(self, stream: Stream, wanted: Positions, until: Positions) -> AsyncIterator[bytes]:
        """Yield what lies between two places; what comes later waits in the queue meanwhile."""
        positions = dict(wanted)
        partitions = [TopicPartition(CASE_EVENTS.name, number) for number in until if positions[number] < until[number]]
        reader = new_reader(self._bootstrap_servers)
        try:
            await reader.start()
            reader.assign(partitions)
            for partition in partitions:
                reader.seek(partition, positions[partition.partition])
            while left := [p for p in partitions if await reader.position(p) < until[p.partition]]:
                found = await reader.getmany(*left, timeout_ms=POLL_MS, max_records=POLLED_MAX)
                for record in (record for records in found.values() for record in records):
                    if record.offset < until[record.partition] and not stream.ended:
                        positions[record.partition] = record.offset + 1
                        text = told(stream, record, positions)
                        if text is not None:
                            yield text
                if stream.ended:
                    return
        finally:
            await reader.stop()

    async def _begin(self) -> None:
        async with self._beginning:
            if self._task is not None and not self._task.done():
                return
            try:
                reader, self._positions = await reader_at_end(self._bootstrap_servers, CASE_EVENTS.name)
            except KafkaError as error:
                raise TransientError(f"events cannot be followed: {type(error).__name__}") from error
            self._reader = reader
            self._task = asyncio.create_task(self._read_on(reader))

    async def _rest(self) -> None:
        async with self._beginning:
            if self._task is not None:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
            if self._reader is not None:
                await self._reader.stop()
            self._task = self._reader = None

    async def _read_on(self, reader: AIOKafkaConsumer) -> None:
        idle = 0
        while idle < 60:
            idle = 0 if self._streams else idle + 1
            try:
                for records in (await reader.getmany(timeout_ms=POLL_MS, max_records=POLLED_MAX)).values():
                    for record in records:
                        self._hear(record)
            except KafkaError as error:
                log.warning("events_not_read", reason=type(error).__name__)
                await asyncio.sleep(1)
            except Exception:
                log.exception("events_stumbled")  # who follows comes back, and is served from where they were
                break
        self._task = self._reader = None  # who comes from here on begins anew
        for stream in self._streams:
            stream.end(overrun=True)
        await reader.stop()

    def _hear(self, record: Record) -> None:
        self._positions[record.partition] = record.offset + 1
        for stream in list(self._streams):
            text = told(stream, record, self._positions)
            if text is not None:
                stream.put(text)


def told(stream: Stream, record: Record, positions: Mapping[int, int]) -> bytes | None:
    """Return an event as its stream tells it; nothing if it is not for it."""
    headers = dict(record.headers)
    tenant = (headers.get("ce_tenant") or b"").decode("utf-8", "replace")
    known = record.offset < stream.behind.get(record.partition, 0)
    if known or tenant != stream.sight.tenant_id or record.value is None:
        return None
    type_ = (headers.get("ce_type") or b"").decode("utf-8", "replace")
    body = event_of(record.value, type_, stream.sight, stream.selection)
    if body is None:
        return None
    data = {"id": (headers.get("ce_id") or b"").decode("utf-8", "replace"), "type": type_, "data": body}
    name = type_.removeprefix("callout.case.").partition(".")[0]
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        position_text(positions).encode(),
        name.encode(),
        orjson.dumps(data),
    )


def _check(wanted: Mapping[int, int], joined: Mapping[int, int]) -> None:
    if not set(wanted) <= set(joined):
        raise ValueError("the place is none of this topic")


def _place(positions: Mapping[int, int]) -> bytes:
    """Return a piece that tells only where the stream stands, so that little has to be looked through again."""
    return f"id: {position_text(positions)}\nevent: position\nretry: {RETRY_MS}\ndata: {{}}\n\n".encode()
