"""The Equinix way with cases: exact lengths in, its words and times out; cases made by the workflow's own decisions."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.domain.compat import equinix
from services.gateway.http.compat.equinix_forms import CancelForm, CreateForm, NoteForm
from shared.contracts.tenant_codes import Code, builtin_codes
from shared.contracts.words import NoteVisibility, TicketClass
from tests.unit.gateway.cases import AGENT, body_of, new
from tests.unit.workflow.builders import after, minute

LEAST = {"code": "0002-0000", "description": "No power", "primaryId": "CAGE-7"}
FLAGS = {"modifiable": True, "reopen": False, "cancellable": True, "respond": False}
UUID = "10000000-0000-4000-8000-000000000000"
PERSON = {"type": "TECHNICAL", "firstName": "Eva", "details": [{"type": "PHONE", "value": "+49 30 1"}]}
#: field, shortest and longest
LENGTHS = [
    ("description", 1, 4000),
    ("primaryId", 1, 100),
    ("secondaryId", 1, 100),
    ("customerReferenceId", 1, 200),
]


def read(**fields: Any) -> CreateForm:
    return CreateForm.model_validate(LEAST | fields)


def refused(form: Any, fields: dict[str, Any]) -> set[str]:
    with pytest.raises(ValidationError) as told:
        form.model_validate(fields)
    return {str(each["loc"][0]) if each["loc"] else "" for each in told.value.errors()}


@pytest.mark.seed("S4.3", "S4.4", "S4.5", "S4.7")
@pytest.mark.parametrize(("name", "shortest", "longest"), LENGTHS)
def test_a_text_may_be_as_long_as_this_and_no_longer(name: str, shortest: int, longest: int) -> None:
    for length in (shortest, longest):
        read(**{name: "ä" * length})
    for length in (shortest - 1, longest + 1):
        assert refused(CreateForm, LEAST | {name: "ä" * length}) == {name}


@pytest.mark.seed("S4.2", "S4.3", "S4.4")
@pytest.mark.parametrize("name", LEAST)
def test_these_fields_are_required(name: str) -> None:
    assert refused(CreateForm, {key: value for key, value in LEAST.items() if key != name}) == {name}


@pytest.mark.seed("S4.2")
@pytest.mark.parametrize("code", ["0002", "0002-00000", "000a-0000", "0002-0000\n", 20000, None])
def test_a_code_has_eight_digits(code: Any) -> None:
    assert refused(CreateForm, LEAST | {"code": code}) == {"code"}


@pytest.mark.seed("S4.8")
def test_at_most_five_files_are_named_each_by_a_uuid() -> None:
    files = [{"id": UUID, "name": f"{number}.pdf"} for number in range(6)]
    assert len(read(attachments=files[:5]).attachments) == 5
    assert refused(CreateForm, LEAST | {"attachments": files}) == {"attachments"}
    assert refused(CreateForm, LEAST | {"attachments": [{"id": "7", "name": "a"}]}) == {"attachments"}
    assert refused(CreateForm, LEAST | {"attachments": [{"id": UUID}]}) == {"attachments"}


@pytest.mark.seed("S4.6")
@pytest.mark.parametrize("when", ["2026-03-02", "2026-03-02T10:15:00", "1767350100", 1767350100])
def test_when_it_happened_is_a_time_with_a_zone(when: Any) -> None:
    assert refused(CreateForm, LEAST | {"occurredDateTime": when}) == {"occurredDateTime"}


@pytest.mark.seed("S4.9", "S4.10")
def test_contacts_are_registered_users_or_persons_with_a_way_to_reach_them() -> None:
    form = read(contacts=[{"type": "NOTIFICATION", "registeredUsers": ["olga", "otto"]}, PERSON])
    assert form.people("acme") == [
        {"type": "notification", "user": "olga", "tenant_id": "acme"},
        {"type": "notification", "user": "otto", "tenant_id": "acme"},
        {"type": "technical", "first_name": "Eva", "details": [{"type": "phone", "value": "+49 30 1"}]},
    ]


@pytest.mark.seed("S4.9", "S4.10")
@pytest.mark.parametrize(
    "contact",
    [
        {},
        {"registeredUsers": []},
        {"registeredUsers": ["olga"], "firstName": "Olga"},
        {"firstName": "Eva"},
        PERSON | {"type": "technical"},
        PERSON | {"details": [{"type": "FAX", "value": "1"}]},
        PERSON | {"details": [{"type": "EMAIL"}]},
        {"registeredUsers": [f"u{number}" for number in range(11)]},
    ],
)
def test_a_contact_who_cannot_be_reached_is_refused(contact: dict[str, Any]) -> None:
    assert refused(CreateForm, LEAST | {"contacts": [contact]}) == {"contacts"}


def test_contacts_are_counted_as_persons() -> None:
    six = {"registeredUsers": [f"u{number}" for number in range(6)]}
    assert refused(CreateForm, LEAST | {"contacts": [six, six]}) == {""}


@pytest.mark.seed("S4.22")
def test_a_note_is_external_unless_it_says_otherwise() -> None:
    assert NoteForm.model_validate({"text": "x"}).core_visibility() is NoteVisibility.EXTERNAL
    assert NoteForm.model_validate({"text": "x", "visibility": "INTERNAL"}).core_visibility() is NoteVisibility.INTERNAL
    assert refused(NoteForm, {"text": "x", "visibility": "internal"}) == {"visibility"}
    assert refused(NoteForm, {"text": ""}) == refused(NoteForm, {"text": "x" * 4001}) == {"text"}
    assert refused(NoteForm, {}) == {"text"}


@pytest.mark.seed("S4.24")
def test_a_cancellation_has_a_reason_of_this_length() -> None:
    assert CancelForm.model_validate({"reason": "x" * 4000})
    for fields in ({}, {"reason": ""}, {"reason": "x" * 4001}, {"reason": 5}):
        assert refused(CancelForm, fields) == {"reason"}


def test_a_case_is_created_with_what_its_code_says() -> None:
    form = read(description="\n  No power\nsince Monday", secondaryId="R-1", customerReferenceId="PO-5")
    assert form.core(builtin_codes()["0002-0000"], "acme") == {
        "title": "No power",
        "description": "\n  No power\nsince Monday",
        "case_code": "0002-0000",
        "case_type": "technical",
        "ticket_class": TicketClass.TROUBLE,
        "primary_ref": "CAGE-7",
        "secondary_ref": "R-1",
        "customer_reference": "PO-5",
        "channel": "api",
    }
    assert form.core(Code(), "acme")["ticket_class"] is TicketClass.CASE


def shown(**fields: Any) -> dict[str, Any]:
    form = read(**fields)
    code = builtin_codes()[form.code]
    created = form.core(code, "acme")
    if "occurred_at" in created:
        created["occurred_at"] = fields["occurredDateTime"]
    return equinix.resource(body_of(new(**created)), FLAGS, code, None)


@pytest.mark.seed("S4.15", "S4.18", "S4.19")
def test_a_case_is_shown_with_these_fields() -> None:
    told = shown(
        secondaryId="R-1",
        customerReferenceId="PO-5",
        occurredDateTime="2026-01-02T08:00:00+01:00",
        contacts=[{"type": "NOTIFICATION", "registeredUsers": ["olga", "otto"]}, PERSON],
    )
    assert told == {
        "id": "10000001",
        "accountNumber": "00acme",
        "accountName": "acme",
        "customerReferenceId": "PO-5",
        "channel": "PORTAL",
        "location": {"ibx": []},
        "status": "SUBMITTED",
        "contacts": [{"type": "NOTIFICATION", "registeredUsers": ["olga", "otto"]}, PERSON],
        "createdDateTime": "2026-01-02T09:00:00.000Z",
        "otherDetails": {
            "recordType": "TROUBLE",
            "category": "Power",
            "description": "No power",
            "updatedDateTime": "2026-01-02T09:00:00.000Z",
            "updatedByFullName": "ann",
            "statusHistory": [{"status": "SUBMITTED", "createdDate": "2026-01-02T09:00:00.000Z"}],
            "purchaseOrders": [],
            "products": [],
            "productOfferingCodes": [],
            "details": [],
            "additionalInfo": [
                {"key": "code", "value": "0002-0000"},
                {"key": "primaryId", "value": "CAGE-7"},
                {"key": "secondaryId", "value": "R-1"},
                {"key": "severity", "value": "minor"},
                {"key": "occurredDateTime", "value": "2026-01-02T07:00:00.000Z"},
            ],
        },
        "modifiable": True,
        "reOpen": False,
        "cancellable": True,
        "respond": False,
    }


@pytest.mark.seed("S4.18")
def test_a_step_is_told_where_what_is_shown_changes() -> None:
    case = new()
    for number, name in enumerate(("start", "hold", "resume", "close"), 1):
        case = after(case, name, AGENT, now=minute(number))
    assert [(step["status"], step["createdDate"][14:]) for step in equinix.status_history(body_of(case))] == [
        ("SUBMITTED", "00:00.000Z"),
        ("IN_PROGRESS", "01:00.000Z"),
        ("RESOLVED", "04:00.000Z"),
        ("CLOSED", "04:00.000Z"),
    ]


@pytest.mark.seed("S4.15")
def test_the_order_is_the_linked_thing_with_a_number_of_that_length() -> None:
    links = [{"kind": "work_order", "id": "W" * 20}, {"kind": "external", "id": "short"}]
    assert "orderId" not in equinix.resource(body_of(new(links=links)), FLAGS, None, None)
    links.append({"kind": "external", "id": "1-204976070710"})
    assert equinix.resource(body_of(new(links=links)), FLAGS, None, None)["orderId"] == "1-204976070710"


def test_an_account_number_has_at_least_six_characters() -> None:
    assert [equinix.account_number(tenant) for tenant in ("a", "acme-1", "acme-works")] == [
        "00000a",
        "acme-1",
        "acme-works",
    ]
