"""What people were told, and what became of deliveries, over HTTP."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints, model_validator
from starlette.responses import Response

from services.gateway.domain.notices import DeliveryQuery, NoticeQuery
from services.gateway.http.bodies import Body, Json, parsed
from services.gateway.http.cases import parameters_of
from services.gateway.http.doors import DeliveryReader, NoticeOwner, Rooms, SubscriptionOwner
from services.gateway.http.problems import invalid
from services.gateway.notices import Told
from shared.contracts import limits
from shared.contracts.fields import Id, Instant, Model
from shared.contracts.notices import Recipient

router = APIRouter(prefix="/api/v1")
IDS_MAX: Final = 1_000
NoticeId = Annotated[str, StringConstraints(min_length=1, max_length=limits.ID_MAX)]


class Meant(Model):
    """Which notices: these, or all that were told up to a time."""

    ids: Annotated[tuple[NoticeId, ...], Field(min_length=1, max_length=IDS_MAX)] | None = None
    until: Instant | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "Meant":
        if (self.ids is None) == (self.until is None):
            raise ValueError("either ids or until")
        return self

    def conditions(self) -> dict[str, Any]:
        """Return what a notice must meet to be meant."""
        return {"_id": {"$in": [*self.ids]}} if self.ids is not None else {"at": {"$lte": self.until}}


class Failed(Model):
    """What failed to reach whom."""

    recipient: Recipient
    delivery_id: Id | None = None


@router.get("/notices")
async def list_notices(request: Request, doors: Rooms, who: NoticeOwner) -> Response:
    """List what one was told in the application, the latest first: all, or what is unread, in pages."""
    query = NoticeQuery.parse(parameters_of(request))
    page = await doors.notices.own(who, query)
    return Json(_page(page, query.limit) | {"unread": await doors.notices.unread(who)})


@router.post("/notices/read")
async def read_notices(doors: Rooms, who: NoticeOwner, body: Body) -> Response:
    """Say that one has read notices: some by their ids, or all `until` a time."""
    if len(body) != 1:
        raise invalid([{"loc": (name,), "msg": "either ids or until"} for name in ("ids", "until")])
    await doors.notices.read(who, parsed(Meant, body).conditions())
    return Json({"unread": await doors.notices.unread(who)})


@router.get("/deliveries")
async def list_deliveries(request: Request, doors: Rooms, who: DeliveryReader) -> Response:
    """List the tenant's notifications and what became of each, those last told of first; not what they said."""
    query = DeliveryQuery.parse(parameters_of(request))
    return Json(_page(await doors.notices.of_tenant(who, query), query.limit))


@router.post("/deliveries/redrive")
async def redrive_deliveries(doors: Rooms, who: SubscriptionOwner, body: Body) -> Response:
    """Have what failed to reach somebody sent again, all of it or one delivery, as if it were new."""
    failed: Failed = parsed(Failed, body)
    await doors.desk_of_tenants.redrive(who.tenant_id, failed.recipient, failed.delivery_id)
    return Response(status_code=204)


def _page(page: Told, limit: int) -> dict[str, Any]:
    more = {"next_cursor": page.next_cursor} if page.next_cursor is not None else {}
    return {"items": page.items, **more, "limit": limit}
