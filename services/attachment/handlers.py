"""What attachment hears: commands to files, which files cases name, and which ones sessions brought."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from services.attachment import store
from services.attachment.domain import Attachment, CaseFiles, decide, follow
from services.attachment.domain.case_files import HEARD, Change
from shared.contracts import attachments, limits
from shared.contracts.case import Actor
from shared.contracts.catalogue import (
    ATTACHMENT_COMMANDS,
    ATTACHMENT_EVENTS,
    CASE_COMMANDS,
    CASE_EVENTS,
    SESSION_EVENTS,
)
from shared.contracts.commands import command_type
from shared.contracts.envelope import Incoming, Message, encode, message
from shared.contracts.events import event_type
from shared.contracts.ids import derived_id
from shared.contracts.session_words import TransferState
from shared.contracts.sessions import event_type as session_event_type
from shared.contracts.words import Role
from shared.flow import Decision, Room

SOURCE: Final = "/callout/attachment"
FILE_ID: Final = re.compile(limits.UUID_PATTERN)
NAMES: Final = {attachments.command_type(name): name for name in attachments.COMMANDS}
CASE_NAMES: Final = {event_type(name): name for name in HEARD}
DETACH: Final = CASE_COMMANDS.only(command_type("detach"))
TO_CASES: Final = CASE_COMMANDS.only(*map(command_type, ("attach", "detach")))
TRANSFERRED: Final = session_event_type("transferred")
ASKED: Final = ATTACHMENT_COMMANDS.only(*map(attachments.command_type, ("link", "unlink")))
PROPOSED: Final = ATTACHMENT_COMMANDS.only(attachments.command_type("propose"))


def system(tenant_id: str) -> Actor:
    """Return this service as an actor."""
    return Actor(id="attachment", role=Role.SYSTEM, tenant_id=tenant_id)


class Commands(Room[Attachment]):
    """Commands to files: each changes one file, and may have a case take it, or let go of it."""

    topic = ATTACHMENT_COMMANDS
    tells = (ATTACHMENT_EVENTS, TO_CASES)
    service = "attachment"
    exclusive = True
    answers = True

    def key(self, incoming: Incoming) -> str:
        """Return the file's id."""
        return str(incoming.data.attachment_id)

    def decide(self, incoming: Incoming, own: Attachment | None, guide: Attachment | None) -> Decision[Attachment]:  # noqa: ARG002
        """Change the file, or have the case let go of what may not be in it."""
        outcome = decide(own, NAMES[incoming.type], incoming.data, incoming.now)
        messages = [
            message(
                ATTACHMENT_EVENTS,
                type_=attachments.event_type(event.name),
                id_=derived_id(event.name, incoming.place, event.after.id),
                source=SOURCE,
                time=event.at,
                value=event.body().model_dump_json(exclude_none=True).encode(),
                key=event.after.id,
                tenant=event.after.tenant_id,
                subject=event.after.id,
                cause_id=incoming.id,
                traceparent=incoming.traceparent,
            )
            for event in outcome.events
        ]
        if outcome.detach is not None:
            messages.append(_detach(incoming, *outcome.detach, incoming.data.attachment_id))
        if outcome.attach is not None and own is not None:
            messages.append(_attach(incoming, *outcome.attach, own))
        return Decision(outcome.attachment, "", messages)

    def from_document(self, document: dict[str, Any]) -> Attachment:
        """Read a file."""
        return store.from_document(document)

    def to_document(self, state: Attachment) -> dict[str, Any]:
        """Write a file down."""
        return store.to_document(state)


class CaseEvents(Room[CaseFiles]):
    """What cases tell of files: each that comes or goes is told to the file itself."""

    topic = CASE_EVENTS.only(*CASE_NAMES)
    tells = (ASKED, DETACH)
    service = "attachment"

    def key(self, incoming: Incoming) -> str | None:
        """Return the case's id; nothing for an event that names no file."""
        change = incoming.data.change
        about = change.get("attachment") or (change.get("note") or {}).get("attachments")
        return incoming.data.case_id if about or CASE_NAMES[incoming.type] == "deleted" else None

    def decide(self, incoming: Incoming, own: CaseFiles | None, guide: CaseFiles | None) -> Decision[CaseFiles]:  # noqa: ARG002
        """Tell every file that comes or goes."""
        event = incoming.data
        after, changes = follow(
            own, CASE_NAMES[incoming.type], event.case_id, event.case.tenant_id, event.actor, event.change
        )
        return Decision(after if changes else None, "", [m for change in changes for m in _told(incoming, change)])

    def from_document(self, document: dict[str, Any]) -> CaseFiles:
        """Read the files of a case."""
        return store.read_case(document)

    def to_document(self, state: CaseFiles) -> dict[str, Any]:
        """Write the files of a case down."""
        return store.case_document(state)


class SessionEvents(Room[CaseFiles]):
    """What remote sessions tell of files that are to be attached; it keeps nothing."""

    topic = SESSION_EVENTS.only(TRANSFERRED)
    tells = (PROPOSED,)
    service = "attachment"

    def key(self, incoming: Incoming) -> None:
        """Need no document: the file itself decides."""

    def hand_on(self, incoming: Incoming) -> Sequence[Message]:
        """Have the case asked to take a file that came whole: what was stored is what the machine sent."""
        event = incoming.data
        file, session = event.transfer, event.session
        if file is None or session is None or file.attachment_id is None or file.state is not TransferState.DONE:
            return ()
        body = attachments.Propose(
            attachment_id=file.attachment_id,
            tenant_id=session.by.tenant_id,
            actor=session.by,
            case_id=session.case_id,
            case_tenant_id=event.change["case_tenant_id"],
            sha256=file.machine_sha256,
        )
        id_ = derived_id("propose", incoming.place, file.attachment_id)
        trace = {"cause_id": incoming.id, "traceparent": incoming.traceparent}
        return (command_message("propose", body, id_=id_, time=incoming.now, **trace),)

    def decide(self, incoming: Incoming, own: CaseFiles | None, guide: CaseFiles | None) -> Decision[CaseFiles]:  # noqa: ARG002
        """Decide nothing."""
        return Decision()

    def from_document(self, document: dict[str, Any]) -> CaseFiles:
        """Read the files of a case."""
        return store.read_case(document)

    def to_document(self, state: CaseFiles) -> dict[str, Any]:
        """Write the files of a case down."""
        return store.case_document(state)


def command_message(
    name: str,
    body: attachments.AttachmentCommand,
    *,
    id_: str,
    time: datetime,
    cause_id: str | None = None,
    traceparent: str | None = None,
) -> Message:
    """Return a command to a file as it is sent."""
    return message(
        ATTACHMENT_COMMANDS,
        type_=attachments.command_type(name),
        id_=id_,
        source=SOURCE,
        time=time,
        value=body.model_dump_json(exclude_none=True).encode(),
        key=body.attachment_id,
        tenant=body.tenant_id,
        subject=body.attachment_id,
        cause_id=cause_id,
        traceparent=traceparent,
    )


def _told(incoming: Incoming, change: Change) -> list[Message]:
    """Tell a file that a case names it, or no longer; what can be no file of ours has to go at once."""
    event = incoming.data
    case_id, owner = event.case_id, event.case.tenant_id
    if not FILE_ID.fullmatch(change.file_id):
        return [_detach(incoming, case_id, owner, change.file_id)] if change.link else []
    facts = {"attachment_id": change.file_id, "tenant_id": change.tenant_id, "actor": event.actor, "case_id": case_id}
    body = (
        attachments.Link(**facts, case_tenant_id=owner, note_id=change.note_id, visibility=change.visibility)
        if change.link
        else attachments.Unlink(**facts)
    )
    name = "link" if change.link else "unlink"
    id_ = derived_id(name, incoming.place, change.file_id)
    return [
        command_message(name, body, id_=id_, time=incoming.now, cause_id=incoming.id, traceparent=incoming.traceparent)
    ]


def _attach(incoming: Incoming, case_id: str, owner: str, file: Attachment) -> Message:
    """Ask a case to take a file, in the name of whose it is: only they can put it there."""
    arguments = {"attachment_id": file.id, "name": file.name}
    return _to_case(incoming, "attach", case_id, owner, store.actor_document(file.owner), arguments)


def _detach(incoming: Incoming, case_id: str, owner: str, file_id: str) -> Message:
    actor = {"id": "attachment", "role": Role.SYSTEM.value, "tenant_id": owner}
    return _to_case(incoming, "detach", case_id, owner, actor, {"attachment_id": file_id})


def _to_case(
    incoming: Incoming, name: str, case_id: str, owner: str, actor: dict[str, Any], arguments: dict[str, Any]
) -> Message:
    body = {"case_id": case_id, "tenant_id": owner, "actor": actor, **arguments}
    return message(
        CASE_COMMANDS,
        type_=command_type(name),
        id_=derived_id(name, incoming.place, case_id, arguments["attachment_id"]),
        source=SOURCE,
        time=incoming.now,
        value=encode(body),
        key=case_id,
        tenant=owner,
        subject=case_id,
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )
