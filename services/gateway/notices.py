"""What the gateway keeps of notifications: what became of each delivery, and what people have read of their notices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from services.gateway.domain.access import Identity
from services.gateway.domain.notices import (
    ORDER,
    DeliveryQuery,
    NoticeQuery,
    cursor_behind,
    notice_document,
    own_notices,
    shown_delivery,
    shown_notice,
)
from services.gateway.domain.query import Conditions
from services.gateway.domain.view import Document
from shared.contracts.catalogue import NOTIFICATION_RESULTS
from shared.contracts.notices import RESULTS, result_type
from shared.flow import Heard, Viewer
from shared.storage import Database
from shared.view_storage import Find, Index
from shared.work_storage import WorkCollection

KEPT_SECONDS: Final = 30 * 24 * 3600
UNREAD_MAX: Final = 1_000
NAMES: Final = {result_type(name): name for name in RESULTS}
_INDEXES: Final = (
    Index(name="own", fields=("tenant", "recipient", "channel", "state", "at", "_id")),
    Index(name="tenant", fields=("tenant", "at", "_id")),
    Index(name="state", fields=("tenant", "state", "at", "_id")),
    Index(name="case", fields=("tenant", "case", "at", "_id")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A page of what was told, and where the next one goes on."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Notices:
    """The collection `notices`: a document per delivery, gone a month after it was last told of."""

    def __init__(self, database: Database) -> None:
        self._notices = WorkCollection(database, "notices")

    async def start(self) -> None:
        """Make sure that what is asked for is found by an index."""
        await self._notices.make_indexes(_INDEXES)
        await self._notices.expire("at", KEPT_SECONDS)

    async def stop(self) -> None:
        """Keep everything."""

    async def keep(self, documents: Sequence[Document]) -> None:
        """Write down what was told; of one delivery the later stays, and what was read stays read."""
        await self._notices.set_newer(documents, by="told")

    async def own(self, who: Identity, query: NoticeQuery) -> Told:
        """Return a page of what somebody was told."""
        conditions = query.conditions(who.tenant_id, who.user_id)
        return await self._page(conditions, query.limit, shown_notice)

    async def unread(self, who: Identity) -> int:
        """Return how much somebody has not read; a thousand means that or more."""
        own = own_notices(who.tenant_id, who.user_id)
        return await self._notices.count(own | {"read_at": None}, most=UNREAD_MAX)

    async def read(self, who: Identity, meant: Mapping[str, Any]) -> None:
        """Note that somebody has read those of their own notices that are meant."""
        conditions = own_notices(who.tenant_id, who.user_id) | {"read_at": None} | dict(meant)
        await self._notices.set_where(conditions, {"read_at": datetime.now(UTC)})

    async def of_tenant(self, who: Identity, query: DeliveryQuery) -> Told:
        """Return a page of the deliveries of somebody's tenant."""
        return await self._page(query.conditions(who.tenant_id), query.limit, shown_delivery)

    async def _page(self, conditions: Conditions, limit: int, shown: Any) -> Told:  # noqa: ANN401 - one of two
        found = await self._notices.find(Find(conditions=conditions, order=ORDER, limit=limit + 1))
        items = [shown(each) for each in found[:limit]]
        return Told(items=items, next_cursor=cursor_behind(found[limit - 1]) if len(found) > limit else None)


class NoticeResults(Viewer):
    """What `notification.results.v1` tells."""

    topic = NOTIFICATION_RESULTS
    service = "gateway"

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the last word on each delivery of a batch."""
        last: dict[str, Document] = {}
        for heard in batch:
            document = notice_document(NAMES[heard.incoming.type], orjson.loads(heard.record.value))
            if document["_id"] not in last or last[document["_id"]]["told"] < document["told"]:
                last[document["_id"]] = document
        await self._notices.keep(list(last.values()))
