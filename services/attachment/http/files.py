"""Files in one go, and out again: whole or in part, as a picture, once by a link."""

from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from services.attachment.domain import Attachment
from services.attachment.domain.names import InvalidName, clean, disposition
from services.attachment.domain.upload import Upload, read_range
from services.attachment.http.rooms import Rooms
from services.attachment.refusals import Refusal
from shared.contracts.attachments import Remove
from shared.contracts.fields import rfc3339
from shared.contracts.ids import fresh_id
from shared.contracts.words import AttachmentState, Scan
from shared.errors import CalloutError
from shared.passes import Pass

LINK_MINUTES = 15
BODY_MAX = 1024


async def take(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Take a file in one go; its name comes as `Upload-Name`, percent-encoded."""
    try:
        name = clean(unquote(request.headers.get("upload-name", ""), errors="strict"))
    except (InvalidName, UnicodeDecodeError) as error:
        raise Refusal("invalid_request", f"filename: {error}") from error
    receiving = rooms.receiving
    most = request.headers.get("upload-limit", "")
    at_most = int(most) if most.isascii() and most.isdigit() else None
    upload = await receiving.begin(who.actor, name, request.headers.get("content-type"), None, at_most=at_most)
    try:
        upload = await receiving.receive(who.actor, upload.id, 0, request.stream(), ends=True)
    except (CalloutError, ClientDisconnect):
        await receiving.drop(upload.id)
        raise
    return JSONResponse(told_upload(upload), 201)


async def describe(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Tell what is known of a file."""
    return JSONResponse(told_file(await rooms.giving.file(who, request.path_params["id"])))


async def remove(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Throw a file away that is in no case."""
    file = await rooms.giving.file(who, request.path_params["id"])
    if file.state is AttachmentState.LINKED:
        raise Refusal("in_a_case", "The file is in a case; detach it there first.")
    command = Remove(attachment_id=file.id, tenant_id=file.tenant_id, actor=who.actor)
    await rooms.sender.send("remove", command, id_=fresh_id())
    await rooms.giving.gone(file.id)
    return Response(status_code=204)


async def give(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Give a file out, whole or a range of it."""
    return await _bytes(request, rooms, await rooms.giving.file(who, request.path_params["id"]))


async def show(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Give a small picture of a file."""
    file = await rooms.giving.file(who, request.path_params["id"])
    picture = await rooms.giving.picture(file)
    headers = {"ETag": f'"{file.sha256}-thumbnail"', "Content-Disposition": 'inline; filename="thumbnail"'}
    return Response(picture.data, media_type=picture.media_type, headers=headers)


async def link(request: Request, rooms: Rooms, who: Pass) -> Response:
    """Make a link that holds once."""
    file = await rooms.giving.file(who, request.path_params["id"])
    body = await request.body()
    try:
        minutes = orjson.loads(body or b"{}").get("expires_in_minutes", LINK_MINUTES)
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise Refusal("invalid_request", "The body has to be a JSON object.") from error
    if not isinstance(minutes, int) or isinstance(minutes, bool):
        raise Refusal("invalid_request", "expires_in_minutes: a whole number.")
    return JSONResponse(await rooms.giving.make_link(who, file, minutes), 201)


async def redeem(request: Request, rooms: Rooms) -> Response:
    """Give a file to whoever has a link, once."""
    return await _bytes(request, rooms, await rooms.giving.redeem(request.path_params["token"]), whole=True)


async def _bytes(request: Request, rooms: Rooms, file: Attachment, *, whole: bool = False) -> Response:
    blob = await rooms.giving.blob(file)
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "none" if whole else "bytes",
        "Content-Disposition": disposition(file.name),
        "X-Content-Type-Options": "nosniff",
    }
    known = {each.strip() for each in request.headers.get("if-none-match", "").split(",")}
    if not whole and known & {etag, f"W/{etag}", "*"}:
        return Response(status_code=304, headers=headers)
    start, stop, status = 0, blob.size, 200
    if not whole and request.headers.get("if-range", etag) == etag:
        try:
            part = read_range(request.headers.get("range"), blob.size)
        except ValueError as error:
            raise Refusal("range_not_satisfiable", str(error), {"Content-Range": f"bytes */{blob.size}"}) from error
        if part is not None:
            (start, stop), status = part, 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    headers["Content-Length"] = str(stop - start)
    if stop == start:
        return Response(status_code=status, media_type=file.media_type, headers=headers)
    return StreamingResponse(rooms.giving.read(blob, start, stop), status, headers, file.media_type)


def told_upload(upload: Upload) -> dict[str, Any]:
    """Return a file that just came in, as JSON."""
    return {
        "id": upload.id,
        "name": upload.name,
        "size": upload.offset,
        "media_type": upload.media_type,
        "sha256": upload.sha256,
        "state": AttachmentState.STORED.value,
        "scan": Scan.PENDING.value,
    }


def told_file(file: Attachment) -> dict[str, Any]:
    """Return what is known of a file, as JSON."""
    told: dict[str, Any] = {
        "id": file.id,
        "name": file.name,
        "size": file.size,
        "media_type": file.media_type,
        "sha256": file.sha256,
        "state": file.state.value,
        "scan": file.scan.value,
        "finding": file.finding,
        "thumbnail": file.thumbnail,
        "case_id": file.case_id,
        "note_id": file.note_id,
        "stored_at": rfc3339(file.stored_at),
        "expires_at": rfc3339(file.expires_at) if file.expires_at else None,
    }
    return {name: value for name, value in told.items() if value is not None}
