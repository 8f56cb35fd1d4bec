"""Files at the Equinix door: uploaded before, 10 MB at most, of its types; named by who uploaded them."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from services.gateway.domain.access import Identity
from services.gateway.http.compat.equinix_answers import EquinixRoute
from services.gateway.http.compat.equinix_forms import FileForm
from services.gateway.http.doors import Doors, Rooms, Storer
from services.gateway.http.multipart import MultipartReader, is_multipart, plain_name
from services.gateway.http.problems import Problem

PATH: Final = "/compat/equinix/v1/attachments"
BYTES_MAX: Final = 10 * 1024 * 1024
ENDINGS: Final = frozenset(
    "bmp jpg jpeg gif png tif tiff txt doc docx xls xlsx ppt pps ppsx pdf vsd".split()  # noqa: SIM905 - as it is told
)
router = APIRouter(prefix=PATH, route_class=EquinixRoute)


@router.post("/file", status_code=201)
async def upload_file(request: Request, doors: Rooms, who: Storer) -> Response:
    """Upload a file, to be named by a case or a note within 40 days; usable by its uploader alone."""
    if not is_multipart(request):
        raise Problem("unsupported_media_type", "Send a form, as `Content-Type: multipart/form-data`.")
    async for part in MultipartReader(request).parts():
        if not part.filename:
            await part.text()
            continue
        name = plain_name(part.filename)
        _check_ending(name)
        file = await doors.files.store(who, name, part.media_type, part.chunks(), at_most=BYTES_MAX)
        return JSONResponse({"id": file["id"], "name": file["name"]}, 201)
    raise _invalid("the form has no file")


async def check_files(doors: Doors, who: Identity, files: Sequence[FileForm]) -> None:
    """Refuse files that a case or a note may not name; without an attachment service they are taken as they are named.

    Raises:
        Problem: `invalid_request`, with what is wrong about them.
    """
    if len({file.id for file in files}) < len(files):
        raise _invalid("a file can be attached once")
    if not doors.files.are_kept:
        return
    for file in files:
        _check_ending(file.name)
        try:
            known = await doors.files.describe(who, file.id)
        except Problem as error:
            raise _invalid(f"you uploaded no file {file.id}") from error
        if known["name"] != file.name or known["state"] == "linked":
            raise _invalid(f"the file {file.id} has another name, or is in a case already")
        if known["size"] > BYTES_MAX:
            raise _invalid(f"a file has at most {BYTES_MAX} bytes")


def _check_ending(name: str) -> None:
    if name.rpartition(".")[2].lower() not in ENDINGS:
        raise _invalid(f"one of the types {', '.join(sorted(ENDINGS))}")


def _invalid(message: str) -> Problem:
    told = f"attachments: {message}"
    return Problem("invalid_request", told, fields=[{"field": "attachments", "message": message}])
