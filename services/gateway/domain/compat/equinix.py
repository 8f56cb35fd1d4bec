"""A case as the Equinix Case Management API shows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from services.gateway.domain.profiles import EQUINIX, Standing, Vocabulary
from shared.contracts.tenant_codes import Code
from shared.contracts.words import Channel, ContactType, ContactWay, LinkKind, State, TicketClass

Body = Mapping[str, Any]
ACCOUNT_MIN: Final = 6
ORDER_MIN: Final = 14
ORDER_MAX: Final = 100
#: What a case says of itself beyond the fields of this API.
ADDITIONAL: Final = {
    "primaryId": "primary_ref",
    "secondaryId": "secondary_ref",
    "severity": "severity",
    "deviceId": "device_id",
}


def resource(state: Body, flags: Mapping[str, bool], code: Code | None, account_name: str | None) -> dict[str, Any]:
    """Return a case with all that Callout knows of what this API tells; what it does not know is left out."""
    found = {
        "id": state["number"],
        "accountNumber": account_number(state["tenant_id"]),
        "accountName": account_name or state["tenant_id"],
        "customerReferenceId": state.get("customer_reference"),
        "channel": _shown(EQUINIX.channels, Channel(state.get("channel", Channel.API))),
        "orderId": order_of(state),
        "location": {"ibx": []},
        "status": EQUINIX.states.to_word(_standing(state["state"])),
        "contacts": contacts_of(state),
        "createdDateTime": _time(state["created_at"]),
        "otherDetails": _other_details(state, code),
        **flags_of(flags),
    }
    return {name: value for name, value in found.items() if value is not None}


def ticket_class_of(state: Body) -> str:
    """Return the class of a ticket; one that has none is a case."""
    return _shown(EQUINIX.classes, TicketClass(state.get("ticket_class") or TicketClass.CASE))


def account_number(tenant_id: str) -> str:
    """Return a tenant as an account number, which has at least six characters."""
    return tenant_id.rjust(ACCOUNT_MIN, "0")


def order_of(state: Body) -> str | None:
    """Return the order number of a case: the id of a thing elsewhere that it is linked with, of an order's length."""
    links = (link["id"] for link in state.get("links") or () if link["kind"] == LinkKind.EXTERNAL)
    return next((id_ for id_ in links if ORDER_MIN <= len(id_) <= ORDER_MAX), None)


def flags_of(flags: Mapping[str, bool]) -> dict[str, bool]:
    """Return what the client may do now."""
    return {
        "modifiable": flags["modifiable"],
        "reOpen": flags["reopen"],
        "cancellable": flags["cancellable"],
        "respond": flags["respond"],
    }


def status_history(state: Body) -> list[dict[str, str]]:
    """Return the way a case went, a step for each change of what is shown."""
    steps: list[dict[str, str]] = []
    for step in state.get("status_history") or ():
        word = EQUINIX.states.to_word(_standing(step["state"]))
        if not steps or steps[-1]["status"] != word:
            steps.append({"status": word, "createdDate": _time(step["at"])})
    return steps


def contacts_of(state: Body) -> list[dict[str, Any]]:
    """Return contacts: registered users of one type together, others each with name and ways."""
    registered: dict[str, list[str]] = {}
    others: list[dict[str, Any]] = []
    for contact in state.get("contacts") or ():
        type_ = _shown(EQUINIX.contact_types, ContactType(contact.get("type", ContactType.TECHNICAL)))
        if contact.get("user"):
            registered.setdefault(type_, []).append(contact["user"])
            continue
        ways = contact.get("details") or ()
        told = {
            "type": type_,
            "firstName": contact.get("first_name"),
            "lastName": contact.get("last_name"),
            "details": [
                {"type": _shown(EQUINIX.contact_ways, ContactWay(way["type"])), "value": way["value"]} for way in ways
            ],
        }
        others.append({name: value for name, value in told.items() if value is not None})
    return [{"type": type_, "registeredUsers": users} for type_, users in registered.items()] + others


def result(case_id: str, note_id: str, number: str) -> dict[str, Any]:
    """Return the answer to a note and to a cancellation."""
    return {"result": {"CaseId": case_id, "CaseNotesId": note_id, "CaseNumber": number}}


def _other_details(state: Body, code: Code | None) -> dict[str, Any]:
    updater: Body = state.get("updated_by") or {}
    known = {
        "recordType": ticket_class_of(state),
        "category": code.category if code else None,
        "subCategory": (code.subcategory or code.title) if code else None,
        "description": state.get("description"),
        "updatedDateTime": _time(state["updated_at"]),
        "updatedByFullName": updater.get("id") or updater.get("role"),
        "statusHistory": status_history(state),
        "purchaseOrders": [],
        "products": [],
        "productOfferingCodes": [],
        "details": [],
        "additionalInfo": _additional(state),
    }
    return {name: value for name, value in known.items() if value is not None}


def _additional(state: Body) -> list[dict[str, str]]:
    told = {"code": state.get("case_code")} | {name: state.get(field) for name, field in ADDITIONAL.items()}
    if state.get("occurred_at"):
        told["occurredDateTime"] = _time(state["occurred_at"])
    return [{"key": name, "value": str(value)} for name, value in told.items() if value is not None]


def _standing(state: str) -> Standing:
    return Standing(State(state))


def _shown(words: Vocabulary[Any] | None, core: object) -> str:
    if words is None:
        raise TypeError("the profile has no such words")
    return words.to_word(core)


def _time(text: str) -> str:
    return EQUINIX.time(datetime.fromisoformat(text))
