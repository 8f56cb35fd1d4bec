"""What a counterpart is told of a case that is shared with it: these fields and no others (domain A7.5)."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, with_config

from shared.contracts import limits
from shared.contracts.case import CONFIG, ContactDetail, Machine, Resolution
from shared.contracts.fields import (
    CaseCode,
    CaseId,
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
from shared.contracts.words import (
    CaseType,
    Channel,
    Condition,
    ContactType,
    HoldReason,
    Origin,
    Role,
    Severity,
    State,
    TicketClass,
    Visibility,
)

#: Events that tell a counterpart nothing: they are how the owner counts and works, and which cases go together.
UNTOLD: Final = frozenset(
    {
        *("occurrences_returned", "watched", "unwatched"),
        *("linked", "unlinked", "ended_with_target", "reopened_with_target"),
    }
)


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedActor:
    """Who acts, by role and tenant; the id only of the counterpart's own people."""

    role: Role
    tenant_id: TenantId
    id: Id | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedContact:
    """A person to turn to; `user` only of the counterpart's own people."""

    type: ContactType = ContactType.TECHNICAL
    user: Id | None = None
    first_name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    last_name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    details: Annotated[tuple[ContactDetail, ...], Field(max_length=limits.CONTACT_WAYS_MAX)] = ()


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEscalation:
    """That a case needs more attention than it gets; why, only in the counterpart's own words."""

    level: int
    by: SharedActor
    at: Instant
    comment: Text | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCloseRequest:
    """That the customer sees no need for more work."""

    by: SharedActor
    at: Instant


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSignal:
    """What the machine reported: how often, when, and whether it still does; not what it is told apart by."""

    count: int
    first_at: Instant
    last_at: Instant
    condition: Condition = Condition.ACTIVE
    flapping: bool = False
    raw_severity: Word | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStatus:
    """One step of the way a case went; `reason` tells what a case on hold waits for."""

    state: State
    at: Instant
    reason: HoldReason | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCase:
    """A case as its counterpart sees it after an event.

    `seq` counts what this counterpart was told; `version` is the case's own, for `expected_version`. `assigned` tells
    whether somebody has the case, not who.
    """

    id: CaseId
    number: str
    tenant_id: TenantId
    counterpart_tenant_id: TenantId
    visibility: Visibility
    state: State
    title: Title
    description: Text | None = None
    case_type: CaseType
    case_code: CaseCode | None = None
    ticket_class: TicketClass | None = None
    details: dict[str, Any] | None = None
    severity: Severity
    device_id: DeviceId | None = None
    machine: Machine | None = None
    part_model: Word | None = None
    primary_ref: Reference | None = None
    secondary_ref: Reference | None = None
    customer_reference: Annotated[str, Field(min_length=1, max_length=limits.CUSTOMER_REFERENCE_MAX)] | None = None
    occurred_at: Instant | None = None
    origin: Origin
    channel: Channel
    contacts: tuple[SharedContact, ...] = ()
    assigned: bool
    tags: tuple[Tag, ...] = ()
    resolution: Resolution | None = None
    escalation: SharedEscalation | None = None
    close_request: SharedCloseRequest | None = None
    signal: SharedSignal | None = None
    status_history: tuple[SharedStatus, ...] = ()
    reopen_count: int = 0
    first_response_at: Instant | None = None
    resolved_at: Instant | None = None
    closed_at: Instant | None = None
    created_at: Instant
    created_by: SharedActor
    updated_at: Instant
    updated_by: SharedActor
    version: int
    seq: int
    deleted_at: Instant | None = None


SHARED_CASE: TypeAdapter[SharedCase] = TypeAdapter(SharedCase)


class SharedEvent(Model):
    """One change of a shared case, as far as it concerns the counterpart; `seq` counts these per case, without gaps.

    `change` has the fields of `case` that changed (null: gone) and, where they are meant for the counterpart, `note`,
    `attachment`, `reason` and `at`. The first event of a case is `created`, or `shared` with the state so far.
    """

    case_id: CaseId
    number: str
    seq: int
    at: Instant
    actor: SharedActor
    change: dict[str, Any]
    case: SharedCase
