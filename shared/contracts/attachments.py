"""Attachments: what a file can be told, and what it tells. The bytes travel over HTTP, never over Kafka."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from shared.contracts import limits
from shared.contracts.case import Actor
from shared.contracts.fields import CaseId, Id, Instant, Model, TenantId, Word
from shared.contracts.words import AttachmentState, NoteVisibility, Removal, Scan

EVENTS: Final = ("stored", "scanned", "linked", "unlinked", "removed", "expired", "forgotten")

AttachmentId = Annotated[str, StringConstraints(pattern=limits.UUID_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=limits.SHA256_PATTERN)]
FileName = Annotated[str, Field(min_length=1, max_length=limits.FILE_NAME_MAX)]
Size = Annotated[int, Field(ge=0, le=2**53)]


def command_type(name: str) -> str:
    """Return the type on the wire of a command to an attachment."""
    return f"callout.attachment.{name}.v1"


def event_type(name: str) -> str:
    """Return the type on the wire of an event of an attachment."""
    return f"callout.attachment.{name}.v1"


class AttachmentCommand(Model):
    """What every command says: which file, whose it is, and who asks."""

    attachment_id: AttachmentId
    tenant_id: TenantId
    actor: Actor


class Register(AttachmentCommand):
    """Make a file known whose bytes are stored; the actor is its owner."""

    name: FileName
    size: Size
    media_type: Word
    sha256: Sha256


class Link(AttachmentCommand):
    """Put a file to the case, or the note, that names it; what may not be there is taken out of the case again.

    `actor` is who named it; `case_tenant_id` owns the case.
    """

    case_id: CaseId
    case_tenant_id: TenantId
    note_id: Id | None = None
    visibility: NoteVisibility


class Unlink(AttachmentCommand):
    """Take a file from the case that names it no longer."""

    case_id: CaseId


class Propose(AttachmentCommand):
    """Have a case asked to take a file, as its owner would; only one whose bytes are these."""

    case_id: CaseId
    case_tenant_id: TenantId
    sha256: Sha256


class RecordScan(AttachmentCommand):
    """Tell what a scan found; `thumbnail` says whether a picture of the file was made."""

    sha256: Sha256
    scan: Scan
    finding: Word | None = None
    scanner: Word | None = None
    thumbnail: bool = False


class Remove(AttachmentCommand):
    """Throw a file away that is in no case; with a reason, which only the system has, one in a case too.

    `erased`: its owner was erased. `retention`: its case was kept long enough. `lost`: a restore brought no bytes back.
    """

    reason: Removal | None = None


class Forget(AttachmentCommand):
    """Leave out who stored a file (`owner`), and call it by a name that names nobody; also one that is gone."""

    owner: bool = False
    name: FileName | None = None


class Wake(AttachmentCommand):
    """Do what time alone has in store for a file by now: the clock's own command."""

    due_at: Instant


COMMANDS: Final[dict[str, type[AttachmentCommand]]] = {
    "register": Register,
    "link": Link,
    "unlink": Unlink,
    "propose": Propose,
    "record_scan": RecordScan,
    "remove": Remove,
    "forget": Forget,
    "wake": Wake,
}


class AttachmentEvent(Model):
    """What happened to a file, and what it is after that.

    `finding` names what a scanner found in an infected file, `reason` why the system removed one.
    """

    attachment_id: AttachmentId
    tenant_id: TenantId
    at: Instant
    actor: Actor
    owner: Actor
    name: FileName
    size: Size
    media_type: Word
    sha256: Sha256
    state: AttachmentState
    scan: Scan
    finding: Word | None = None
    scanner: Word | None = None
    thumbnail: bool = False
    case_id: CaseId | None = None
    note_id: Id | None = None
    visibility: NoteVisibility | None = None
    expires_at: Instant | None = None
    reason: Removal | None = None
