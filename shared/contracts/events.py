"""What a case tells: events that carry the state after, snapshots, and one outcome per command."""

from dataclasses import dataclass
from typing import Any, Final

from shared.contracts.case import Actor, CaseState
from shared.contracts.fields import CaseId, Id, Instant, Model
from shared.contracts.words import RefusalCode

EVENTS: Final = (
    "created",
    "occurred",
    "recurred",
    "occurrences_returned",
    "condition_cleared",
    "flapping_changed",
    "assigned",
    "unassigned",
    "started",
    "held",
    "action_requested",
    "resumed",
    "requeued",
    "resolved",
    "resolution_rejected",
    "closed",
    "reopened",
    "cancelled",
    "archived",
    "escalated",
    "deescalated",
    "close_requested",
    "shared",
    "deleted",
    "updated",
    "tagged",
    "untagged",
    "watched",
    "unwatched",
    "linked",
    "unlinked",
    "merged",
    "unmerged",
    "ended_with_target",
    "reopened_with_target",
    "note_added",
    "note_edited",
    "note_deleted",
    "attached",
    "detached",
)
SNAPSHOT: Final = "callout.case.snapshot.v1"
OUTCOME: Final = "callout.case.outcome.v1"


def event_type(name: str) -> str:
    """Return the type on the wire of an event."""
    return f"callout.case.{name}.v1"


@dataclass(frozen=True, slots=True)
class Cause:
    """The record that made an event: its id, type and place."""

    id: str
    type: str
    topic: str
    partition: int
    offset: int


class CaseEvent(Model):
    """One change of one case; `change` has the fields that changed and the command's own text, `case` the state after.

    Of `occurrences_returned`, `change` has `count`, `last_at` and, where known, `first_at`: the signals handed back.
    Of `note_added` and `action_requested` it has `note`: `id`, `visibility` and, as far as there are, `text`,
    `parent_note_id`, `attachments`, `mentions`; of `note_edited` the new `text` and the `revision`, counted from 1; of
    `note_deleted` the `attachments` that went with it. Of `attached` and `detached` it has `attachment`: `id`,
    `visibility` and, as far as there are, `name`, `note_id`. Of `linked` and `unlinked` it has the `link`; of `merged`
    `into` and what the case was `before`; of what another case refused, `refused`: `code`, `message`.
    """

    case_id: CaseId
    number: str
    seq: int
    at: Instant
    actor: Actor
    cause: Cause
    change: dict[str, Any]
    case: CaseState


class Flags(Model):
    """What whoever asked can do with the case now, in four words."""

    modifiable: bool
    cancellable: bool
    reopen: bool
    respond: bool


class CaseOutcome(Model):
    """What became of one command: accepted (`seq`, `version`) or refused (`code`, `message`); what is `allowed` now.

    People are told `flags` too, who wrote a note its `note_id`. Commands to remote sessions have outcomes here, too:
    `session_id` names the session, `seq` the event of its device.
    """

    command_id: Id
    case_id: str
    accepted: bool
    seq: int | None = None
    version: int | None = None
    code: RefusalCode | None = None
    message: str | None = None
    fields: tuple[str, ...] | None = None
    allowed: tuple[str, ...] = ()
    flags: Flags | None = None
    note_id: Id | None = None
    session_id: Id | None = None
