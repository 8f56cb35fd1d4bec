"""A list of cases as a file of CSV."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from services.gateway.domain.columns import read_columns
from services.gateway.domain.query import CaseQuery
from services.gateway.export import MEDIA_TYPE, csv_chunks
from services.gateway.http.cases import parameters_of
from services.gateway.http.doors import Exporter, Rooms

router = APIRouter(prefix="/api/v1")


@router.get("/cases/export.csv")
async def export_cases(
    request: Request,
    doors: Rooms,
    who: Exporter,
    columns: Annotated[str | None, Query(description="Names of columns, with commas; else those of one's own")] = None,
) -> Response:
    """Download a whole list as CSV, in the columns that one has chosen."""
    chosen = read_columns(columns) or (await doors.preferences.columns(who)).columns
    given = {name: values for name, values in parameters_of(request).items() if name != "columns"}
    query = CaseQuery.parse(given)
    headers = {"Content-Disposition": 'attachment; filename="cases.csv"'}
    return StreamingResponse(csv_chunks(doors.views, who, query, chosen), media_type=MEDIA_TYPE, headers=headers)
