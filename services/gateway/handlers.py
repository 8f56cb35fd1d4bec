"""What the gateway keeps of what it hears: the view of every case, and its history."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from services.gateway.devices import look_up, named_by, settle_status
from services.gateway.domain.view import Document, Written, entry_document, view_document
from services.gateway.generations import Generation, Generations
from services.gateway.remote_access import give_access
from shared.contracts.catalogue import CASE_EVENTS, SHARED_EVENTS, contract_name
from shared.contracts.words import Visibility
from shared.flow import Heard, Viewer
from shared.flow.counterparts import counterpart_of

HEADERS: Final = frozenset({"ce_type", "ce_id", "ce_prevhash", "ce_hash"})


def unheard(_: Iterable[Written]) -> None:
    """Tell nobody."""


class CaseEvents(Viewer):
    """The owners' views: what `case.events.v1` tells. `wrote` hears of views as soon as they are written."""

    topic = CASE_EVENTS
    service = "gateway"

    def __init__(self, generations: Generations, wrote: Callable[[Iterable[Written]], None] = unheard) -> None:
        self._generations = generations
        self._wrote = wrote

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the history, then the views, of all cases of a batch: whoever sees the view finds the event."""
        views, entries = documents_of(batch)
        standing = await self._generations.lately()
        puts = [await put(self._generations[number], views, entries) for number in standing.written]
        self._wrote(puts[-1].written())
        for number, each in zip(standing.written, puts, strict=True):
            await settle(self._generations[number], each)


def viewer_of(event: Heard) -> str:
    """Return the tenant whose view an event belongs to: the owner, or of a redacted topic the counterpart it names."""
    topic: str = event.record.topic
    if contract_name(topic) == SHARED_EVENTS.name:
        return counterpart_of(topic)
    owner: str = event.incoming.data.case.tenant_id
    return owner


def documents_of(batch: Sequence[Heard]) -> tuple[list[Document], list[Document]]:
    """Return the views after some events, and their entries in the history."""
    entries: list[Document] = []
    last: dict[tuple[str, str], tuple[Mapping[str, Any], bytes]] = {}
    for event in batch:
        value, viewer = event.record.value, viewer_of(event)
        body = orjson.loads(value)
        entries.append(entry_document(viewer, body, value, headers_of(event.record)))
        key = (viewer, body["case_id"])
        if key not in last or last[key][0]["seq"] < body["seq"]:
            last[key] = body, value
    return [view_document(viewer, body, value) for (viewer, _), (body, value) in last.items()], entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What was written into a generation: `cases` may have news of their devices, which were `told` as known before."""

    views: Sequence[Document]
    entries: Sequence[Document]
    cases: Sequence[Document]
    told: Mapping[str, Document]
    passed_over: frozenset[str]

    def written(self) -> Iterator[Written]:
        """Yield what this is to those who wait; of a case that is new and of its owner's alone, the whole view."""
        new = {entry["_id"].rpartition(":")[0] for entry in self.entries if entry["seq"] == 1}
        for view in self.views:
            whole = view["_id"] in new - self.passed_over and view["visibility"] == Visibility.INTERNAL
            yield Written(view["tenant"], view["case_id"], view["seq"], view["version"], view if whole else None)


async def write(generation: Generation, views: Sequence[Document], entries: Sequence[Document]) -> None:
    """Write entries, then views, into a generation; what is there already, or newer, stays."""
    await settle(generation, await put(generation, views, entries))


async def put(generation: Generation, views: Sequence[Document], entries: Sequence[Document]) -> Put:
    """Write entries, then views with what is known of their devices; the rest is to be settled."""
    cases = named_by(views, entries)
    _, told = await asyncio.gather(generation.history.insert_new(entries), look_up(generation, cases))
    named = {view["_id"] for view in cases}
    whole = [view | told[view["edge"]] if view["_id"] in named else view for view in views]
    passed_over = await generation.cases.set_newer(whole)
    return Put(views=whole, entries=entries, cases=cases, told=told, passed_over=passed_over)


async def settle(generation: Generation, done: Put) -> None:
    """Say beside cases that were just written what came in between, of their devices and of their sessions."""
    await settle_status(generation, done.cases, done.told, done.passed_over)
    await give_access(generation, done.views, done.entries)


def headers_of(record: Any) -> dict[str, str]:  # noqa: ANN401 - a record
    """Return the headers that the history keeps."""
    return {name: text.decode() for name, text in record.headers if name in HEADERS and text is not None}
