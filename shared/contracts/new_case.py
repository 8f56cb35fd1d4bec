"""What a case can be created with."""

from typing import Annotated

from pydantic import Field

from shared.contracts import limits
from shared.contracts.case import Link, Machine
from shared.contracts.case_command import CaseCommand
from shared.contracts.case_fields import (
    Addresses,
    Classification,
    Contacts,
    CustomerReference,
    Teams,
    Watchers,
)
from shared.contracts.fields import (
    CaseCode,
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
from shared.contracts.raw import Details, Raw
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


class NewSignal(Model):
    """What intake knows of the reports a case begins with."""

    dedup_key: Annotated[str, Field(min_length=1, max_length=limits.CASE_KEY_MAX)]
    count: Count = 1
    first_at: Instant
    last_at: Instant
    condition: Condition = Condition.ACTIVE
    raw_severity: Word | None = None


class NewCase(Model):
    """The fields a case can be created with.

    `title` may be left out where the template has one; `fallback_title` is taken if there is neither.
    """

    title: Title | None = None
    fallback_title: Title | None = None
    description: Text | None = None
    case_type: CaseType = CaseType.TECHNICAL
    case_code: CaseCode | None = None
    ticket_class: TicketClass | None = None
    classification: Classification | None = None
    details: Details | None = None
    priority: Priority = Priority.MEDIUM
    severity: Severity = Severity.MINOR
    visibility: Visibility | None = None
    counterpart_tenant_id: TenantId | None = None
    device_id: DeviceId | None = None
    machine: Machine | None = None
    part_model: Word | None = None
    primary_ref: Reference | None = None
    secondary_ref: Reference | None = None
    customer_reference: CustomerReference | None = None
    occurred_at: Instant | None = None
    origin: Origin | None = None
    channel: Channel | None = None
    contacts: Contacts = ()
    cc: Addresses = ()
    assignees: Annotated[tuple[Id, ...], Field(max_length=limits.ASSIGNEES_MAX)] = ()
    teams: Teams = ()
    watchers: Watchers = ()
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
