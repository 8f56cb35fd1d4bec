"""What a case can be told to do: one model per command, its arguments beside who asks and for which case."""

from typing import Annotated, Final

from pydantic import Field

from shared.contracts import limits
from shared.contracts.case_command import CaseCommand
from shared.contracts.case_fields import Fields
from shared.contracts.fields import Count, Id, Instant, TenantId, Text, Word
from shared.contracts.fields import Tag as TagWord
from shared.contracts.link_commands import (
    EndWithTarget,
    Link,
    Merge,
    RefuseLink,
    ReopenWithTarget,
    Unlink,
    Unmerge,
)
from shared.contracts.new_case import Create, NewCase, NewSignal
from shared.contracts.note_commands import AddNote, Attach, Attached, DeleteNote, Detach, EditNote, Reply
from shared.contracts.words import HoldReason, Severity

__all__ = [
    "COMMANDS",
    "AddNote",
    "Attach",
    "Attached",
    "CaseCommand",
    "Create",
    "DeleteNote",
    "Detach",
    "EditNote",
    "EndWithTarget",
    "Link",
    "Merge",
    "NewCase",
    "NewSignal",
    "RefuseLink",
    "ReopenWithTarget",
    "Reply",
    "Unlink",
    "Unmerge",
    "command_name",
    "command_type",
]

Tags = Annotated[tuple[TagWord, ...], Field(min_length=1, max_length=limits.TAGS_MAX)]


class Occur(CaseCommand):
    """Count signals that were not told before: a difference, not a total."""

    count: Count
    last_at: Instant
    first_at: Instant | None = None
    severity: Severity | None = None


class Clear(CaseCommand):
    """The fault is gone, as of `at` (event time)."""

    at: Instant


class FlagFlapping(CaseCommand):
    """The fault began or ceased to come and go, as of `at` (event time; else the record's time)."""

    flapping: bool
    summary: Text | None = None
    at: Instant | None = None


class Assign(CaseCommand):
    """Make a person (`me`: the actor) the first assignee."""

    assignee: Id


class Unassign(CaseCommand):
    """Take a person (`me`: the actor) off the case; nobody named: everybody."""

    assignee: Id | None = None


class Start(CaseCommand):
    """Begin to work on a case."""


class Hold(CaseCommand):
    """Pause the work until something is there."""

    reason: HoldReason
    text: Text | None = None


class RequestAction(CaseCommand):
    """Ask the customer to do something; the text becomes an external note."""

    text: Text


class Resume(CaseCommand):
    """Go on with the work after a pause."""


class Requeue(CaseCommand):
    """Give the case back to those who distribute the work."""

    reason: Text | None = None


class Resolve(CaseCommand):
    """Tell that a solution was applied."""

    final_solution: Text | None = None
    summary: Text | None = None
    root_cause: Text | None = None
    type: Word | None = None


class RejectResolution(CaseCommand):
    """Tell that the solution did not help."""

    reason: Text


class Close(CaseCommand):
    """Finish a case."""

    outcome: Word | None = None


class Cancel(CaseCommand):
    """Withdraw a case."""

    reason: Text


class Reopen(CaseCommand):
    """Take a closed case up again."""

    reason: Text


class Archive(CaseCommand):
    """Put an ended case away for reference; a resolved one is closed on the way."""


class Escalate(CaseCommand):
    """Ask for more attention than the case gets."""

    comment: Text


class Deescalate(CaseCommand):
    """Tell that the case gets the attention it needs."""


class RequestClose(CaseCommand):
    """Tell, as the customer, that the case can be closed."""


class Update(CaseCommand):
    """Change fields."""

    fields: Fields


class Tag(CaseCommand):
    """Add labels."""

    tags: Tags


class Untag(CaseCommand):
    """Take labels off."""

    tags: Tags


class Watch(CaseCommand):
    """Have a person (nobody named: the actor) hear of what happens to the case."""

    user: Id | None = None


class Unwatch(CaseCommand):
    """Spare a person (nobody named: the actor) what happens to the case."""

    user: Id | None = None


class Share(CaseCommand):
    """Let another tenant take part; there is no way back."""

    counterpart_tenant_id: TenantId


class Delete(CaseCommand):
    """Take the case out of use; its history stays."""


class Wake(CaseCommand):
    """Do what time alone has in store for the case by now: the clock's own command.

    It is answered with an outcome only if it changes the case; one that comes early, or twice, does nothing.
    """

    due_at: Instant | None = None


COMMANDS: Final[dict[str, type[CaseCommand]]] = {
    "create": Create,
    "occur": Occur,
    "clear": Clear,
    "flag_flapping": FlagFlapping,
    "assign": Assign,
    "unassign": Unassign,
    "start": Start,
    "hold": Hold,
    "request_action": RequestAction,
    "resume": Resume,
    "reply": Reply,
    "requeue": Requeue,
    "resolve": Resolve,
    "reject_resolution": RejectResolution,
    "close": Close,
    "cancel": Cancel,
    "reopen": Reopen,
    "archive": Archive,
    "escalate": Escalate,
    "deescalate": Deescalate,
    "request_close": RequestClose,
    "update": Update,
    "tag": Tag,
    "untag": Untag,
    "watch": Watch,
    "unwatch": Unwatch,
    "add_note": AddNote,
    "edit_note": EditNote,
    "delete_note": DeleteNote,
    "attach": Attach,
    "detach": Detach,
    "link": Link,
    "unlink": Unlink,
    "merge": Merge,
    "unmerge": Unmerge,
    "refuse_link": RefuseLink,
    "end_with_target": EndWithTarget,
    "reopen_with_target": ReopenWithTarget,
    "share": Share,
    "delete": Delete,
    "wake": Wake,
}


def command_type(name: str) -> str:
    """Return the type on the wire of a command."""
    return f"callout.case.{name}.v1"


def command_name(type_: str) -> str:
    """Return the command's name in a type on the wire."""
    return type_.removeprefix("callout.case.").rsplit(".v", 1)[0]
