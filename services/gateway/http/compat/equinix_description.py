"""The description of the door of the Equinix Case Management API 2.0.0."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import TypeAdapter
from starlette.requests import Request

from services.gateway.domain.compat import equinix
from services.gateway.domain.profiles import EQUINIX
from services.gateway.http.compat.describing import Door, Schema, Told, failure
from services.gateway.http.compat.equinix import router
from services.gateway.http.compat.equinix_answers import failure as answer_of
from services.gateway.http.compat.equinix_files import router as files
from services.gateway.http.compat.equinix_forms import CancelForm, CreateForm, NoteForm
from services.gateway.http.examples import CASE, CASE_ID, FILE_ID, NOTE_ID, STATE
from services.gateway.http.problems import NOT_FOUND, Problem
from services.gateway.http.schemas import REF, TEXT, obj, ref
from shared.contracts.tenant_codes import Code

FORMS: Final = (CreateForm, NoteForm, CancelForm)
TIME: Final[Schema] = {**TEXT, "format": "date-time"}
LIST: Final[Schema] = {"type": "array"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
YES_OR_NO: Final[Schema] = {"type": "boolean"}
DESCRIPTION: Final = """Cases for programs that were written for the Equinix Case Management API 2.0.0.

A bearer token tells the person and the account. No other status is told than 200, 400, 401, 403, 409 and 500: a case
that is not there is 400 `not_found`; what is not decided in time, and too many requests, are 409. Files are uploaded
first (201), 10 MB at most.
"""


def _words(name: str) -> Schema:
    words = getattr(EQUINIX, name)
    return {"enum": list(dict.fromkeys(words.shown.values()))}


def _forms() -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for form in FORMS:
        schema = TypeAdapter(form).json_schema(ref_template=REF + "{model}")
        found |= schema.pop("$defs", {})
        found[form.__name__] = schema
    return found


def _contact() -> Schema:
    ways = {"type": "array", "items": obj({"type": _words("contact_ways"), "value": TEXT})}
    return obj({"type": _words("contact_types")}, registeredUsers=TEXTS, firstName=TEXT, lastName=TEXT, details=ways)


def _others() -> Schema:
    step = obj({"status": _words("states"), "createdDate": TIME})
    return obj(
        {"recordType": _words("classes"), "statusHistory": {"type": "array", "items": step}, "updatedDateTime": TIME},
        category=TEXT,
        subCategory=TEXT,
        description=TEXT,
        updatedByFullName=TEXT,
        additionalInfo={"type": "array", "items": obj({"key": TEXT, "value": TEXT})},
        **dict.fromkeys(("purchaseOrders", "products", "productOfferingCodes", "details"), LIST),
    )


def _case() -> Schema:
    return obj(
        {
            "id": TEXT,
            "accountNumber": {**TEXT, "minLength": equinix.ACCOUNT_MIN},
            "accountName": TEXT,
            "channel": _words("channels"),
            "location": obj({"ibx": TEXTS}),
            "status": _words("states"),
            "contacts": {"type": "array", "items": _contact()},
            "createdDateTime": TIME,
            "otherDetails": _others(),
            **dict.fromkeys(("modifiable", "reOpen", "cancellable", "respond"), YES_OR_NO),
        },
        customerReferenceId=TEXT,
        orderId={**TEXT, "minLength": equinix.ORDER_MIN, "maxLength": equinix.ORDER_MAX},
    )


def _components() -> dict[str, Schema]:
    failure = obj(
        {"errorCode": TEXT, "errorMessage": TEXT},
        additionalInfo={"type": "array", "items": obj({"property": TEXT, "reason": TEXT})},
    )
    return _forms() | {
        "Created": obj({"id": {**TEXT, "minLength": 8, "maxLength": 100}, "type": _words("classes")}),
        "Case": _case(),
        "Result": obj({"result": obj(dict.fromkeys(("CaseId", "CaseNotesId", "CaseNumber"), TEXT))}),
        "Stored": obj({"id": {**TEXT, "format": "uuid"}, "name": TEXT}),
        "Failures": {"type": "array", "items": failure},
    }


CODE: Final = Code(title="Cross connect down", category="Cross Connect")
RESULT: Final = equinix.result(CASE_ID, NOTE_ID, "10000001")
TOLD: Final[Mapping[tuple[str, str], Told]] = {
    ("post", "/cases"): Told(
        name="create_case",
        what="Created: its number, and the class of the ticket",
        schema=ref("Created"),
        example={"id": "10000001", "type": equinix.ticket_class_of(STATE)},
        body=ref("CreateForm"),
        body_example={
            "code": "0002-0000",
            "description": "The port is down since Monday.",
            "primaryId": "press-07",
            "customerReferenceId": "PO-17",
            "contacts": [{"type": "TECHNICAL", "registeredUsers": ["ann"]}],
            "attachments": [{"id": FILE_ID, "name": "port.jpg"}],
        },
    ),
    ("get", "/cases/{case}"): Told(
        name="read_case",
        what="The case",
        schema=ref("Case"),
        example=equinix.resource(STATE, CASE["flags"], CODE, None),
    ),
    ("post", "/cases/{case}/notes"): Told(
        name="add_note",
        what="Added",
        schema=ref("Result"),
        example=RESULT,
        body=ref("NoteForm"),
        body_example={"text": "On my way.", "visibility": "EXTERNAL"},
    ),
    ("post", "/cases/{case}/cancel"): Told(
        name="cancel_case",
        what="Cancelled",
        schema=ref("Result"),
        example=RESULT,
        body=ref("CancelForm"),
        body_example={"reason": "Not needed any more."},
    ),
    ("post", "/file"): Told(
        name="upload_file",
        what="Stored; to be named by a case or a note, by its uploader alone, within 40 days",
        status=201,
        schema=ref("Stored"),
        example={"id": FILE_ID, "name": "port.jpg"},
        body=obj({"file": {**TEXT, "format": "binary"}}),
        takes="multipart/form-data",
    ),
}


def _failures(method: str, path: str) -> Mapping[int, Schema]:
    codes = {"unauthenticated": 401, "forbidden": 403, "rate_limited": 409, "unavailable": 500}
    codes["not_found" if "{" in path else "invalid_request"] = 400
    if method == "post":
        codes["invalid_transition"] = 409
    return {
        status: failure(f"`{code}` and the like", ref("Failures"), _body(code), headers=_headers(code))
        for code, status in codes.items()
    }


def _headers(code: str) -> tuple[str, ...]:
    return ("Retry-After",) if code == "rate_limited" else ()


def _body(code: str) -> Any:  # noqa: ANN401 - JSON
    problem = Problem(code, NOT_FOUND if code == "not_found" else "…")
    return orjson.loads(bytes(answer_of(problem, Request({"type": "http"})).body))


DOOR: Final = Door(
    title="Callout, as the Equinix Case Management API",
    description=DESCRIPTION,
    prefix="/compat/equinix/v2",
    routers=(router, files),
    told=TOLD,
    components=_components(),
    failures=_failures,
)
