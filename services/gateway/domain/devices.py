"""Devices as people see them: what is known of each, whether it is there, and what lists of them ask for. Pure."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.gateway.domain.query import LIMIT, LIMIT_MAX, Conditions, Fault, InvalidQuery, Several
from services.gateway.domain.text import fold
from services.gateway.domain.view import KEY_MAX, UNKNOWN, Body, Document
from shared.contracts.fields import DeviceId, Word
from shared.contracts.presence import Presence

SCHEMA: Final = 1
#: What a change of presence says of a device, beside its name.
PRESENCE: Final = ("status", "since", "last_seen", "cause", "epoch", "boot", "unstable", "interval_s", "change", "at")
#: What the registry says of a device to everybody who may read devices; how it comes in is for the staff.
REGISTERED: Final = (
    *("state", "version", "registered_at", "updated_at", "decommissioned_at", "name", "serial", "brand"),
    *("device_type", "firmware", "machines", "endpoints", "labels"),
)
ACCESS: Final = ("certificates", "token", "invited_until")
NEVER_SEEN: Final[Body] = {"status": UNKNOWN}


def device_key(tenant_id: str, device_id: str) -> str:
    """Return the id of a device's view, which is the key of its records."""
    return f"{tenant_id}/{device_id}"


def presence_document(body: Body) -> Document:
    """Return what a change of presence says, for the device's view."""
    return {
        "_id": device_key(body["tenant_id"], body["device_id"]),
        "schema": SCHEMA,
        "tenant": body["tenant_id"],
        "device": body["device_id"],
        "change": body["change"],
        "status": body["status"],
        "presence": orjson.dumps({name: body[name] for name in PRESENCE if name in body}),
    }


def registry_document(body: Body) -> Document:
    """Return what the registry says, for the device's view."""
    return {
        "_id": device_key(body["tenant_id"], body["device_id"]),
        "schema": SCHEMA,
        "tenant": body["tenant_id"],
        "device": body["device_id"],
        "version": body["version"],
        "registry": orjson.dumps({name: body[name] for name in REGISTERED if name in body}),
        "access": orjson.dumps({name: body[name] for name in ACCESS if name in body}),
        **{name: fold(body[name])[:KEY_MAX] if body.get(name) else None for name in WORDS},
        "labels": [fold(f"{name}={value}")[:KEY_MAX] for name, value in (body.get("labels") or {}).items()],
    }


def resource_of(document: Document, *, staff: bool) -> dict[str, Any]:
    """Return a device as it is told; the staff is told how it comes in, too."""
    known = orjson.loads(document["registry"]) if "registry" in document else {}
    if staff and "access" in document:
        known |= orjson.loads(document["access"])
    return known | {
        "tenant_id": document["tenant"],
        "device_id": document["device"],
        "status": document.get("status", UNKNOWN),
        "presence": orjson.loads(document["presence"]) if "presence" in document else dict(NEVER_SEEN),
    }


#: What a list is narrowed by, without regard to case.
WORDS: Final = ("serial", "brand", "device_type")
Label = Annotated[str, Field(pattern=r"^[^=]+=.*$", max_length=300, description="name=value")]


class DeviceQuery(BaseModel):
    """One page of the devices somebody wants to see, in the order of their ids."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Several(Presence) = ()  # type: ignore[valid-type]
    device: Several(DeviceId) = ()  # type: ignore[valid-type]
    serial: Several(Word) = ()  # type: ignore[valid-type]
    brand: Several(Word) = ()  # type: ignore[valid-type]
    device_type: Several(Word) = ()  # type: ignore[valid-type]
    label: Several(Label) = ()  # type: ignore[valid-type]
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT
    cursor: DeviceId | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, Iterable[str]]) -> Self:
        """Read a query from the parameters of a request; `status=online,degraded` names both.

        Raises:
            InvalidQuery: with every field that is wrong or unknown.
        """
        given: dict[str, Any] = {}
        faults = []
        for name, each in parameters.items():
            values = [*each]
            if name == "status":
                given[name] = [part for value in values for part in value.split(",")]
            elif name in {"device", "label", *WORDS}:
                given[name] = values
            elif len(values) > 1:
                faults.append(Fault(name, "is given more than once"))
            else:
                given[name] = values[0]
        try:
            query = cls.model_validate(given)
        except ValidationError as error:
            faults += [
                Fault(str(detail["loc"][0]), "is not known" if detail["type"] == "extra_forbidden" else detail["msg"])
                for detail in error.errors(include_url=False)
            ]
        if faults:
            raise InvalidQuery(faults)
        return query

    def conditions(self, tenant_id: str) -> Conditions:
        """Return what a view must meet to be in the list; the tenant first."""
        conditions: Conditions = {"tenant": tenant_id}
        if self.status:
            conditions["status"] = {"$in": statuses(self.status)}
        for name in WORDS:
            if words := [fold(word)[:KEY_MAX] for word in getattr(self, name)]:
                conditions[name] = {"$in": words}
        if self.label:
            conditions["labels"] = {"$all": [fold(label)[:KEY_MAX] for label in self.label]}
        ids: Conditions = {}
        if self.device:
            ids["$in"] = [device_key(tenant_id, device) for device in self.device]
        if self.cursor is not None:
            ids["$gt"] = device_key(tenant_id, self.cursor)
        return conditions | ({"_id": ids} if ids else {})


def statuses(words: Iterable[Presence]) -> list[str | None]:
    """Return what a view may hold for one of these words: of what nothing was told, nothing is known."""
    found: list[str | None] = [word.value for word in words]
    return [*found, None] if UNKNOWN in found else found
