"""Devices over HTTP: what is known of each, and whether it is there."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from services.gateway.domain.devices import DeviceQuery
from services.gateway.http.bodies import Json
from services.gateway.http.cases import parameters_of
from services.gateway.http.doors import DeviceReader, Rooms
from services.gateway.http.problems import not_found
from shared.contracts import limits

router = APIRouter(prefix="/api/v1")
DeviceName = Annotated[str, Path(alias="device", description="A device by its id", pattern=limits.DEVICE_PATTERN)]


@router.get("/devices")
async def list_devices(request: Request, doors: Rooms, who: DeviceReader) -> Response:
    """List devices in the order of their ids: by status, by id, and in pages."""
    query = DeviceQuery.parse(parameters_of(request))
    devices, cursor = await doors.devices.page(who, query)
    more = {"next_cursor": cursor} if cursor is not None else {}
    return Json({"items": devices, **more, "limit": query.limit})


@router.get("/devices/{device}")
async def read_device(doors: Rooms, who: DeviceReader, device: DeviceName) -> Response:
    """Read a device: what is known of it, and whether it is there."""
    found = await doors.devices.one(who, device)
    if found is None:
        raise not_found()
    return Json(found)
