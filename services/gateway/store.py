"""The views as they are asked for, for somebody who sees so much and no more."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from services.gateway.domain.access import Identity, visible
from services.gateway.domain.pages import behind, order_of, place_of, read, written
from services.gateway.domain.query import CaseQuery, Conditions, Grouping
from services.gateway.domain.view import (
    Body,
    CaseView,
    HistoryEntry,
    Seen,
    entry_id,
    event_name,
    read_entry,
    read_view,
    seen_of,
    state_of_entry,
    view_id,
)
from services.gateway.generations import Generation, Generations
from shared.view_storage import Find

COUNTED_MAX: Final = 10_000
"""A total is counted so far unless somebody asks for more: counting costs as much as there is."""
ROWS_AT_ONCE: Final = 1_000
STANDING_SECONDS: Final = 1.0
"""So long a process goes on reading a generation that another has taken the place of; both are written meanwhile."""
SHOWN: Final = (
    *("case_id", "seq", "version", "deleted", "raw", "created_at", "n"),
    *("device_status", "remote", "remote_until"),
)
LAST: Final = 10**12 - 1
MANY_SECONDS: Final = 60.0
"""So long a list is taken to have more cases than are counted, once it had."""
MANY_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list; `total` is exact, or (`total_exact` is false) there are more than that."""

    items: list[CaseView]
    total: int | None
    total_exact: bool
    next_cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many cases of a list have one word; there are more than that if it is not exact."""

    value: str
    total: int
    exact: bool


class Views:
    """Views of cases in the generation that serves."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._serving = 0
        self._asked_at = float("-inf")
        self._many: OrderedDict[bytes, float] = OrderedDict()

    async def page(self, who: Identity, query: CaseQuery, *, offset: int = 0) -> Page:
        """Return one page of what somebody may see, and how much there is.

        Raises:
            InvalidQuery: if its cursor is none or belongs to another list.
        """
        generation = await self._generation()
        found, total = await asyncio.gather(
            generation.cases.find(self.question(who, query, more=1, skip=offset)), self._total(generation, who, query)
        )
        shown = found[: query.limit]
        return Page(
            items=[read_view(document, _now()) for document in shown],
            total=None if total is None else min(total, COUNTED_MAX) if query.count == "bounded" else total,
            total_exact=total is not None and (query.count == "exact" or total <= COUNTED_MAX),
            next_cursor=written(place_of(shown[-1], query), query) if len(found) > query.limit else None,
            limit=query.limit,
        )

    async def rows(self, who: Identity, query: CaseQuery) -> AsyncIterator[CaseView]:
        """Yield all of a list, in order; page after page, so that no cursor stays open and memory stays flat."""
        place = read(query)
        conditions = query.conditions(visible(who), who.user_id)
        while True:
            find = _find(query, conditions, None if place is None else behind(place, query), ROWS_AT_ONCE)
            found = await (await self._generation()).cases.find(find)
            for document in found:
                yield read_view(document, _now())
            if len(found) < ROWS_AT_ONCE:
                return
            place = place_of(found[-1], query)

    async def counts(self, who: Identity, query: CaseQuery, by: Grouping) -> list[Count]:
        """Return how much there is of what somebody may see, apart for each word of a grouping that the list allows."""
        generation, lists = await self._generation(), query.groups(by)
        totals = await asyncio.gather(*(self._total(generation, who, each) for each in lists.values()))
        exact = query.count == "exact"
        return [
            Count(
                value=word,
                total=total if exact else min(total, COUNTED_MAX),
                exact=exact or total <= COUNTED_MAX,
            )
            for word, total in zip(lists, totals, strict=True)
            if total is not None
        ]

    def question(self, who: Identity, query: CaseQuery, *, more: int = 0, skip: int = 0) -> Find:
        """Return what the store is asked for a page."""
        place = read(query)
        conditions = query.conditions(visible(who), who.user_id)
        return _find(query, conditions, None if place is None else behind(place, query), query.limit + more, skip)

    async def one(self, who: Identity, id_or_number: str) -> CaseView | None:
        """Return a case by its id or number; nothing if there is none for this viewer, `deleted` if it was."""
        sight = visible(who)
        name = "ref" if id_or_number.isascii() and id_or_number.isdigit() else "_id"
        conditions: Conditions = {name: view_id(sight.tenant_id, id_or_number)}
        if sight.own_of is not None:
            conditions["parties"] = sight.own_of
        found = await (await self._generation()).cases.find(Find(conditions=conditions, limit=1, fields=SHOWN))
        return read_view(found[0], _now()) if found else None

    async def history(self, who: Identity, case_id: str, *, after_seq: int = 0, limit: int) -> list[HistoryEntry]:
        """Return events of a case as they were published, in order, from behind a `seq`.

        Those of internal papers are there for the staff alone, so that numbers may be missing.
        """
        conditions = await self._entries(who, case_id, after_seq + 1, LAST)
        if conditions is None:
            return []
        history = (await self._generation()).history
        return [read_entry(d) for d in await history.find(Find(conditions=conditions, order=[("_id", 1)], limit=limit))]

    async def as_of(self, who: Identity, case_id: str, at: datetime) -> bytes | None:
        """Return the state of a case at a time, byte for byte as the last event until then told it."""
        conditions = await self._entries(who, case_id, 0, LAST, papers=True)
        if conditions is None:
            return None
        find = Find(conditions=conditions | {"at": {"$lte": at}}, order=[("_id", -1)], limit=1)
        found = await (await self._generation()).history.find(find)
        return state_of_entry(read_entry(found[0])) if found else None

    async def caused_by(self, who: Identity, command_id: str) -> list[HistoryEntry]:
        """Return the events that a command caused, as far as this viewer's tenant is told of them."""
        find = Find(conditions={"cause": view_id(who.tenant_id, command_id)}, order=[("_id", 1)])
        return [read_entry(document) for document in await (await self._generation()).history.find(find)]

    async def papers(self, who: Identity, case_id: str) -> list[tuple[str, Body]]:
        """Return the events about notes and files of a case, by name, in order, as far as they are for this viewer."""
        conditions = await self._entries(who, case_id, 0, LAST)
        if conditions is None:
            return []
        noted = conditions | {"noted": view_id(who.tenant_id, case_id)}
        found = await (await self._generation()).history.find(Find(conditions=noted, order=[("seq", 1)]))
        return [(event_name(document["type"]), orjson.loads(document["value"])) for document in found]

    async def holder(self, who: Identity, paper_id: str) -> str | None:
        """Return the id of the case that a note or file was put to; nothing if there is none for this viewer."""
        sight = visible(who)
        conditions: Conditions = {"papers": view_id(sight.tenant_id, paper_id)}
        if not sight.internal:
            conditions["internal"] = False
        found = await (await self._generation()).history.find(Find(conditions=conditions, limit=1, fields=("_id",)))
        if not found:
            return None
        case_id: str = found[0]["_id"].partition("/")[2].partition(":")[0]
        return case_id if sight.own_of is None or await self.one(who, case_id) is not None else None

    async def versions(self, tenant_id: str, case_ids: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """Return `seq` and `version` of those of the cases that a tenant has views of; one question for all."""
        ids = [view_id(tenant_id, case_id) for case_id in case_ids]
        find = Find(conditions={"_id": {"$in": ids}}, fields=("case_id", "seq", "version"))
        found = await (await self._generation()).cases.find(find)
        return {document["case_id"]: (document["seq"], document["version"]) for document in found}

    async def newest(self, tenant_id: str, case_ids: Collection[str]) -> Mapping[str, Seen]:
        """Return those of the cases that a tenant has views of, with who takes part in each; one question for all."""
        ids = [view_id(tenant_id, case_id) for case_id in case_ids]
        find = Find(conditions={"_id": {"$in": ids}}, fields=(*SHOWN, "parties"))
        found = await (await self._generation()).cases.find(find)
        return {document["case_id"]: seen_of(document, _now()) for document in found}

    async def _total(self, generation: Generation, who: Identity, query: CaseQuery) -> int | None:
        if query.count == "none":
            return None
        conditions = query.conditions(visible(who), who.user_id)
        if query.count == "exact":
            return await generation.cases.count(conditions, most=0)
        # Of a list that has more than are counted it is known for a while: counting so far is most of a page's time.
        list_, now = orjson.dumps(conditions, default=str), time.monotonic()
        if self._many.get(list_, now) > now:
            return COUNTED_MAX + 1
        total = await generation.cases.count(conditions, most=COUNTED_MAX + 1)
        if total > COUNTED_MAX:
            self._many[list_] = now + MANY_SECONDS
            self._many.move_to_end(list_)
            if len(self._many) > MANY_MAX:
                self._many.popitem(last=False)
        return total

    async def _entries(
        self, who: Identity, case_id: str, first: int, last: int, *, papers: bool = False
    ) -> Conditions | None:
        sight = visible(who)
        if sight.own_of is not None and await self.one(who, case_id) is None:
            return None
        ids = {name: entry_id(sight.tenant_id, case_id, seq) for name, seq in (("$gte", first), ("$lte", last))}
        return {"_id": ids} if sight.internal or papers else {"_id": ids, "internal": False}

    async def _generation(self) -> Generation:
        now = time.monotonic()
        if now - self._asked_at > STANDING_SECONDS:
            self._serving, self._asked_at = (await self._generations.standing()).serving, now
        return self._generations[self._serving]


def _now() -> datetime:
    return datetime.now(UTC)


def _find(
    query: CaseQuery, conditions: Conditions, further: list[Conditions] | None, limit: int, skip: int = 0
) -> Find:
    """Return a question; what lies behind a place is asked for in parts, each of which an index has in order."""
    if further is not None:
        parts = [{"$and": [conditions, part]} for part in further]
        conditions = parts[0] if len(parts) == 1 else {"$or": parts}
    fields = (*SHOWN, query.order[0]) if query.order[0] not in SHOWN else SHOWN
    return Find(conditions=conditions, order=order_of(query), skip=skip, limit=limit, fields=fields)
