"""How files, and the files of cases, are written down: without I/O."""

from typing import Any, Final

from services.attachment.domain import Attachment, CaseFiles
from services.attachment.domain.upload import Step, Upload
from shared.contracts.case import Actor
from shared.contracts.words import AttachmentState, NoteVisibility, Role, Scan
from shared.errors import UnknownSchema

SCHEMA: Final = 1
_OPTIONAL: Final = ("finding", "scanner", "case_id", "case_tenant_id", "note_id", "expires_at", "ended_at")
_PLAIN: Final = ("tenant_id", "name", "size", "media_type", "sha256", "stored_at", "thumbnail")
_UPLOAD: Final = (*("name", "declared", "length", "reserved", "offset", "epoch", "sha256", "media_type", "expires_at"),)

Document = dict[str, Any]


def to_document(attachment: Attachment) -> Document:
    """Write a file down; `examine` is there as long as nothing is known of its harmlessness."""
    document: Document = {
        "schema": SCHEMA,
        "owner": actor_document(attachment.owner),
        "state": attachment.state.value,
        "scan": attachment.scan.value,
    }
    document |= {name: getattr(attachment, name) for name in _PLAIN}
    document |= {name: value for name in _OPTIONAL if (value := getattr(attachment, name)) is not None}
    if attachment.visibility is not None:
        document["visibility"] = attachment.visibility.value
    if not attachment.ended and attachment.scan in {Scan.PENDING, Scan.UNSCANNED}:
        document["examine"] = attachment.scan.value
    return document


def from_document(document: Document) -> Attachment:
    """Read a file.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    _check(document, "attachment")
    known = {name: document[name] for name in (*_PLAIN, *_OPTIONAL) if name in document}
    visibility = document.get("visibility")
    return Attachment(
        id=document["_id"],
        owner=read_actor(document["owner"]),
        state=AttachmentState(document["state"]),
        scan=Scan(document["scan"]),
        visibility=NoteVisibility(visibility) if visibility else None,
        **known,
    )


def case_document(case: CaseFiles) -> Document:
    """Write the files of a case down; ids are values, for people choose them."""
    files = [{"id": id_, "tenant_id": tenant_id} for id_, tenant_id in case.files.items()]
    return {"schema": SCHEMA, "tenant_id": case.tenant_id, "files": files}


def read_case(document: Document) -> CaseFiles:
    """Read the files of a case.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    _check(document, "case")
    files = {file["id"]: file["tenant_id"] for file in document["files"]}
    return CaseFiles(case_id=document["_id"], tenant_id=document["tenant_id"], files=files)


def upload_document(upload: Upload) -> Document:
    """Write an upload down."""
    plain = {name: getattr(upload, name) for name in _UPLOAD}
    return {
        "_id": upload.id,
        "schema": SCHEMA,
        "tenant_id": upload.owner.tenant_id,
        "owner": actor_document(upload.owner),
        "step": upload.step.value,
        **plain,
    }


def read_upload(document: Document) -> Upload:
    """Read an upload.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    _check(document, "upload")
    plain = {name: document[name] for name in _UPLOAD}
    return Upload(id=document["_id"], owner=read_actor(document["owner"]), step=Step(document["step"]), **plain)


def actor_document(actor: Actor) -> Document:
    """Write an actor down."""
    return {"id": actor.id, "role": actor.role.value, "tenant_id": actor.tenant_id}


def read_actor(document: Document) -> Actor:
    """Read an actor."""
    return Actor(id=document["id"], role=Role(document["role"]), tenant_id=document["tenant_id"])


def _check(document: Document, what: str) -> None:
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"{what} {document['_id']} has schema {document['schema']}, known is {SCHEMA}")
