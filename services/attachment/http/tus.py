"""tus 1.0: creation (with the first bytes), HEAD, PATCH, checksum, expiration, termination."""

from email.utils import format_datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from services.attachment.domain.upload import InvalidUpload, Upload, named, read_checksum, read_metadata, read_number
from services.attachment.http.rooms import Rooms
from services.attachment.refusals import Refusal
from shared.passes import Pass

VERSION: Final = "1.0.0"
BYTES: Final = "application/offset+octet-stream"


async def create(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Begin an upload, perhaps with its first bytes."""
    _check_version(request)
    try:
        length = read_number(request.headers.get("upload-length"), "Upload-Length")
        name, declared = named(read_metadata(request.headers.get("upload-metadata")))
        checksum = read_checksum(request.headers.get("upload-checksum"))
    except InvalidUpload as error:
        raise Refusal("invalid_request", str(error)) from error
    upload = await rooms.receiving.begin(who.actor, name, declared, length)
    if request.headers.get("content-type") == BYTES or length == 0:
        upload = await rooms.receiving.receive(who.actor, upload.id, 0, request.stream(), checksum)
    return Response(status_code=201, headers={"Location": f"/uploads/{upload.id}", **_headers(upload)})


async def ask(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Tell how far an upload has come; of one that is whole only once the file is known."""
    _check_version(request)
    upload = await rooms.receiving.find(who.actor, request.path_params["id"])
    if upload.whole:
        upload = await rooms.receiving.finish(upload)
    headers = _headers(upload) | {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    return Response(status_code=200, headers=headers)


async def go_on(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Take more bytes."""
    _check_version(request)
    if request.headers.get("content-type") != BYTES:
        raise Refusal("unsupported_media_type", f"Send {BYTES}.")
    try:
        offset = read_number(request.headers.get("upload-offset"), "Upload-Offset")
        checksum = read_checksum(request.headers.get("upload-checksum"))
    except InvalidUpload as error:
        raise Refusal("invalid_request", str(error)) from error
    upload = await rooms.receiving.receive(who.actor, request.path_params["id"], offset, request.stream(), checksum)
    return Response(status_code=204, headers=_headers(upload))


async def end(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Throw an upload away."""
    _check_version(request)
    await rooms.receiving.cancel(who.actor, request.path_params["id"])
    return Response(status_code=204, headers={"Tus-Resumable": VERSION})


def _check_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise Refusal("tus_version", f"Send Tus-Resumable: {VERSION}.", {"Tus-Version": VERSION})


def _headers(upload: Upload) -> dict[str, str]:
    return {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(upload.offset),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
    }
