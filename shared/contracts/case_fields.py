"""Fields of a case that people give: their forms, and those that can be changed later."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field

from shared.contracts import limits
from shared.contracts.case import Contact, Machine
from shared.contracts.fields import CaseCode, DeviceId, Email, Id, Instant, Model, Reference, Text, Title, Word
from shared.contracts.raw import Details
from shared.contracts.words import CaseType, Priority, Severity, TicketClass

#: Marks the schema of an object in which null takes a value away.
PATCH: Final = "x-merge-patch"


def _reachable(contact: Contact) -> Contact:
    named = contact.first_name is not None or contact.last_name is not None
    if (contact.user is None) is not named:
        raise ValueError("a contact is either a registered `user`, or has a name")
    if named and not contact.details:
        raise ValueError("a contact who is not registered has `details`: a phone or an email")
    return contact


def _unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


Contacts = Annotated[
    tuple[Annotated[Contact, AfterValidator(_reachable)], ...],
    Field(max_length=limits.CONTACTS_MAX),
]
Addresses = Annotated[tuple[Email, ...], Field(max_length=limits.CC_MAX), AfterValidator(_unique)]
Watchers = Annotated[tuple[Id, ...], Field(max_length=limits.WATCHERS_MAX), AfterValidator(_unique)]
Teams = Annotated[tuple[Id, ...], Field(max_length=limits.TEAMS_MAX), AfterValidator(_unique)]
Classification = Annotated[dict[Word, Word], Field(max_length=limits.CLASSES_MAX)]
CustomerReference = Annotated[str, Field(min_length=1, max_length=limits.CUSTOMER_REFERENCE_MAX)]


class Fields(Model):
    """New values by field; null takes a value away where a case can be without it. No other fields can be given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={PATCH: True})

    title: Title | None = None
    description: Text | None = None
    case_type: CaseType | None = None
    case_code: CaseCode | None = None
    ticket_class: TicketClass | None = None
    classification: Classification | None = None
    details: Details | None = None
    priority: Priority | None = None
    severity: Severity | None = None
    device_id: DeviceId | None = None
    machine: Machine | None = None
    part_model: Word | None = None
    primary_ref: Reference | None = None
    secondary_ref: Reference | None = None
    customer_reference: CustomerReference | None = None
    occurred_at: Instant | None = None
    contacts: Contacts | None = None
    cc: Addresses | None = None
    teams: Teams | None = None
    solution_suggestion: Text | None = None
