"""Generations of the views: one serves, and while another is made again both are written.

A round asks which, or knows it of the last half second. So whatever a process wrote to one generation alone lies
before the ends that a topic has a second after the other was announced.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.errors import Conflict, UnknownSchema
from shared.storage import Database, Documents, Write
from shared.view_storage import Index, ViewCollection

SCHEMA: Final = 1
LATELY_SECONDS: Final = 0.5
#: After so long every round knows of a change.
KNOWN_SECONDS: Final = 2 * LATELY_SECONDS
NAME: Final = "case_views"
REBUILDING: Final = "rebuilding"
#: What lists are narrowed by or sorted by; behind it stands the order of all lists: by creation, then by number.
LISTED: Final = (
    "open",
    "state",
    "priority",
    "severity",
    "title",
    "customer",
    "created_by",
    "assignee",
    "assignees",
    "teams",
    "parties",
    "model",
    "serial",
    "technology",
    "brand",
    "service_organisation",
    "device",
    "device_status",
    "case_type",
    "case_code",
    "origin",
    "visibility",
    "escalated",
    "application",
    "tags",
    "updated_at",
    "closed_at",
    "grams",
)
VIEW_INDEXES: Final = (
    Index(name="edge", fields=("edge",)),
    Index(name="case_id", fields=("case_id",)),
    Index(name="created_at", fields=("listed", "created_at", "n")),
    Index(name="number", fields=("listed", "n")),
    Index(name="ref", fields=("ref",)),
    *(Index(name=field, fields=("listed", field, "created_at", "n")) for field in LISTED),
)
HISTORY_INDEXES: Final = (
    Index(name="cause", fields=("cause",)),
    Index(name="noted", fields=("noted", "seq")),
    Index(name="papers", fields=("papers",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Which generation serves, and which else is written; `revision` guards a change."""

    serving: int = 1
    also: int | None = None
    revision: int = 0

    @property
    def written(self) -> Sequence[int]:
        """The generations that are written, the newest first: who reads on there finds what an older one showed."""
        return (self.serving,) if self.also is None else sorted((self.serving, self.also), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilding:
    """A generation that is being made again, and up to where the topics are in it, by `<topic>/<partition>`."""

    generation: int
    positions: Mapping[str, int] = field(default_factory=dict)


DEVICE_INDEXES: Final = (
    Index(name="device", fields=("tenant", "_id")),
    Index(name="status", fields=("tenant", "status", "_id")),
)


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of the views; those of devices and sessions are the same in all."""

    cases: ViewCollection
    history: ViewCollection
    devices: ViewCollection
    sessions: ViewCollection

    async def prepare(self) -> None:
        """Make sure the indexes exist."""
        await self.cases.make_indexes(VIEW_INDEXES)
        await self.history.make_indexes(HISTORY_INDEXES)

    async def drop(self) -> None:
        """Forget it."""
        await self.cases.drop()
        await self.history.drop()


class Generations:
    """The generations of one database, and what is said about them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._documents: Documents = database.documents("generations")
        self.devices = ViewCollection(database, "device_views")
        self.sessions = ViewCollection(database, "session_views")
        self._known: tuple[float, Standing] | None = None

    def __getitem__(self, number: int) -> Generation:
        return Generation(
            ViewCollection(self._database, f"case_views_{number}"),
            ViewCollection(self._database, f"case_history_{number}"),
            self.devices,
            self.sessions,
        )

    async def standing(self) -> Standing:
        """Return which generations serve and are written, now.

        Raises:
            UnknownSchema: if a newer version wrote that down.
            TransientError: if the store is away.
        """
        found = await self._documents.find([NAME])
        if not found:
            return Standing()
        document = found[0]
        if document["schema"] != SCHEMA:
            raise UnknownSchema(f"{NAME} has schema {document['schema']}, known is {SCHEMA}")
        return Standing(serving=document["serving"], also=document["also"], revision=document["revision"])

    async def lately(self) -> Standing:
        """Return which generations serve and are written, now or within the last `LATELY_SECONDS`.

        Raises:
            UnknownSchema: if a newer version wrote that down.
            TransientError: if the store is away.
        """
        now = time.monotonic()
        if self._known is None or now - self._known[0] > LATELY_SECONDS:
            self._known = now, await self.standing()
        return self._known[1]

    async def change(self, standing: Standing, **changes: Any) -> Standing:  # noqa: ANN401 - its own fields
        """Say which generations serve and are written from now on.

        Raises:
            Conflict: if somebody else said so first.
        """
        after = replace(standing, **changes, revision=standing.revision + 1)
        document = {
            "_id": NAME,
            "schema": SCHEMA,
            "serving": after.serving,
            "also": after.also,
            "revision": after.revision,
        }
        if conflicts := await self._documents.replace([Write(NAME, standing.revision, document)]):
            raise Conflict(conflicts)
        return after

    async def rebuilding(self) -> Rebuilding | None:
        """Return which generation is being made again and how far that has come; nothing if none is."""
        found = await self._documents.find([REBUILDING])
        if not found or found[0]["generation"] is None:
            return None
        return Rebuilding(generation=found[0]["generation"], positions=dict(found[0]["positions"]))

    async def note(self, rebuilding: Rebuilding | None) -> None:
        """Say how far a generation has come that is being made again; whoever says so last counts."""
        found = await self._documents.find([REBUILDING])
        revision = found[0]["revision"] if found else 0
        generation, positions = (rebuilding.generation, rebuilding.positions) if rebuilding else (None, {})
        document = {"generation": generation, "positions": sorted(positions.items())}
        await self._documents.replace(
            [Write(REBUILDING, revision, {"_id": REBUILDING, "schema": SCHEMA, **document, "revision": revision + 1})]
        )

    async def start(self) -> None:
        """Be ready to be written."""
        await self.devices.make_indexes(DEVICE_INDEXES)
        for number in (await self.standing()).written:
            await self[number].prepare()

    async def stop(self) -> None:
        """Need nothing more."""
