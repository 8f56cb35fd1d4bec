"""What the routes of files take and tell, beside what their own signatures say."""

from collections.abc import Mapping
from typing import Any, Final

from services.gateway.http.examples import FILE_ID
from services.gateway.http.schemas import Schema, ref
from services.gateway.http.told import Told
from shared.contracts import limits

BYTES: Final = "application/offset+octet-stream"
BINARY: Final[Schema] = {"type": "string", "format": "binary"}
FILE: Final = {
    "id": FILE_ID,
    "name": "spindle.jpg",
    "size": 48213,
    "media_type": "image/jpeg",
    "sha256": "9f" * 32,
    "state": "scanned",
    "scan": "clean",
    "thumbnail": True,
    "stored_at": "2026-03-02T10:15:00.000Z",
    "expires_at": "2026-04-11T10:15:00.000Z",
}
STORED: Final = {name: FILE[name] for name in ("id", "name", "size", "media_type", "sha256")} | {
    "state": "stored",
    "scan": "pending",
}
FORM: Final[Schema] = {
    "type": "object",
    "properties": {"file": {"type": "array", "items": BINARY, "minItems": 1, "maxItems": limits.FILES_OF_FORM_MAX}},
    "required": ["file"],
    "description": "Files under any names of fields: five at most, or as many as the tenant has set.",
}
UPLOAD_TOLD: Final = {
    "Upload-Offset": "How many bytes are there",
    "Upload-Expires": "Until when it is kept if it does not go on",
    "Tus-Resumable": "1.0.0",
}
DOWNLOAD_TOLD: Final = {
    "ETag": "The digest of the bytes",
    "Content-Disposition": "The name (RFC 6266)",
    "Accept-Ranges": "bytes",
}
STORING: Final = ("invalid_request", "too_large", "quota_exceeded", "unsupported_media_type")
GOING_ON: Final = (*STORING, "not_found", "offset_conflict", "tus_version", "upload_busy", "checksum_mismatch")
FINDING: Final = ("invalid_request", "not_found")
GIVING: Final = (*FINDING, "quarantined", "not_scanned")


def _header(name: str, schema: Schema, *, required: bool = False, about: str = "") -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": about}


TUS: Final = _header("Tus-Resumable", {"type": "string"}, required=True, about="The version of tus, 1.0.0")
NUMBER: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**14}
OFFSET: Final = _header("Upload-Offset", NUMBER, required=True, about="How many bytes are there already")
CHECKSUM: Final = _header("Upload-Checksum", {"type": "string"}, about="sha256 (or another) and the digest in base64")
LENGTH: Final = _header("Upload-Length", NUMBER, required=True, about="How many bytes the file has")
METADATA: Final = _header(
    "Upload-Metadata", {"type": "string"}, required=True, about="`filename`, and perhaps `filetype`, in base64"
)
RANGES: Final = (
    _header("Range", {"type": "string"}, about="Which bytes, as `bytes=0-1023`"),
    _header("If-Range", {"type": "string"}, about="The `ETag` that the file has to have, else all of it comes"),
    _header("If-None-Match", {"type": "string"}, about="The `ETag` of what is there already: then 304"),
)

FILE_ROUTES: Final[Mapping[tuple[str, str], Told]] = {
    ("post", "/attachments"): Told(
        status=201,
        what="Stored; `attach` puts them into a case, within 40 days",
        problems=STORING,
        schema=ref("StoredFiles"),
        example={"items": [STORED]},
        body=FORM,
        takes="multipart/form-data",
    ),
    ("options", "/attachments/uploads"): Told(
        status=204, what="What of tus 1.0 is spoken", problems=(), headers={"Tus-Extension": "Its extensions"}
    ),
    ("post", "/attachments/uploads"): Told(
        status=201,
        what="Begun; the file has the id that ends the location",
        problems=(*STORING, "tus_version", "checksum_mismatch", "upload_busy"),
        body=BINARY,
        takes=BYTES,
        headers={**UPLOAD_TOLD, "Location": "The upload"},
        parameters=(TUS, LENGTH, METADATA, CHECKSUM),
    ),
    ("head", "/attachments/uploads/{upload}"): Told(
        status=200,
        what="How far it has come; whole once the file is known",
        problems=(*FINDING, "tus_version", "unsupported_media_type"),
        headers={**UPLOAD_TOLD, "Upload-Length": "How many bytes the file has"},
        parameters=(TUS,),
    ),
    ("patch", "/attachments/uploads/{upload}"): Told(
        status=204,
        what="Taken",
        problems=GOING_ON,
        body=BINARY,
        takes=BYTES,
        headers=UPLOAD_TOLD,
        parameters=(TUS, OFFSET, CHECKSUM),
    ),
    ("delete", "/attachments/uploads/{upload}"): Told(
        status=204, what="Thrown away", problems=(*FINDING, "tus_version", "upload_busy"), parameters=(TUS,)
    ),
    ("get", "/attachments/links/{token}"): Told(
        status=200,
        what="The file; the link holds no more",
        problems=GIVING,
        schema=BINARY,
        example="…",
        media="application/octet-stream",
        headers=DOWNLOAD_TOLD,
    ),
    ("get", "/attachments/{file}"): Told(
        status=200, what="The file", problems=FINDING, schema=ref("File"), example=FILE
    ),
    ("delete", "/attachments/{file}"): Told(status=204, what="Removed", problems=(*FINDING, "in_a_case")),
    ("get", "/attachments/{file}/content"): Told(
        status=200,
        what="The bytes: all, a range of them (206), or none, as they were (304)",
        problems=(*GIVING, "range_not_satisfiable"),
        schema=BINARY,
        example="…",
        media="application/octet-stream",
        headers=DOWNLOAD_TOLD,
        parameters=RANGES,
        also=(206, 304),
    ),
    ("get", "/attachments/{file}/thumbnail"): Told(
        status=200, what="A picture", problems=GIVING, schema=BINARY, example="…", media="image/webp"
    ),
    ("post", "/attachments/{file}/links"): Told(
        status=201,
        what="A link that holds once",
        problems=(*GIVING, "unsupported_media_type", "too_large"),
        schema=ref("FileLink"),
        example={"url": "/api/v1/attachments/links/…", "expires_at": "2026-03-02T10:30:00.000Z"},
        body=ref("NewLink"),
        body_example={"expires_in_minutes": 15},
    ),
    ("get", "/cases/{case}/attachments"): Told(
        status=200,
        what="The files that one may see, in the order they came",
        problems=FINDING,
        schema=ref("CaseFiles"),
        example={"items": [{"id": FILE_ID, "name": "spindle.jpg", "at": "2026-03-02T10:15:00.000Z", "by": {}}]},
    ),
}
FILE_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("post", "/attachments"): "store_files",
    ("options", "/attachments/uploads"): "tell_tus",
    ("post", "/attachments/uploads"): "begin_upload",
    ("head", "/attachments/uploads/{upload}"): "ask_upload",
    ("patch", "/attachments/uploads/{upload}"): "continue_upload",
    ("delete", "/attachments/uploads/{upload}"): "cancel_upload",
    ("get", "/attachments/links/{token}"): "redeem_link",
    ("get", "/attachments/{file}"): "read_file",
    ("delete", "/attachments/{file}"): "remove_file",
    ("get", "/attachments/{file}/content"): "download_file",
    ("get", "/attachments/{file}/thumbnail"): "read_thumbnail",
    ("post", "/attachments/{file}/links"): "link_file",
    ("get", "/cases/{case}/attachments"): "list_files",
}
