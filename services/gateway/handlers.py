"""What the gateway keeps of what it hears: the view of every case, and its history."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from services.gateway.devices import give_status
from services.gateway.domain.view import Document, Written, entry_document, view_document
from services.gateway.generations import Generation, Generations
from services.gateway.remote_access import give_access
from shared.contracts.catalogue import CASE_EVENTS, SHARED_EVENTS, contract_name
from shared.flow import Heard, Viewer
from shared.flow.counterparts import counterpart_of

HEADERS: Final = frozenset({"ce_type", "ce_id", "ce_prevhash", "ce_hash"})


def unheard(_: Iterable[Written]) -> None:
    """Tell nobody."""


class CaseEvents(Viewer):
    """The owners' views: what `case.events.v1` tells."""

    topic = CASE_EVENTS
    service = "gateway"

    def __init__(self, generations: Generations, wrote: Callable[[Iterable[Written]], None] = unheard) -> None:
        self._generations = generations
        self._wrote = wrote

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the history, then the views, of all cases of a batch: whoever sees the view finds the event."""
        views, entries = documents_of(batch)
        for number in (await self._generations.standing()).written:
            await write(self._generations[number], views, entries)
        self._wrote(Written(view["tenant"], view["case_id"], view["seq"], view["version"]) for view in views)


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


async def write(generation: Generation, views: Sequence[Document], entries: Sequence[Document]) -> None:
    """Write entries, then views, into a generation; what is there already, or newer, stays."""
    await generation.history.insert_new(entries)
    await generation.cases.set_newer(views)
    await give_status(generation, views, entries)
    await give_access(generation, views, entries)


def headers_of(record: Any) -> dict[str, str]:  # noqa: ANN401 - a record
    """Return the headers that the history keeps."""
    return {name: text.decode() for name, text in record.headers if name in HEADERS and text is not None}
