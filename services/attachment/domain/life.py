"""The life of a file: stored, scanned, in a case, out of it, removed or expired. Pure.

A file begins as an upload (`upload`); what is here begins when all its bytes are kept. Only `attach` on a case brings
a file into a case: what may not be there is answered with `detach`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from services.attachment.domain.attachment import ENDED, Attachment, Event, Outcome, changed
from shared.contracts.attachments import (
    AttachmentCommand,
    Forget,
    Link,
    Propose,
    RecordScan,
    Register,
    Remove,
    Unlink,
)
from shared.contracts.words import NOBODY, AttachmentState, Removal, Role, Scan

UNLINKED_FOR: Final = timedelta(days=40)
NOTHING: Final = Outcome()

#: From which states a command changes something, and where it leads; `AT_REST` is stored or scanned, as the scan says.
AT_REST: Final = frozenset({AttachmentState.STORED, AttachmentState.SCANNED})
ALIVE: Final = AT_REST | {AttachmentState.LINKED}
FROM: Final[Mapping[str, frozenset[AttachmentState]]] = {
    "register": frozenset({AttachmentState.UPLOADING}),
    "link": AT_REST,
    "unlink": frozenset({AttachmentState.LINKED}),
    "propose": AT_REST,
    "record_scan": ALIVE,
    "remove": ALIVE,
    "forget": ALIVE | ENDED,
    "wake": AT_REST,
}


def decide(own: Attachment | None, name: str, command: AttachmentCommand, now: datetime) -> Outcome:
    """Decide what a command does to a file; a command that finds nothing to do does nothing."""
    state = own.state if own else AttachmentState.UPLOADING
    if name == "link" and isinstance(command, Link):
        return _link(own, command, now)
    if state not in FROM[name]:
        return NOTHING
    if own is None:
        return _register(command, now) if isinstance(command, Register) else NOTHING
    return DECISIONS[name](own, command, now)


def _register(command: Register, now: datetime) -> Outcome:
    stored = Attachment(
        id=command.attachment_id,
        tenant_id=command.tenant_id,
        owner=command.actor,
        name=command.name,
        size=command.size,
        media_type=command.media_type,
        sha256=command.sha256,
        stored_at=now,
        expires_at=now + UNLINKED_FOR,
    )
    return Outcome(attachment=stored, events=(Event(name="stored", actor=command.actor, at=now, after=stored),))


def _link(own: Attachment | None, command: Link, now: datetime) -> Outcome:
    """Put a file into a case; an unknown one, another's, one elsewhere or an infected one has to go."""
    if own is not None and own.state is AttachmentState.LINKED and own.case_id == command.case_id:
        return NOTHING
    theirs = own is not None and (own.is_of(command.actor) or _is_of_system(own, command))
    if own is None or own.state not in FROM["link"] or not theirs or own.quarantined:
        return Outcome(detach=(command.case_id, command.case_tenant_id))
    return changed(
        own,
        "linked",
        command.actor,
        now,
        state=AttachmentState.LINKED,
        case_id=command.case_id,
        case_tenant_id=command.case_tenant_id,
        note_id=command.note_id,
        visibility=command.visibility,
        expires_at=None,
    )


def _is_of_system(own: Attachment, command: Link) -> bool:
    """Tell whether the system puts a file of the case's own tenant into it."""
    return command.actor.role is Role.SYSTEM and own.tenant_id == command.case_tenant_id


def _unlink(own: Attachment, command: Any, now: datetime) -> Outcome:  # noqa: ANN401 - `Unlink`
    unlink: Unlink = command
    if own.case_id != unlink.case_id:
        return NOTHING
    rest = AttachmentState.STORED if own.scan is Scan.PENDING else AttachmentState.SCANNED
    nowhere = dict.fromkeys(("case_id", "case_tenant_id", "note_id", "visibility"))
    return changed(own, "unlinked", unlink.actor, now, state=rest, expires_at=now + UNLINKED_FOR, **nowhere)


def _propose(own: Attachment, command: Any, now: datetime) -> Outcome:  # noqa: ANN401, ARG001 - `Propose`
    propose: Propose = command
    if not own.is_of(propose.actor) or own.sha256 != propose.sha256 or own.quarantined:
        return NOTHING
    return Outcome(attach=(propose.case_id, propose.case_tenant_id))


def _record_scan(own: Attachment, command: Any, now: datetime) -> Outcome:  # noqa: ANN401 - `RecordScan`
    told: RecordScan = command
    known = (own.scan, own.finding, own.thumbnail)
    # An infected file stays so, whatever a scanner with other signatures says of it later.
    if told.sha256 != own.sha256 or own.quarantined or known == (told.scan, told.finding, told.thumbnail):
        return NOTHING
    linked = own.state is AttachmentState.LINKED
    infected = told.scan is Scan.INFECTED
    outcome = changed(
        own,
        "scanned",
        told.actor,
        now,
        state=AttachmentState.LINKED if linked else AttachmentState.SCANNED,
        scan=told.scan,
        finding=told.finding,
        scanner=told.scanner,
        thumbnail=told.thumbnail and not infected,
    )
    if infected and own.case_id and own.case_tenant_id:
        return replace(outcome, detach=(own.case_id, own.case_tenant_id))
    return outcome


def _remove(own: Attachment, command: Any, now: datetime) -> Outcome:  # noqa: ANN401 - `Remove`
    remove: Remove = command
    by_system = remove.actor.role is Role.SYSTEM
    linked = own.state is AttachmentState.LINKED
    if (linked and not (by_system and remove.reason)) or not (by_system or own.is_of(remove.actor)):
        return NOTHING
    reason = remove.reason if by_system else None
    outcome = _ended(own, "removed", AttachmentState.REMOVED, remove, now, reason)
    # A case that was kept long enough is there no more.
    if linked and own.case_id and own.case_tenant_id and reason is not Removal.RETENTION:
        return replace(outcome, detach=(own.case_id, own.case_tenant_id))
    return outcome


def _forget(own: Attachment, command: Any, now: datetime) -> Outcome:  # noqa: ANN401 - `Forget`
    forget: Forget = command
    owner = replace(own.owner, id=NOBODY) if forget.owner else own.owner
    name = own.name if forget.name is None else forget.name
    if forget.actor.role is not Role.SYSTEM or (owner, name) == (own.owner, own.name):
        return NOTHING
    return changed(own, "forgotten", forget.actor, now, owner=owner, name=name)


def _wake(own: Attachment, command: Any, now: datetime) -> Outcome:  # noqa: ANN401 - `Wake`
    if own.expires_at is None or own.expires_at > now:
        return NOTHING
    return _ended(own, "expired", AttachmentState.EXPIRED, command, now)


def _ended(
    own: Attachment,
    name: str,
    state: AttachmentState,
    command: AttachmentCommand,
    now: datetime,
    reason: Removal | None = None,
) -> Outcome:
    outcome = changed(own, name, command.actor, now, state=state, ended_at=now, expires_at=None, thumbnail=False)
    return replace(outcome, events=tuple(replace(event, reason=reason) for event in outcome.events))


DECISIONS: Final[Mapping[str, Callable[[Attachment, Any, datetime], Outcome]]] = {
    "unlink": _unlink,
    "propose": _propose,
    "record_scan": _record_scan,
    "remove": _remove,
    "forget": _forget,
    "wake": _wake,
}
