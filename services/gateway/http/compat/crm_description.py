"""The description of the door of Django-CRM."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from services.gateway.domain.compat import crm
from services.gateway.domain.profiles import DJANGO_CRM, DJANGO_CRM_REAL
from services.gateway.http.compat.crm_answers import failure as answer_of
from services.gateway.http.compat.describing import Door, Schema, Told, failure
from services.gateway.http.compat.django_crm import router
from services.gateway.http.examples import AT, CASE_ID, FILE_ID, NOTE_ID, STATE
from services.gateway.http.problems import NOT_FOUND, Problem
from services.gateway.http.schemas import COUNT, TEXT, items, obj, ref
from shared.contracts import limits
from shared.contracts.words import CaseType, Priority

PROFILES: Final = (DJANGO_CRM, DJANGO_CRM_REAL)
NOTHING: Final = {"type": "null"}
ID: Final[Schema] = {**TEXT, "minLength": 1, "maxLength": limits.ID_MAX}
TIME: Final[Schema] = {**TEXT, "description": "UTC, to the second"}
DESCRIPTION: Final = """Cases for programs that were written for the API of Django-CRM (BottleCRM).

A bearer token tells the person and the organization; `organization-id`, if it is sent, has to be that organization.
With `callout-profile: s2real` the words are those of the product as it is today. Bodies are JSON, or a form
(`multipart/form-data`) with the same fields, whose lists are repeated fields or JSON.
"""


def _words(*groups: Any) -> list[str]:  # noqa: ANN401 - the words of each profile
    return list(dict.fromkeys(word for group in groups for word in group))


def _known(of: str) -> list[str]:
    """Return the words of both profiles."""
    match of:
        case "status":
            return _words(*(profile.states.meant for profile in PROFILES))
        case "priority":
            return _words(*(profile.priorities.meant for profile in PROFILES if profile.priorities))
        case _:
            return _words(*(profile.types.meant for profile in PROFILES if profile.types))


STATUS: Final[Schema] = {"enum": _known("status")}
PRIORITY: Final[Schema] = {"enum": _known("priority")}
TYPE: Final[Schema] = {"enum": _known("case_type")}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NOTHING]}


def _fields() -> Schema:
    """Return what a client gives of a case; fields that are not known are passed over."""
    ids = {"type": "array", "items": ID, "maxItems": limits.CONTACTS_MAX}
    return {
        "name": {**TEXT, "minLength": 1, "maxLength": limits.TITLE_MAX, "description": "at most 64 with `s2real`"},
        "status": STATUS,
        "priority": PRIORITY,
        "case_type": TYPE,
        "account": _or_null({**TEXT, "maxLength": 128}),
        "description": _or_null({**TEXT, "maxLength": limits.TEXT_MAX}),
        "closed_on": _or_null({**TEXT, "description": "with the status that closes the case"}),
        "contacts": ids,
        "assigned_to": ids,
        "teams": ids,
        "attachments": items("FileReference") | {"maxItems": limits.ATTACHMENTS_MAX},
    }


def _shown() -> Schema:
    """Return what an item of a list shows of a case."""
    ids = {"type": "array", "items": TEXT}
    return {
        "id": TEXT,
        "name": TEXT,
        "status": STATUS,
        "priority": _or_null(PRIORITY),
        "case_type": _or_null(TYPE),
        "account": _or_null(TEXT),
        "contacts": ids,
        "created_on": TIME,
        "closed_on": _or_null(TIME),
        "assigned_to": ids,
        "teams": ids,
    }


def _components() -> dict[str, Schema]:
    whole = {**_shown(), "description": _or_null(TEXT), "created_by": _or_null(TEXT), "org": TEXT}
    by = {"case": TEXT}
    comment = {"id": TEXT, "comment": TEXT, **by, "commented_on": TIME, "commented_by": _or_null(TEXT)}
    file = {"id": TEXT, "attachment": TEXT, "file_name": TEXT, **by, "created_on": TIME, "created_by": _or_null(TEXT)}
    link = _or_null({**TEXT, "description": "relative"})
    texts = {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}}
    return {
        "Item": obj(_shown()),
        "Case": obj(whole),
        "Page": obj({"count": COUNT, "next": link, "previous": link, "results": items("Item")}),
        "Comment": obj(comment),
        "Attachment": obj(file),
        "Person": obj({"id": TEXT, "username": TEXT}, email=TEXT, name=TEXT),
        "Team": obj({"id": TEXT, "name": TEXT}),
        "FileReference": obj({"id": ID, "name": {**TEXT, "minLength": 1, "maxLength": limits.FILE_NAME_MAX}}),
        "Detail": obj(
            {
                "case_obj": ref("Case"),
                "assigned_to": items("Person"),
                "teams": items("Team"),
                "comments": items("Comment"),
                "attachments": items("Attachment"),
                "users_mention": items("Person"),
            }
        ),
        "NewCase": {**obj({"name": _fields()["name"]}), "properties": _fields()},
        "CaseChange": obj({}, **_fields()),
        "NewPaper": obj({}, comment=_text(), attachments=_fields()["attachments"]),
        "CommentChange": obj({"comment": _text()}),
        "Failure": obj(
            {"error": {"const": True}, "errors": {"anyOf": [TEXT, texts]}, "detail": TEXT, "code": TEXT},
            allowed={"type": "array", "items": TEXT},
            done={"type": "array", "items": TEXT, "description": "the commands that took effect before"},
        ),
        "Pending": obj({"error": {"const": False}, "detail": TEXT, "command": TEXT}, done={"type": "array"}),
    }


def _text() -> Schema:
    return {**TEXT, "minLength": 1, "maxLength": limits.TEXT_MAX}


STATE_SHOWN: Final = {**STATE, "classification": {"account": "Acme"}}
CASE: Final = crm.case(DJANGO_CRM, STATE_SHOWN)
COMMENT: Final = {
    "id": NOTE_ID,
    "comment": "On my way.",
    "case": CASE_ID,
    "commented_on": DJANGO_CRM.time(crm.instant(AT)),
    "commented_by": "ann",
}
DETAIL: Final = {
    "case_obj": CASE,
    "assigned_to": [],
    "teams": [],
    "comments": [COMMENT],
    "attachments": [],
    "users_mention": [{"id": "erin", "username": "erin"}],
}
GIVEN: Final = {
    "name": "Spindle over temperature",
    "status": DJANGO_CRM.states.shown[next(iter(DJANGO_CRM.states.shown))],
    "priority": (DJANGO_CRM.priorities.shown[Priority.HIGH] if DJANGO_CRM.priorities else ""),
    "case_type": (DJANGO_CRM.types.shown[CaseType.TECHNICAL] if DJANGO_CRM.types else ""),
    "account": "Acme",
}
PAPER: Final = {"comment": "On my way.", "attachments": [{"id": FILE_ID, "name": "spindle.jpg"}]}
TOLD: Final[Mapping[tuple[str, str], Told]] = {
    ("get", "/cases/"): Told(
        name="list_cases",
        what="A page",
        schema=ref("Page"),
        example={"count": 1, "next": None, "previous": None, "results": [crm.item(DJANGO_CRM, STATE_SHOWN)]},
    ),
    ("post", "/cases/"): Told(
        name="create_case",
        what="Created, and shown by every read",
        status=201,
        schema=ref("Case"),
        example=CASE,
        body=ref("NewCase"),
        body_example=GIVEN,
    ),
    ("get", "/cases/{case}/"): Told(
        name="read_case", what="The case and what is around it", schema=ref("Detail"), example=DETAIL
    ),
    ("put", "/cases/{case}/"): Told(
        name="change_case",
        what="The case as it is then",
        schema=ref("Case"),
        example=CASE,
        body=ref("CaseChange"),
        body_example={"priority": GIVEN["priority"]},
        body_needed=False,
    ),
    ("delete", "/cases/{case}/"): Told(name="delete_case", what="Deleted", status=204),
    ("post", "/cases/{case}/"): Told(
        name="add_to_case",
        what="The case and what is around it",
        schema=ref("Detail"),
        example=DETAIL,
        body=ref("NewPaper"),
        body_example=PAPER,
    ),
    ("put", "/cases/comment/{id}/"): Told(
        name="edit_comment",
        what="The comment as it is then",
        schema=ref("Comment"),
        example=COMMENT,
        body=ref("CommentChange"),
        body_example={"comment": "On my way, by noon."},
    ),
    ("delete", "/cases/comment/{id}/"): Told(name="delete_comment", what="Deleted", status=204),
    ("delete", "/cases/attachment/{id}/"): Told(name="delete_attachment", what="Taken out", status=204),
}


def _failures(method: str, path: str) -> Mapping[int, Schema]:
    codes = {"invalid_request": "", "unauthenticated": "", "forbidden": "", "rate_limited": "", "unavailable": ""}
    if "{" in path:
        codes |= {"not_found": NOT_FOUND, "deleted": ""}
    if method != "get":
        codes |= {"invalid_transition": "", "too_large": "", "unsupported_media_type": ""}
    found = {}
    for code, text in codes.items():
        problem = Problem(code, text or "…")
        example = _body(problem)
        headers = ("Retry-After",) if problem.status in {429, 503} else ()
        found[problem.status] = failure(f"`{code}` and the like", ref("Failure"), example, headers=headers)
    if method != "get":
        pending = {"error": False, "detail": "Taken, and not decided yet.", "command": CASE_ID}
        found[202] = failure("Taken, and not decided yet", ref("Pending"), pending, headers=("Location", "Retry-After"))
    return found


def _body(problem: Problem) -> Any:  # noqa: ANN401 - JSON
    return orjson.loads(bytes(answer_of(problem).body))


DOOR: Final = Door(
    title="Callout, as Django-CRM",
    description=DESCRIPTION,
    prefix="/compat/django-crm",
    routers=(router,),
    told=TOLD,
    components=_components(),
    failures=_failures,
)
