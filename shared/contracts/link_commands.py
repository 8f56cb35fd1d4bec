"""How cases are tied to one another and to things elsewhere; what two cases say to each other about it."""

from typing import Annotated

from pydantic import Field

from shared.contracts import limits
from shared.contracts.case_command import CaseCommand
from shared.contracts.fields import CaseId, Id, Instant, Text
from shared.contracts.words import LinkKind, RefusalCode

Attempt = Annotated[int, Field(ge=1)]


class Link(CaseCommand):
    """Tie the case to something; a case that becomes a `parent` is told, and may refuse.

    What cases say to each other has an `attempt` (the number of the event that began it), a `path` (the cases it came
    along, the first one is answered) and the `levels` of the child.
    """

    kind: LinkKind
    id: Id
    attempt: Attempt | None = None
    path: Annotated[tuple[CaseId, ...], Field(max_length=limits.LEVELS_MAX)] = ()
    levels: Annotated[int, Field(ge=1, le=limits.LEVELS_MAX)] | None = None


class Unlink(CaseCommand):
    """Take a tie away; of parent and child, either does."""

    kind: LinkKind
    id: Id
    attempt: Attempt | None = None


class Merge(CaseCommand):
    """End a case as the duplicate of another one, which is told, and may refuse."""

    into: CaseId


class Unmerge(CaseCommand):
    """Make a merged case again what it was."""


class RefuseLink(CaseCommand):
    """Tell a case, as the other one, that it cannot be tied so; it becomes again what it was."""

    kind: LinkKind
    id: CaseId
    attempt: Attempt
    code: RefusalCode
    message: Text


class EndWithTarget(CaseCommand):
    """Tell a merged case that the one it was merged into has ended: it hands further signals back.

    If that is `archived`, so is the merged case.
    """

    id: CaseId
    attempt: Attempt
    at: Instant
    archived: bool = False


class ReopenWithTarget(CaseCommand):
    """Tell a merged case that the one it was merged into is open again: it counts signals again."""

    id: CaseId
    attempt: Attempt
