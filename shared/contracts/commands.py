"""What a case can be told to do: one model per command, its arguments beside who asks and for which case."""

from typing import Annotated, Final

from pydantic import Field

from shared.contracts import limits
from shared.contracts.case import Actor, Link, Machine
from shared.contracts.fields import (
    CaseCode,
    CaseId,
    Count,
    DeviceId,
    Id,
    Instant,
    Model,
    Reference,
    Tag,
    TenantId,
    Text,
    Title,
    Word,
)
from shared.contracts.raw import Raw
from shared.contracts.signals import Measurement
from shared.contracts.words import (
    CaseType,
    Channel,
    Condition,
    Origin,
    Priority,
    Severity,
    TicketClass,
    Visibility,
)


class CaseCommand(Model):
    """Who asks what of which case."""

    case_id: CaseId
    tenant_id: TenantId
    actor: Actor
    expected_version: Annotated[int, Field(ge=1)] | None = None


class NewSignal(Model):
    """What intake knows of the reports a case begins with."""

    dedup_key: Annotated[str, Field(min_length=1, max_length=limits.CASE_KEY_MAX)]
    count: Count = 1
    first_at: Instant
    last_at: Instant
    condition: Condition = Condition.ACTIVE
    raw_severity: Word | None = None


class NewCase(Model):
    """The fields a case can be created with."""

    title: Title
    description: Text | None = None
    case_type: CaseType = CaseType.TECHNICAL
    case_code: CaseCode | None = None
    ticket_class: TicketClass | None = None
    priority: Priority = Priority.MEDIUM
    severity: Severity = Severity.MINOR
    visibility: Visibility | None = None
    counterpart_tenant_id: TenantId | None = None
    device_id: DeviceId | None = None
    machine: Machine | None = None
    part_model: Word | None = None
    primary_ref: Reference | None = None
    secondary_ref: Reference | None = None
    customer_reference: Annotated[str, Field(min_length=1, max_length=limits.CUSTOMER_REFERENCE_MAX)] | None = None
    occurred_at: Instant | None = None
    origin: Origin | None = None
    channel: Channel | None = None
    assignees: Annotated[tuple[Id, ...], Field(max_length=limits.ASSIGNEES_MAX)] = ()
    tags: Annotated[tuple[Tag, ...], Field(max_length=limits.TAGS_MAX)] = ()
    template_id: Id | None = None
    solution_suggestion: Text | None = None
    links: Annotated[tuple[Link, ...], Field(max_length=limits.TAGS_MAX)] = ()
    signal: NewSignal | None = None


class Create(CaseCommand):
    """Open a case."""

    case: NewCase
    raw: Raw | None = None
    measurements: dict[str, Measurement] | None = None
    clock_skew: bool | None = None


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


class Resolve(CaseCommand):
    """Tell that a solution was applied."""

    final_solution: Text | None = None
    summary: Text | None = None
    root_cause: Text | None = None
    type: Word | None = None


class Close(CaseCommand):
    """Finish a case."""

    outcome: Word | None = None


class Cancel(CaseCommand):
    """Withdraw a case."""

    reason: Text


class Reopen(CaseCommand):
    """Take a closed case up again."""

    reason: Text


COMMANDS: Final[dict[str, type[CaseCommand]]] = {
    "create": Create,
    "occur": Occur,
    "clear": Clear,
    "flag_flapping": FlagFlapping,
    "assign": Assign,
    "unassign": Unassign,
    "start": Start,
    "resolve": Resolve,
    "close": Close,
    "reopen": Reopen,
    "cancel": Cancel,
}


def command_type(name: str) -> str:
    """Return the type on the wire of a command."""
    return f"callout.case.{name}.v1"


def command_name(type_: str) -> str:
    """Return the command's name in a type on the wire."""
    return type_.removeprefix("callout.case.").rsplit(".v", 1)[0]
