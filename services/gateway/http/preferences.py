"""What somebody wants lists to look like."""

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway.http.bodies import Body, Json
from services.gateway.http.doors import Owner, Rooms

router = APIRouter(prefix="/api/v1")


@router.get("/preferences/cases")
async def read_preferences(doors: Rooms, who: Owner) -> Response:
    """Read which columns one sees, in which order, and the filters that a list begins with."""
    return Json((await doors.preferences.columns(who)).body())


@router.put("/preferences/cases")
async def save_preferences(doors: Rooms, who: Owner, body: Body) -> Response:
    """Choose columns, their order and filters."""
    return Json((await doors.preferences.save_columns(who, body)).body())


@router.delete("/preferences/cases")
async def reset_preferences(doors: Rooms, who: Owner) -> Response:
    """Go back to the factory setting."""
    return Json((await doors.preferences.reset_columns(who)).body())
