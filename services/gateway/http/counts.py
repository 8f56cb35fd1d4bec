"""How many cases of a list there are of each kind."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway.domain.query import CaseQuery, Fault, Grouping, InvalidQuery
from services.gateway.http.bodies import Json
from services.gateway.http.cases import parameters_of
from services.gateway.http.doors import Lister, Rooms

router = APIRouter(prefix="/api/v1")
#: What a list has, and numbers have not.
OF_LISTS: Final = ("sort", "limit", "cursor")
Kind = Literal["state", "priority", "severity", "case_type", "origin", "visibility"]


@router.get("/cases/counts")
async def count_cases(
    request: Request,
    doors: Rooms,
    who: Lister,
    by: Annotated[Kind, Query(description="What is told apart")] = "state",
) -> Response:
    """Count the cases of a list by a kind of theirs: of each word of it how many there are, also if there are none."""
    given = {name: values for name, values in parameters_of(request).items() if name != "by"}
    if unfit := [Fault(name, "is for lists") for name in OF_LISTS if name in given]:
        raise InvalidQuery(unfit)
    query = CaseQuery.parse(given)
    if query.count == "none":
        raise InvalidQuery([Fault("count", "is `bounded` or `exact` here")])
    counts = await doors.views.counts(who, query, Grouping(by))
    items = [{"value": each.value, "total": each.total, "total_exact": each.exact} for each in counts]
    return Json({"by": by, "items": items})
