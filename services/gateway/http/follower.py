"""One who follows events: what is for them waits in a bounded queue, and they always know where they stand."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from services.gateway.domain.access import Identity, Sight, visible
from services.gateway.domain.following import (
    NOTICE,
    NOTICES,
    SHARED,
    Selection,
    event_of,
    notice_of_record,
    position_text,
)
from services.gateway.domain.notices import recipient_of
from shared.contracts.catalogue import NOTIFICATION_RESULTS, SHARED_EVENTS, contract_name, shared_topic
from shared.contracts.envelope import Record

QUEUED_MAX: Final = 1_000
QUEUED_BYTES_MAX: Final = 2 * 1024 * 1024
RETRY_MS: Final = 2_000
END: Final = f"retry: {RETRY_MS}\n\n".encode()

Positions = dict[int, int]
"""The next offset of each partition of `case.events.v1`, under `SHARED` of the tenant's redacted topic, and below it of
each partition of `notification.results.v1`."""


@dataclass(eq=False)
class Stream:
    """One who follows: what is for them waits in a queue; `ended` once there will be no more.

    What lies before `behind` is known to them: another process may have been further than this one.
    """

    who: Identity
    selection: Selection
    waiting: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    behind: Mapping[int, int] = field(default_factory=dict)
    ended: bool = False
    waiting_bytes: int = 0
    sight: Sight = field(init=False)

    def __post_init__(self) -> None:
        self.sight = visible(self.who)

    def put(self, text: bytes) -> None:
        """Hand over a piece; a full queue ends the stream."""
        if self.ended:
            return
        if self.waiting.qsize() >= QUEUED_MAX or self.waiting_bytes + len(text) > QUEUED_BYTES_MAX:
            self.end(overrun=True)
        else:
            self.waiting_bytes += len(text)
            self.waiting.put_nowait(text)

    async def take(self) -> bytes | None:
        """Return the next piece; nothing once there will be no more."""
        piece = await self.waiting.get()
        self.waiting_bytes -= len(piece or b"")
        return piece

    def end(self, *, overrun: bool = False) -> None:
        """Let there be no more: of who was too slow what waits is dropped, it will be asked for again."""
        while overrun and not self.waiting.empty():
            self.waiting.get_nowait()
        if not self.ended:
            self.ended = True
            self.waiting.put_nowait(None)

    def told(self, record: Record, positions: Mapping[int, int]) -> bytes | None:
        """Return an event as it is told to this one; nothing if it is not for them."""
        headers = dict(record.headers)
        place = place_of(record)
        known = record.offset < self.behind.get(place, 0)
        if known or viewer_of(record) != self.sight.tenant_id or record.value is None:
            return None
        type_ = (headers.get("ce_type") or b"").decode("utf-8", "replace")
        if place <= NOTICES:
            name, body = NOTICE, self._notice(record)
        else:
            name = type_.removeprefix("callout.case.").partition(".")[0]
            body = event_of(record.value, type_, self.sight, self.selection, redacted=place == SHARED)
        if body is None:
            return None
        data = {"id": (headers.get("ce_id") or b"").decode("utf-8", "replace"), "type": type_, "data": body}
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (
            position_text(positions).encode(),
            name.encode(),
            orjson.dumps(data),
        )

    def _notice(self, record: Record) -> dict[str, Any] | None:
        """Return a notice for this very person, whom the record's key names; another's is not even read."""
        recipient = recipient_of(self.who.user_id)
        if record.value is None or record.key != f"{self.who.tenant_id}/{recipient}".encode():
            return None
        return notice_of_record(record.value, recipient, self.selection)


def place_of(record: Record) -> int:
    """Return under which number the position of a record's partition is told."""
    if record.topic == NOTIFICATION_RESULTS.name:
        return NOTICES - int(record.partition)
    return SHARED if contract_name(record.topic) == SHARED_EVENTS.name else int(record.partition)


def viewer_of(record: Record) -> str:
    """Return the tenant that an event is told to: of a redacted topic the counterpart it is named after."""
    if place_of(record) == SHARED:
        head, _, tail = shared_topic("\n").partition("\n")
        return record.topic.removeprefix(head).removesuffix(tail)
    return (dict(record.headers).get("ce_tenant") or b"").decode("utf-8", "replace")


def standing_at(positions: Mapping[int, int]) -> bytes:
    """Return a piece that tells only where a stream stands, so that little has to be looked through again."""
    return f"id: {position_text(positions)}\nevent: position\nretry: {RETRY_MS}\ndata: {{}}\n\n".encode()
