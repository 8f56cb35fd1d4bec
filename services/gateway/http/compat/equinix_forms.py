"""What clients of the Equinix Case Management API send: exact lengths, their own words."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.gateway.domain.profiles import EQUINIX, Vocabulary
from shared.contracts import limits
from shared.contracts.fields import Instant
from shared.contracts.raw import Details
from shared.contracts.tenant_codes import Code
from shared.contracts.words import CaseType, Channel, NoteVisibility, TicketClass


def _uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("not a UUID") from None


class Form(BaseModel):
    """The base of every body: strict about types, deaf to fields it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


Text = Annotated[str, Field(min_length=1, max_length=limits.TEXT_MAX)]
Reference = Annotated[str, Field(min_length=1, max_length=limits.REFERENCE_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class FileForm(Form):
    """A file that was stored before."""

    id: Annotated[str, AfterValidator(_uuid)]
    name: Annotated[str, Field(min_length=1, max_length=limits.FILE_NAME_MAX)]


Files = Annotated[list[FileForm], Field(max_length=limits.ATTACHMENTS_MAX)]


class WayForm(Form):
    """A way to reach a contact."""

    type: Literal["PHONE", "EMAIL"]
    value: Annotated[str, Field(min_length=1, max_length=254)]


class ContactForm(Form):
    """Registered users, or a person with name and ways."""

    type: Literal["NOTIFICATION", "TECHNICAL", "ORDERING"] = "TECHNICAL"
    registered_users: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=limits.ID_MAX)]] | None,
        Field(alias="registeredUsers", max_length=limits.CONTACTS_MAX),
    ] = None
    first_name: Annotated[Name | None, Field(alias="firstName")] = None
    last_name: Annotated[Name | None, Field(alias="lastName")] = None
    details: Annotated[list[WayForm], Field(max_length=limits.CONTACT_WAYS_MAX)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_somebody(self) -> "ContactForm":
        named = self.first_name is not None or self.last_name is not None
        if bool(self.registered_users) is named:
            raise ValueError("a contact has either `registeredUsers`, or a name")
        if named and not self.details:
            raise ValueError("a contact who is not registered has `details`: a phone or an e-mail address")
        return self

    def core(self, tenant_id: str) -> list[dict[str, Any]]:
        """Return the contacts as a case has them; registered users are the client's own."""
        type_ = _meant(EQUINIX.contact_types, self.type)
        if self.registered_users:
            return [{"type": type_, "user": user, "tenant_id": tenant_id} for user in self.registered_users]
        ways = [{"type": _meant(EQUINIX.contact_ways, way.type), "value": way.value} for way in self.details]
        names = {"first_name": self.first_name, "last_name": self.last_name}
        return [{"type": type_, "details": ways} | {name: value for name, value in names.items() if value}]


class CreateForm(Form):
    """A new case."""

    code: Annotated[str, Field(pattern=limits.CASE_CODE_PATTERN)]
    description: Text
    primary_id: Annotated[Reference, Field(alias="primaryId")]
    secondary_id: Annotated[Reference | None, Field(alias="secondaryId")] = None
    occurred_at: Annotated[Instant | None, Field(alias="occurredDateTime")] = None
    customer_reference: Annotated[
        str | None, Field(alias="customerReferenceId", min_length=1, max_length=limits.CUSTOMER_REFERENCE_MAX)
    ] = None
    attachments: Files = Field(default_factory=list)
    contacts: Annotated[list[ContactForm], Field(max_length=limits.CONTACTS_MAX)] = Field(default_factory=list)
    details: Details | None = None

    @model_validator(mode="after")
    def _few_contacts(self) -> "CreateForm":
        if sum(len(contact.registered_users or "1") for contact in self.contacts) > limits.CONTACTS_MAX:
            raise ValueError(f"a case has at most {limits.CONTACTS_MAX} contacts")
        return self

    def people(self, tenant_id: str) -> list[dict[str, Any]]:
        """Return all contacts as a case has them; registered users are those of the client's tenant."""
        return [person for contact in self.contacts for person in contact.core(tenant_id)]

    def core(self, code: Code, tenant_id: str) -> dict[str, Any]:
        """Return the fields a case is created with; its title is the first line of the description."""
        first_line = next((line.strip() for line in self.description.splitlines() if line.strip()), self.description)
        fields: Mapping[str, Any] = {
            "title": first_line[: limits.TITLE_MAX],
            "description": self.description,
            "case_code": self.code,
            "case_type": code.case_type or CaseType.TECHNICAL,
            "ticket_class": code.ticket_class or TicketClass.CASE,
            "primary_ref": self.primary_id,
            "secondary_ref": self.secondary_id,
            "occurred_at": self.occurred_at,
            "customer_reference": self.customer_reference,
            "contacts": self.people(tenant_id) or None,
            "details": self.details,
            "channel": Channel.API,
        }
        return {name: value for name, value in fields.items() if value is not None}


class NoteForm(Form):
    """Something to say about a case."""

    text: Text
    visibility: Literal["INTERNAL", "EXTERNAL"] = "EXTERNAL"
    attachments: Files = Field(default_factory=list)

    def core_visibility(self) -> NoteVisibility:
        """Return who reads the note."""
        visibility: NoteVisibility = _meant(EQUINIX.note_visibilities, self.visibility)
        return visibility


class CancelForm(Form):
    """Why a case is withdrawn."""

    reason: Text


def _meant(words: Vocabulary[Any] | None, word: str) -> Any:  # noqa: ANN401 - of the vocabulary's own kind
    if words is None:
        raise TypeError("the profile has no such words")
    return words.from_word(word)


__all__ = ["CancelForm", "ContactForm", "CreateForm", "FileForm", "NoteForm"]
