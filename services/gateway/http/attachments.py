"""Files over HTTP: in one go as a form, by tus 1.0, out again whole or in part, and which files a case has."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from services.gateway.domain.papers import papers_of
from services.gateway.http.bodies import Body, Json
from services.gateway.http.cases import CaseName, seen
from services.gateway.http.doors import Bearer, FileReader, Linker, Rooms, Storer
from services.gateway.http.forms import read_form
from services.gateway.http.multipart import is_multipart
from services.gateway.http.problems import Problem, invalid
from shared.contracts import limits

PREFIX: Final = "/api/v1"
PATH: Final = f"{PREFIX}/attachments"
UPLOADS: Final = f"{PATH}/uploads"
LINK_MINUTES: Final = 15
TUS: Final = ("tus-resumable", "content-type", "upload-checksum")
TUS_HEADERS: Final = {
    "Tus-Resumable": "1.0.0",
    "Tus-Version": "1.0.0",
    "Tus-Extension": "creation,creation-with-upload,expiration,checksum,termination",
    "Tus-Checksum-Algorithm": "sha1,sha256,sha512,md5",
}
router = APIRouter(prefix=PREFIX)
FileId = Annotated[str, Path(alias="file", pattern=limits.UUID_PATTERN, description="A file by its id")]
UploadId = Annotated[str, Path(alias="upload", pattern=limits.UUID_PATTERN, description="An upload by its id")]
Token = Annotated[str, Path(alias="token", pattern="^[A-Za-z0-9_-]{20,100}$", description="What the link ends with")]


@router.post("/attachments", status_code=201)
async def store_files(request: Request, doors: Rooms, who: Storer) -> Response:
    """Store files in one go: a form with as many as the tenant lets one have (five, if it says nothing)."""
    if not is_multipart(request):
        raise Problem("unsupported_media_type", "Send a form, as `Content-Type: multipart/form-data`.")
    _, stored = await read_form(request, doors, who)
    if not stored:
        raise Problem("invalid_request", "The form has no file.")
    return Json({"items": stored}, 201)


@router.options("/attachments/uploads", status_code=204)
async def tell_tus(_who: Storer) -> Response:
    """Tell what of tus 1.0 is spoken here."""
    return Response(status_code=204, headers=TUS_HEADERS)


@router.post("/attachments/uploads", status_code=201)
async def begin_upload(request: Request, doors: Rooms, who: Storer) -> Response:
    """Begin a resumable upload (tus 1.0), perhaps with its first bytes."""
    headers = (*TUS, "upload-length", "upload-metadata")
    answer = await doors.files.passed_on(request, who, "POST", "/uploads", headers=headers, streams=True)
    answer.headers["Location"] = UPLOADS + "/" + answer.headers["location"].rpartition("/")[2]
    return answer


@router.head("/attachments/uploads/{upload}")
async def ask_upload(request: Request, doors: Rooms, who: Storer, upload: UploadId) -> Response:
    """Ask how far an upload has come."""
    return await doors.files.passed_on(request, who, "HEAD", f"/uploads/{upload}", headers=TUS)


@router.patch("/attachments/uploads/{upload}", status_code=204)
async def continue_upload(request: Request, doors: Rooms, who: Storer, upload: UploadId) -> Response:
    """Go on with an upload."""
    headers = (*TUS, "upload-offset")
    return await doors.files.passed_on(request, who, "PATCH", f"/uploads/{upload}", headers=headers, streams=True)


@router.delete("/attachments/uploads/{upload}", status_code=204)
async def cancel_upload(request: Request, doors: Rooms, who: Storer, upload: UploadId) -> Response:
    """Throw an upload away."""
    return await doors.files.passed_on(request, who, "DELETE", f"/uploads/{upload}", headers=TUS)


@router.get("/attachments/links/{token}")
async def redeem_link(request: Request, doors: Rooms, who: Bearer, token: Token) -> Response:
    """Download the file of a link, once; nobody has to sign in."""
    return await doors.files.passed_on(request, who, "GET", f"/links/{token}", pass_path="/links")  # noqa: S106


@router.get("/attachments/{file}")
async def read_file(doors: Rooms, who: FileReader, file: FileId) -> Response:
    """Read what is known of a file."""
    return Json(await doors.files.describe(who, file))


@router.delete("/attachments/{file}", status_code=204)
async def remove_file(doors: Rooms, who: Storer, file: FileId) -> Response:
    """Throw away a file of one's own that is in no case."""
    await doors.files.remove(who, file)
    return Response(status_code=204)


@router.get("/attachments/{file}/content")
async def download_file(request: Request, doors: Rooms, who: FileReader, file: FileId) -> Response:
    """Download a file, whole or a range of it."""
    headers = ("range", "if-range", "if-none-match")
    case_id = await doors.files.case_of(who, file)
    path = f"/files/{file}/content"
    return await doors.files.passed_on(request, who, "GET", path, headers=headers, case_id=case_id)


@router.get("/attachments/{file}/thumbnail")
async def read_thumbnail(request: Request, doors: Rooms, who: FileReader, file: FileId) -> Response:
    """Download a small picture of a picture, or of the first page of a PDF."""
    case_id = await doors.files.case_of(who, file)
    return await doors.files.passed_on(request, who, "GET", f"/files/{file}/thumbnail", case_id=case_id)


@router.post("/attachments/{file}/links", status_code=201)
async def link_file(doors: Rooms, who: Linker, file: FileId, body: Body) -> Response:
    """Make a link that gives the file to whoever has it, once."""
    if unknown := body.keys() - {"expires_in_minutes"}:
        raise invalid([{"loc": (name,), "msg": "is no field of this"} for name in sorted(unknown)])
    minutes = body.get("expires_in_minutes", LINK_MINUTES)
    if not isinstance(minutes, int) or isinstance(minutes, bool):
        raise invalid([{"loc": ("expires_in_minutes",), "msg": "is a whole number"}])
    made = await doors.files.link(who, file, minutes)
    return Json({"url": f"{PATH}/links/{made['token']}", "expires_at": made["expires_at"]}, 201)


@router.get("/cases/{case}/attachments")
async def list_files(doors: Rooms, who: FileReader, name: CaseName) -> Response:
    """List the files of a case, and of its notes, as far as one may see them."""
    view = await seen(doors, who, name)
    papers = papers_of(await doors.views.papers(who, view.case_id))
    items = [
        {"id": file.id, "name": file.name, "at": file.at, "by": file.by}
        | ({"note_id": file.note_id} if file.note_id else {})
        for file in papers.files
    ]
    return Json({"items": items})
