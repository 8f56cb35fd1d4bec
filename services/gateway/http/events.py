"""The stream of case events: one reader in a process while anybody follows, and a bounded queue for each who does.

It reads what people are told in the application, too (`notification.results.v1`): each hears their own, and no more.
Beside it another reads the redacted topics of the tenants that are followed for, so that a counterpart hears of the
cases shared with it. An event's id is where the readers stand after it, for all partitions. Who comes back with it goes
on there: a reader of its own catches up, then the common ones take over. Who is too slow is cut off, and comes back so.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import chain
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.gateway.domain.access import Identity
from services.gateway.domain.following import NOTICES, SHARED, Selection, parse_position
from services.gateway.http.figures import STREAMS
from services.gateway.http.follower import END, Positions, Stream, place_of, standing_at, viewer_of
from services.gateway.http.readers import new_reader, reader_at_end
from services.gateway.http.redacted import Redacted, partition_of
from shared.contracts.catalogue import CASE_EVENTS, NOTIFICATION_RESULTS, SHARED_EVENTS
from shared.contracts.envelope import Record
from shared.errors import TransientError

log = structlog.get_logger()
POLL_MS: Final = 500
POLLED_MAX: Final = 2_000
HEARD_AT_ONCE: Final = 50
HEARTBEAT_SECONDS: Final = 15


class EventHub:
    """Reads `case.events.v1`, and what people are told, for all who follow over HTTP."""

    hears = (CASE_EVENTS, SHARED_EVENTS, NOTIFICATION_RESULTS)

    def __init__(self, bootstrap_servers: str, *, streams_max: int = 1_000) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._streams: defaultdict[str, set[Stream]] = defaultdict(set)
        self._streams_max = streams_max
        self._coming = 0
        self._redacted = Redacted(bootstrap_servers, self._hear)
        self._reader: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._positions: Positions = {}
        self._beginning = asyncio.Lock()
        self._closed = False
        STREAMS.labels(service="gateway").set_function(lambda: self.following)

    async def start(self) -> None:
        """Need nothing before somebody follows."""

    async def stop(self) -> None:
        """End all streams, with a hint when to come back, and read no more."""
        self._closed = True
        for stream in self._all():
            stream.end()
        await self._rest()
        await self._redacted.stop()

    @property
    def following(self) -> int:
        """How many follow now."""
        return sum(map(len, self._streams.values()))

    def _all(self) -> list[Stream]:
        return [stream for streams in self._streams.values() for stream in streams]

    async def follow(self, who: Identity, selection: Selection, last_id: str | None) -> AsyncIterator[bytes]:
        """Yield the stream for somebody, from behind `last_id`, or from now on.

        Raises:
            ValueError: `last_id` is no place in this topic.
            TransientError: too many follow, or Kafka is away.
        """
        if self._closed or self.following >= self._streams_max:
            raise TransientError("no more streams are taken now")
        wanted = parse_position(last_id) if last_id else {}
        await self._begin()
        if not set(wanted) <= set(self._standing(who.tenant_id)):
            raise ValueError("the place is none of this topic")
        return self._pieces(Stream(who, selection, behind=wanted), wanted)

    async def _pieces(self, stream: Stream, wanted: Positions) -> AsyncIterator[bytes]:
        try:
            joined = await self._join(stream)
        except TransientError as error:
            log.warning("stream_not_begun", reason=str(error))
            yield END
            return
        try:
            wanted = joined | wanted
            yield standing_at(wanted)
            if any(wanted[place] < joined[place] for place in joined):
                async for text in self._missed(stream, wanted, joined):
                    yield text
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        piece = await stream.take()
                except TimeoutError:
                    # Nothing waits: all until here is told or was not for this stream.
                    yield standing_at(self._standing(stream.who.tenant_id))
                    continue
                if piece is None:
                    break
                yield piece
            yield END
        finally:
            self._forget(stream)

    async def _missed(self, stream: Stream, wanted: Positions, until: Positions) -> AsyncIterator[bytes]:
        """Yield what lies between two places; what comes later waits in the queue meanwhile."""
        positions = dict(wanted)
        tenant_id = stream.who.tenant_id
        ends = {_partition_of(place, tenant_id): end for place, end in until.items() if positions[place] < end}
        reader = new_reader(self._bootstrap_servers)
        try:
            await reader.start()
            reader.assign(list(ends))
            for place in until:
                if (partition := _partition_of(place, tenant_id)) in ends:
                    reader.seek(partition, positions[place])
            while left := [partition for partition, end in ends.items() if await reader.position(partition) < end]:
                found = await reader.getmany(*left, timeout_ms=POLL_MS, max_records=POLLED_MAX)
                for record in (record for records in found.values() for record in records):
                    if record.offset < until[place_of(record)] and not stream.ended:
                        positions[place_of(record)] = record.offset + 1
                        text = stream.told(record, positions)
                        if text is not None:
                            yield text
                if stream.ended:
                    return
        finally:
            await reader.stop()

    async def _join(self, stream: Stream) -> Positions:
        """Have a stream hear from now on; return where that is."""
        tenant_id = stream.who.tenant_id
        self._coming += 1
        try:
            await self._begin()
            await self._redacted.join(tenant_id)
        finally:
            self._coming -= 1
        # Nothing is heard between these two: what a stream has missed ends where its queue begins.
        self._streams[tenant_id].add(stream)
        if self._closed:
            stream.end()
        return self._standing(tenant_id)

    def _forget(self, stream: Stream) -> None:
        tenant_id = stream.who.tenant_id
        self._redacted.leave(tenant_id)
        self._streams[tenant_id].discard(stream)
        if not self._streams[tenant_id]:
            del self._streams[tenant_id]

    async def _begin(self) -> None:
        async with self._beginning:
            if self._task is not None and not self._task.done():
                return
            try:
                topics = (CASE_EVENTS.name, NOTIFICATION_RESULTS.name)
                reader, standing = await reader_at_end(self._bootstrap_servers, *topics)
            except KafkaError as error:
                raise TransientError(f"events cannot be followed: {type(error).__name__}") from error
            self._positions = {place_of(each): offset for each, offset in standing.items()}
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
            idle = 0 if self._streams or self._coming else idle + 1
            try:
                found = await reader.getmany(timeout_ms=POLL_MS, max_records=POLLED_MAX)
                for number, record in enumerate(chain.from_iterable(found.values())):
                    if number % HEARD_AT_ONCE == 0:
                        await asyncio.sleep(0)  # who keeps up takes what waits before more comes
                    self._hear(record)
            except KafkaError as error:
                log.warning("events_not_read", reason=type(error).__name__)
                await asyncio.sleep(1)
            except Exception:
                log.exception("events_stumbled")  # who follows comes back, and is served from where they were
                break
        self._task = self._reader = None  # who comes from here on begins anew
        for stream in self._all():
            stream.end(overrun=True)
        await reader.stop()

    def _hear(self, record: Record) -> None:
        if (place := place_of(record)) != SHARED:
            self._positions[place] = record.offset + 1
        for stream in list(self._streams.get(viewer_of(record), ())):
            text = stream.told(record, self._standing(stream.who.tenant_id))
            if text is not None:
                stream.put(text)

    def _standing(self, tenant_id: str) -> Positions:
        """Return where this process stands in all that a tenant is told."""
        return self._positions | {SHARED: self._redacted.position(tenant_id)}


def _partition_of(place: int, tenant_id: str) -> TopicPartition:
    if place <= NOTICES:
        return TopicPartition(NOTIFICATION_RESULTS.name, NOTICES - place)
    return partition_of(tenant_id) if place == SHARED else TopicPartition(CASE_EVENTS.name, place)
