"""Notices: what somebody was told in the application, and what became of deliveries; pages of both. Pure."""

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.gateway.domain.query import LIMIT, LIMIT_MAX, Conditions, Fault, InvalidQuery, Several
from services.gateway.domain.view import Body, Document
from shared.contracts.fields import CaseId, Word, rfc3339, utc_milliseconds
from shared.contracts.notices import RESULTS, Recipient
from shared.contracts.words import NoticeChannel

SCHEMA: Final = 1
SENT: Final = "sent"
IN_APP: Final = NoticeChannel.IN_APP.value
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RESOURCE: Final = ("topic", "event", "case_id", "number")
#: What is told of a delivery to those who run a tenant's notifications: what became of it, and never what it said.
DELIVERY: Final = (*("recipient", "channel", *RESOURCE), *("attempts", "repeats", "due_at", "code", "reason"))
ORDER: Final = (("at", -1), ("_id", -1))
Place = tuple[datetime, str]


def recipient_of(user_id: str) -> str:
    """Return a person as notification names them."""
    return f"user:{user_id}"


def notice_document(name: str, body: Body) -> Document:
    """Return what was told of a delivery, for its view; of two the later stays."""
    at = datetime.fromisoformat(body["at"])
    return {
        "_id": body["delivery_id"],
        "schema": SCHEMA,
        "tenant": body["tenant_id"],
        "recipient": body["recipient"],
        "channel": body["channel"],
        "state": name,
        "case": body.get("case_id"),
        "at": at,
        "told": (at - EPOCH) // timedelta(milliseconds=1),
        "raw": orjson.dumps(body),
    }


def notice_of(body: Body, *, read_at: datetime | None = None) -> dict[str, Any]:
    """Return a notice as the one whom it is for is shown it."""
    known = {name: body[name] for name in RESOURCE if name in body}
    seen = {} if read_at is None else {"read_at": rfc3339(utc_milliseconds(read_at))}
    return {
        "id": body["delivery_id"],
        "at": body["at"],
        **known,
        "notice": body.get("notice", {}),
        "read": bool(seen),
        **seen,
    }


def shown_notice(document: Document) -> dict[str, Any]:
    """Return a stored notice as it is shown."""
    return notice_of(orjson.loads(document["raw"]), read_at=document.get("read_at"))


def shown_delivery(document: Document) -> dict[str, Any]:
    """Return a delivery as those who run a tenant's notifications are shown it."""
    body = orjson.loads(document["raw"])
    known = {name: body[name] for name in DELIVERY if name in body}
    return {"id": body["delivery_id"], "at": body["at"], "state": document["state"], **known}


def _truth(word: object) -> object:
    """Return what `true` and `false` say; other words are for the model to refuse."""
    return {"true": True, "false": False}.get(word, "neither") if isinstance(word, str) else word


class _Paged(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT
    cursor: Annotated[str, Field(max_length=300)] | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, Iterable[str]]) -> Self:
        """Read a query from the parameters of a request.

        Raises:
            InvalidQuery: with every field that is wrong or unknown.
        """
        several = {name for name, field in cls.model_fields.items() if field.default == ()}
        given: dict[str, Any] = {}
        faults = []
        for name, each in parameters.items():
            values = [*each]
            if name in several:
                given[name] = values
            elif len(values) > 1:
                faults.append(Fault(name, "is given more than once"))
            else:
                given[name] = values[0]
        try:
            query = cls.model_validate(given)
            query.place()
        except ValidationError as error:
            faults += [
                Fault(str(detail["loc"][0]), "is not known" if detail["type"] == "extra_forbidden" else detail["msg"])
                for detail in error.errors(include_url=False)
            ]
        except InvalidQuery as error:
            faults += error.faults
        if faults:
            raise InvalidQuery(faults)
        return query

    def place(self) -> Place | None:
        """Return the place that a page goes on behind; nothing for the first page.

        Raises:
            InvalidQuery: the cursor is none.
        """
        if self.cursor is None:
            return None
        try:
            text = self.cursor.encode("ascii")
            told, id_ = orjson.loads(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
            return EPOCH + timedelta(milliseconds=told), str(id_)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidQuery([Fault("cursor", "is not one of ours")]) from error

    def _behind(self) -> Conditions:
        place = self.place()
        if place is None:
            return {}
        at, id_ = place
        return {"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": id_}}]}


class NoticeQuery(_Paged):
    """One page of what somebody was told, the latest first."""

    unread: Annotated[bool, BeforeValidator(_truth)] = False

    def conditions(self, tenant_id: str, user_id: str) -> Conditions:
        """Return what a notice must meet to be in the list: it is for this person, before all."""
        unread = {"read_at": None} if self.unread else {}
        return own_notices(tenant_id, user_id) | unread | self._behind()


class DeliveryQuery(_Paged):
    """One page of a tenant's deliveries, those last told of first."""

    recipient: Several(Recipient) = ()  # type: ignore[valid-type]
    channel: Several(NoticeChannel) = ()  # type: ignore[valid-type]
    state: Several(Literal[RESULTS]) = ()  # type: ignore[valid-type]
    code: Several(Word) = ()  # type: ignore[valid-type]
    case: Several(CaseId) = ()  # type: ignore[valid-type]

    def conditions(self, tenant_id: str) -> Conditions:
        """Return what a delivery must meet to be in the list; the tenant first."""
        found: Conditions = {"tenant": tenant_id}
        for name in ("recipient", "channel", "state", "code", "case"):
            if values := getattr(self, name):
                found[name] = {"$in": [*values]}
        return found | self._behind()


def own_notices(tenant_id: str, user_id: str) -> Conditions:
    """Return what is somebody's own: told to them in the application."""
    return {"tenant": tenant_id, "recipient": recipient_of(user_id), "channel": IN_APP, "state": SENT}


def cursor_behind(document: Document) -> str:
    """Return the cursor of the page behind a notice or delivery."""
    return base64.urlsafe_b64encode(orjson.dumps([document["told"], document["_id"]])).rstrip(b"=").decode()
