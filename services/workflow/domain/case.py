"""The case as decisions see it, and what a decision can be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.workflow.domain.recent import NONE_YET, Recent
from services.workflow.domain.timing import Timing
from shared.contracts.case import Actor, Before, CaseState
from shared.contracts.events import Cause
from shared.contracts.measures import CaseMeasures, SlaShare
from shared.contracts.words import LinkKind, NoteVisibility, RefusalCode, Role

NO_HASH: Final = "0" * 64
MACHINES: Final = frozenset({Role.DEVICE, Role.SYSTEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A command that came before its case was created: kept as it was said (JSON), folded in by `create`."""

    name: str
    data: bytes
    cause: Cause
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRef:
    """What decisions need of a note: its text is in its events alone."""

    id: str
    author_id: str
    author_tenant_id: str
    visibility: NoteVisibility
    parent_id: str | None = None
    revision: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """What decisions need of an attached file; one without a note belongs to the case itself."""

    id: str
    by_id: str
    by_tenant_id: str
    note_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """What was written to a case and put into it, in order."""

    notes: tuple[NoteRef, ...] = ()
    files: tuple[FileRef, ...] = ()


NO_PAPERS: Final = Papers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """That a case was merged: into which one, by which event of its own, and what it was before."""

    into: str
    attempt: int
    before: Before


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A case that is tied to this one as its child or duplicate, by which event of its own."""

    kind: LinkKind
    id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What decisions need of other cases, beside the public links; `parent_attempt`: by which event it got a parent."""

    merged: Merged | None = None
    parent_attempt: int | None = None
    inbound: tuple[Inbound, ...] = ()


NO_TIES: Final = Ties()


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A command to another case, in the name of the system."""

    name: str
    case_id: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How far the counterpart of a shared case was told: a chain of its own."""

    seq: int = 0
    hash: str = NO_HASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case with what later decisions need beside its public state; without a state it is a stub.

    `hash` and `shared` belong to whoever tells the events: the domain carries them along. `ended_at` is set as long as
    the case is closed, cancelled, archived or deleted.
    """

    id: str
    state: CaseState | None = None
    hash: str = NO_HASH
    touched: bool = False
    cleared_at: datetime | None = None
    flapping_at: datetime | None = None
    ended_at: datetime | None = None
    parked: tuple[Parked, ...] = ()
    recent: Recent = NONE_YET
    deleted: bool = False
    papers: Papers = NO_PAPERS
    timing: Timing | None = None
    ties: Ties = NO_TIES
    shared: Shared | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change that took place; `change` is ready for JSON, `state` is the case after it."""

    name: str
    change: dict[str, object]
    state: CaseState
    cause: Cause
    actor: Actor


@dataclass(frozen=True, slots=True)
class Refused:
    """The command does nothing; the code is the contract, the message says what to do, `sends` tells another case."""

    code: RefusalCode
    message: str
    fields: tuple[str, ...] = ()
    sends: tuple[Send, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeated:
    """The command was accepted before: its first outcome holds."""

    seq: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What to tell the sender of one command; `refused` only for a parked command that the case then refused."""

    command_id: str
    actor: Actor
    seq: int | None = None
    version: int | None = None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The case after the command, the events in order, the outcomes to tell, and what to send to other cases.

    `reports` are what operations learn of it. A parked command has no outcome yet; what two cases say to each other has
    none where it changes nothing.
    """

    case: Case
    events: tuple[Event, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    reports: tuple[SlaShare | CaseMeasures, ...] = ()
    sends: tuple[Send, ...] = ()


Decision = Accepted | Refused | Repeated
