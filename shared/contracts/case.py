"""The state of a case as every event, snapshot and view tells it (domain A7.1)."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from shared.contracts import limits
from shared.contracts.fields import (
    CaseCode,
    CaseId,
    DeviceId,
    Email,
    Id,
    Instant,
    Reference,
    Tag,
    TenantId,
    Text,
    Title,
    Word,
)
from shared.contracts.words import (
    CaseType,
    Channel,
    Condition,
    ContactType,
    ContactWay,
    HoldReason,
    LinkKind,
    Origin,
    Priority,
    Role,
    Severity,
    State,
    TicketClass,
    Visibility,
)

CONFIG = ConfigDict(strict=False, extra="ignore")


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: a person, a device or a part of the system, of one tenant."""

    id: Id
    role: Role
    tenant_id: TenantId


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the device is built into."""

    serial: Word | None = None
    model: Word | None = None
    brand: Word | None = None
    technology: Word | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class ContactDetail:
    """One way to reach a contact: a number or an address."""

    type: ContactWay
    value: Annotated[str, Field(min_length=1, max_length=254)]


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person to turn to: a registered user (of `tenant_id`, else of whoever takes part), or a name and ways."""

    type: ContactType = ContactType.TECHNICAL
    user: Id | None = None
    tenant_id: TenantId | None = None
    first_name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    last_name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    details: Annotated[tuple[ContactDetail, ...], Field(max_length=limits.CONTACT_WAYS_MAX)] = ()


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A tie to another case or to a thing of another system; `levels`: of a child, with its own children."""

    kind: LinkKind
    id: Id
    levels: int | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How a case was settled."""

    root_cause: Text | None = None
    type: Word | None = None
    summary: Text | None = None
    final_solution: Text | None = None
    outcome: Word | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SignalState:
    """What the machine reported: how often, when, and whether it still does."""

    dedup_key: Annotated[str, Field(max_length=limits.CASE_KEY_MAX)]
    count: int
    first_at: Instant
    last_at: Instant
    condition: Condition = Condition.ACTIVE
    flapping: bool = False
    raw_severity: Word | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One step of the way a case went; `reason` tells what a case on hold waits for."""

    state: State
    at: Instant
    reason: HoldReason | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """That a case needs more attention than it gets: who said so, when and why."""

    level: int
    by: Actor
    at: Instant
    comment: Text


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRequest:
    """That the customer sees no need for more work."""

    by: Actor
    at: Instant


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class CaseState:
    """A case after its last event: the body of snapshots and the `case` of every event."""

    id: CaseId
    number: str
    tenant_id: TenantId
    counterpart_tenant_id: TenantId | None = None
    visibility: Visibility = Visibility.INTERNAL
    state: State
    title: Title
    description: Text | None = None
    case_type: CaseType = CaseType.TECHNICAL
    case_code: CaseCode | None = None
    ticket_class: TicketClass | None = None
    classification: dict[str, str] | None = None
    details: dict[str, Any] | None = None
    priority: Priority = Priority.MEDIUM
    severity: Severity = Severity.MINOR
    device_id: DeviceId | None = None
    machine: Machine | None = None
    part_model: Word | None = None
    primary_ref: Reference | None = None
    secondary_ref: Reference | None = None
    customer_reference: Annotated[str, Field(min_length=1, max_length=limits.CUSTOMER_REFERENCE_MAX)] | None = None
    occurred_at: Instant | None = None
    origin: Origin
    channel: Channel
    contacts: tuple[Contact, ...] = ()
    cc: tuple[Email, ...] = ()
    assignees: tuple[Id, ...] = ()
    teams: tuple[Id, ...] = ()
    watchers: tuple[Id, ...] = ()
    tags: tuple[Tag, ...] = ()
    template_id: Id | None = None
    solution_suggestion: Text | None = None
    resolution: Resolution | None = None
    links: tuple[Link, ...] = ()
    escalation: Escalation | None = None
    close_request: CloseRequest | None = None
    signal: SignalState | None = None
    status_history: tuple[StatusChange, ...] = ()
    reopen_count: int = 0
    first_response_at: Instant | None = None
    resolved_at: Instant | None = None
    closed_at: Instant | None = None
    created_at: Instant
    created_by: Actor
    updated_at: Instant
    updated_by: Actor
    version: int
    seq: int
    deleted_at: Instant | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a merged case was, to be that again; `linked`: it named the other case as its original already."""

    state: State
    resolution: Resolution | None = None
    close_request: CloseRequest | None = None
    linked: bool = False


CASE_STATE: TypeAdapter[CaseState] = TypeAdapter(CaseState)
BEFORE: TypeAdapter[Before] = TypeAdapter(Before)
