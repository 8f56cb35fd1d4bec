"""Devices as people see them: what is known of each, whether it is there, and what lists of them ask for. Pure."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.gateway.domain.query import LIMIT, LIMIT_MAX, Conditions, Fault, InvalidQuery, Several
from services.gateway.domain.view import UNKNOWN, Body, Document
from shared.contracts.fields import DeviceId
from shared.contracts.presence import Presence

SCHEMA: Final = 1
#: What a change of presence says of a device, beside its name.
PRESENCE: Final = ("status", "since", "last_seen", "cause", "epoch", "unstable", "interval_s", "change", "at")
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


def resource_of(document: Document) -> dict[str, Any]:
    """Return a device as it is told."""
    return {
        "tenant_id": document["tenant"],
        "device_id": document["device"],
        "status": document.get("status", UNKNOWN),
        "presence": orjson.loads(document["presence"]) if "presence" in document else dict(NEVER_SEEN),
    }


class DeviceQuery(BaseModel):
    """One page of the devices somebody wants to see, in the order of their ids."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Several(Presence) = ()  # type: ignore[valid-type]
    device: Several(DeviceId) = ()  # type: ignore[valid-type]
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
            elif name == "device":
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
