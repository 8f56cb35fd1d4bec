"""Who listens to devices: without this, silence would say nothing of a device, for it may be ours.

Each session with the MQTT broker (a *seat*) notes since when it has listened without a break, and until when all that
had come to it lies in Kafka. Silence counts only as far as *all* seats have listened, also while one does not get on:
what devices said may lie in its session. Only when the MQTT broker has forgotten that is the seat given up; what it may
have missed then counts as a break.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from services.edge_adapter.domain.device import CLOCK_SET_SECONDS, seconds
from shared.contracts.catalogue import DEVICE_OBSERVATIONS
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.presence import WAKE
from shared.errors import TransientError, UnknownSchema
from shared.storage import Documents, Write
from shared.timers import Due, Wakes

log = structlog.get_logger()
SCHEMA: Final = 1
SOURCE: Final = "/callout/edge_adapter"
SWEEP_SECONDS: Final = 10.0
"""So long after the brokers' clock was set back, or may have been, who was seen later than now is looked for."""
STILL_SECONDS: Final = 2.0
"""What nobody has written down for so long, nobody holds."""
BREAK: Final = "-"
"""The document that remembers the last break which no seat remembers."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far silence counts: since when all seats have listened without a break, and until when."""

    since: datetime
    until: datetime


NOBODY: Final = Horizon(datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))


class SeatNotes:
    """What this process notes of its seats; all that changed goes into one write."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._revisions: dict[str, int] = {}
        self._changed: dict[str, Horizon] = {}

    def note(self, seat: str, horizon: Horizon) -> None:
        """Note since when a seat has listened without a break, and until when."""
        self._changed[seat] = horizon

    async def write(self) -> None:
        """Write down what was noted since; the last word on a seat counts.

        Raises:
            TransientError: if the store is away; what was noted is written with what comes next.
        """
        changed, self._changed = self._changed, {}
        try:
            writes = [self._write(seat, horizon) for seat, horizon in changed.items()]
            conflicts = await self._documents.replace(writes)
            self._revisions |= {write.id: write.revision + 1 for write in writes if write.id not in conflicts}
            if conflicts:
                self._revisions |= {each["_id"]: each["revision"] for each in await self._documents.find([*conflicts])}
        except TransientError:
            self._changed = changed | self._changed
            raise
        self._changed = {seat: changed[seat] for seat in conflicts} | self._changed

    async def foreign(self) -> dict[str, int]:
        """Return the seats that were last written down by somebody else, and as which revision.

        Raises:
            TransientError: if the store is away.
        """
        found = {each["_id"]: int(each["revision"]) for each in await self._documents.query({})}
        return {seat: revision for seat, revision in found.items() if revision != self._revisions.get(seat)}

    def _write(self, seat: str, horizon: Horizon) -> Write:
        revision = self._revisions.get(seat, 0)
        facts = {"since": horizon.since, "until": horizon.until}
        return Write(seat, revision, {"_id": seat, "schema": SCHEMA, "revision": revision + 1, **facts})


class Holders:
    """Tells which seats others hold now: what they note of them moves."""

    def __init__(self, notes: SeatNotes, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._notes = notes
        self._steady = steady
        self._moved: dict[str, tuple[int, float]] = {}

    async def elsewhere(self) -> set[str]:
        """Return the seats that somebody else seems to hold; none while that cannot be known."""
        try:
            foreign = await self._notes.foreign()
        except TransientError:
            return set()
        now, before = self._steady(), self._moved
        self._moved = {
            seat: before[seat] if before.get(seat, (-1, 0.0))[0] == revision else (revision, now)
            for seat, revision in foreign.items()
        }
        return {seat for seat, (_, at) in self._moved.items() if now - at < STILL_SECONDS}


class Seats:
    """All seats, as the clock sees them."""

    def __init__(self, documents: Documents, *, gone_seconds: float) -> None:
        self._documents = documents
        self._gone = seconds(gone_seconds)

    async def horizon(self, now: datetime) -> Horizon | None:
        """Return how far silence counts; nothing while nobody listens.

        Raises:
            UnknownSchema: if a newer version wrote a seat down.
            TransientError: if the store is away.
        """
        found = await self._documents.query({})
        for document in found:
            if document["schema"] != SCHEMA:
                raise UnknownSchema(f"schema {document['schema']!r} of a seat; this version knows {SCHEMA}")
        taken = [seat for seat in found if seat["_id"] != BREAK and "until" in seat]
        ahead = now + seconds(CLOCK_SET_SECONDS)
        # What proves something of times to come was written before the brokers' clock was set back: it proves nothing.
        gone = [seat for seat in taken if now - seat["until"] > self._gone or seat["until"] > ahead]
        if gone:
            await self._give_up(gone, found, now)
            return None
        since = [seat["since"] for seat in found if "since" in seat and seat["since"] <= ahead]
        return Horizon(max(since), min(seat["until"] for seat in taken)) if taken and since else None

    async def _give_up(self, gone: list[Document], found: list[Document], now: datetime) -> None:
        """Note the break first: whoever dies in between gives the seats up again."""
        revision = next((each["revision"] for each in found if each["_id"] == BREAK), 0)
        note = {"_id": BREAK, "schema": SCHEMA, "revision": revision + 1, "since": now}
        if await self._documents.replace([Write(BREAK, revision, note)]):
            return
        left = [
            Write(
                seat["_id"],
                seat["revision"],
                {"_id": seat["_id"], "schema": SCHEMA, "revision": seat["revision"] + 1, "left": True},
            )
            for seat in gone
        ]
        await self._documents.replace(left)
        log.warning("seats_given_up", seats=sorted(seat["_id"] for seat in gone))


def _seen_later(until: datetime) -> Document:
    return {"seen_at": {"$gte": until + seconds(CLOCK_SET_SECONDS)}, "due_at": {"$gte": until}}


class Silences:
    """Finds the devices that have been silent, or had time for something, as far as somebody listened.

    When the brokers' clock was set back it finds those too that were seen by the clock before: silence counts anew.
    """

    def __init__(self, devices: Documents, seats: Seats, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._seats = seats
        self._horizon = NOBODY
        self._looked: datetime | None = None
        self._set_back_at = float("-inf")
        self._steady = steady
        due = Due(conditions=self._conditions, sort="due_at", fields=("tenant_id", "device_id"), wake=self._wake)
        self._wakes = Wakes(due, devices)
        self._ahead = Wakes(replace(due, conditions=_seen_later), devices)

    async def prepare(self) -> None:
        """Make sure that what is due is found by an index."""
        await self._wakes.prepare()

    async def find(self, now: datetime) -> tuple[list[Message], bool]:
        """Return the wakes to send now, and whether there may be more at once."""
        horizon = await self._seats.horizon(now)
        if horizon is None:
            return [], False
        self._horizon = horizon
        if self._looked is None or now < self._looked - seconds(CLOCK_SET_SECONDS):
            self._set_back_at = self._steady()
        self._looked = now
        found, more = await self._wakes.find(horizon.until)
        if self._steady() - self._set_back_at <= SWEEP_SECONDS:
            ahead, _ = await self._ahead.find(horizon.until)
            found += ahead
        return found, more

    def _conditions(self, until: datetime) -> Document:
        listened_s = (until - self._horizon.since).total_seconds()
        return {"due_at": {"$lte": until}, "silence_s": {"$lte": listened_s}}

    def _wake(self, found: Document, until: datetime) -> Message:
        key = f"{found['tenant_id']}/{found['device_id']}"
        body = {
            "tenant_id": found["tenant_id"],
            "device_id": found["device_id"],
            "due_at": rfc3339(found["due_at"]),
            "listening_since": rfc3339(self._horizon.since),
            "listened_until": rfc3339(until),
        }
        return message(
            DEVICE_OBSERVATIONS,
            type_=WAKE,
            id_=derived_id("device-wake", key, body["due_at"], body["listened_until"]),
            source=SOURCE,
            time=until,
            value=encode(body),
            key=key,
            tenant=found["tenant_id"],
            subject=key,
        )
