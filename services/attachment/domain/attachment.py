"""What is known of one file, and what a decision about it leaves."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from shared.contracts.attachments import AttachmentEvent
from shared.contracts.case import Actor
from shared.contracts.words import AttachmentState, NoteVisibility, Removal, Scan

ENDED: Final = frozenset({AttachmentState.REMOVED, AttachmentState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One file; its bytes are found by tenant and digest."""

    id: str
    tenant_id: str
    owner: Actor
    name: str
    size: int
    media_type: str
    sha256: str
    stored_at: datetime
    state: AttachmentState = AttachmentState.STORED
    scan: Scan = Scan.PENDING
    finding: str | None = None
    scanner: str | None = None
    thumbnail: bool = False
    case_id: str | None = None
    case_tenant_id: str | None = None
    note_id: str | None = None
    visibility: NoteVisibility | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether its bytes are no longer kept for it."""
        return self.state in ENDED

    @property
    def quarantined(self) -> bool:
        """Whether nobody may have its bytes."""
        return self.scan is Scan.INFECTED

    def is_of(self, actor: Actor) -> bool:
        """Tell whether somebody stored it."""
        return (self.owner.id, self.owner.tenant_id) == (actor.id, actor.tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to a file, by whom, and the file after that."""

    name: str
    actor: Actor
    at: datetime
    after: Attachment
    reason: Removal | None = None

    def body(self) -> AttachmentEvent:
        """Return the event as it is told."""
        after = self.after
        return AttachmentEvent(
            attachment_id=after.id,
            tenant_id=after.tenant_id,
            at=self.at,
            actor=self.actor,
            owner=after.owner,
            name=after.name,
            size=after.size,
            media_type=after.media_type,
            sha256=after.sha256,
            state=after.state,
            scan=after.scan,
            finding=after.finding,
            scanner=after.scanner,
            thumbnail=after.thumbnail,
            case_id=after.case_id,
            note_id=after.note_id,
            visibility=after.visibility,
            expires_at=after.expires_at,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command made of a file: its new state (nothing: unchanged), events, and a case that must let go of it.

    `detach` is the case's id and its owner, and so is `attach`: of a case that is asked to take the file.
    """

    attachment: Attachment | None = None
    events: tuple[Event, ...] = ()
    detach: tuple[str, str] | None = None
    attach: tuple[str, str] | None = None


def changed(before: Attachment, event: str, actor: Actor, now: datetime, /, **fields: Any) -> Outcome:  # noqa: ANN401
    """Return a changed file, and the event that says so."""
    after = replace(before, **fields)
    return Outcome(attachment=after, events=(Event(name=event, actor=actor, at=now, after=after),))
