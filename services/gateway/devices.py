"""What the gateway keeps of devices: whether each is there, for itself and beside the cases about it.

A case's view is written, with what was known of its device, then the device's view is looked at again; a device's view
is written first, then the cases about it. So whichever of the two comes last sees the other, and the newer word stays.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson

from services.gateway.domain.access import STAFF, Identity
from services.gateway.domain.devices import DeviceQuery, device_key, presence_document, registry_document, resource_of
from services.gateway.domain.view import UNKNOWN, Document
from services.gateway.generations import Generation, Generations
from shared.contracts.catalogue import DEVICE_PRESENCE, DEVICE_REGISTRY
from shared.flow import Heard, Viewer
from shared.view_storage import Find, ViewCollection

#: Events that may tell of a device which the case's view does not know yet.
NAMING: Final = frozenset({"callout.case.created.v1", "callout.case.updated.v1", "callout.case.shared.v1"})
DEVICES_AT_ONCE: Final = 500


class Presences(Viewer):
    """What `device.presence.v1` tells."""

    topic = DEVICE_PRESENCE
    service = "gateway"

    def __init__(self, generations: Generations) -> None:
        self._generations = generations

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the last word on each device of a batch, then say it beside the cases about it."""
        last: dict[str, Document] = {}
        for heard in batch:
            document = presence_document(orjson.loads(heard.record.value))
            if document["_id"] not in last or last[document["_id"]]["change"] < document["change"]:
                last[document["_id"]] = document
        await self._generations.devices.set_newer(list(last.values()), by="change")
        for number in (await self._generations.standing()).written:
            await self._generations[number].cases.set_all([_status(document) for document in last.values()])


class Registry(Viewer):
    """What `device.registry.v1` tells."""

    topic = DEVICE_REGISTRY
    service = "gateway"

    def __init__(self, devices: ViewCollection) -> None:
        self._devices = devices

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the last word on each device of a batch."""
        last: dict[str, Document] = {}
        for heard in batch:
            document = registry_document(orjson.loads(heard.record.value))
            if document["_id"] not in last or last[document["_id"]]["version"] < document["version"]:
                last[document["_id"]] = document
        await self._devices.set_newer(list(last.values()), by="version")


def named_by(views: Sequence[Document], entries: Sequence[Document]) -> list[Document]:
    """Return the views of cases with devices that these entries may tell of for the first time."""
    named = {entry["_id"].rpartition(":")[0] for entry in entries if entry["seq"] == 1 or entry["type"] in NAMING}
    return [view for view in views if view["_id"] in named and view["edge"] is not None]


async def look_up(generation: Generation, cases: Sequence[Document]) -> dict[str, Document]:
    """Return what is known of the devices of some cases, as these are told it."""
    if not cases:
        return {}
    ids = sorted({view["edge"] for view in cases})
    found = await generation.devices.find(Find(conditions={"_id": {"$in": ids}}, fields=("change", "status")))
    known = {document["_id"]: document for document in found}
    return {id_: status_of(known.get(id_, {"_id": id_})) for id_ in ids}


async def settle_status(
    generation: Generation, cases: Sequence[Document], told: Mapping[str, Document], passed_over: Collection[str]
) -> None:
    """Say beside cases that were just written what changed since they were `told`; beside those passed over, all."""
    known = await look_up(generation, cases)
    news = [
        (view, known[view["edge"]])
        for view in cases
        if view["_id"] in passed_over or known[view["edge"]] != told[view["edge"]]
    ]
    await generation.cases.set_all([(_older(view["edge"], fields, view["_id"]), fields) for view, fields in news])


async def give_all(generation: Generation) -> None:
    """Say beside all cases of a generation whether their devices are there."""
    last = ""
    while True:
        question = Find(conditions={"_id": {"$gt": last}}, order=[("_id", 1)], limit=DEVICES_AT_ONCE)
        found = await generation.devices.find(question)
        if not found:
            return
        await generation.cases.set_all([_status(document) for document in found])
        last = found[-1]["_id"]


class Devices:
    """Devices as they are asked for."""

    def __init__(self, views: ViewCollection) -> None:
        self._views = views

    async def page(self, who: Identity, query: DeviceQuery) -> tuple[list[dict[str, Any]], str | None]:
        """Return one page of the devices of somebody's tenant, and where the next one goes on."""
        find = Find(conditions=query.conditions(who.tenant_id), order=[("_id", 1)], limit=query.limit + 1)
        found = await self._views.find(find)
        shown = [resource_of(each, staff=who.role in STAFF) for each in found[: query.limit]]
        return shown, shown[-1]["device_id"] if len(found) > query.limit else None

    async def owner_of(self, tenant_ids: Sequence[str], device_id: str) -> str | None:
        """Return which of some tenants a device belongs to; nothing if it was never seen."""
        keys = [device_key(tenant_id, device_id) for tenant_id in tenant_ids]
        found = await self._views.find(Find(conditions={"_id": {"$in": keys}}, fields=("tenant",)))
        owners = {document["tenant"] for document in found}
        return next((tenant_id for tenant_id in tenant_ids if tenant_id in owners), None)

    async def one(self, who: Identity, device_id: str) -> dict[str, Any] | None:
        """Return a device of somebody's tenant; nothing if there is none."""
        key = device_key(who.tenant_id, device_id)
        found = await self._views.find(Find(conditions={"_id": key, "tenant": who.tenant_id}, limit=1))
        return resource_of(found[0], staff=who.role in STAFF) if found else None


def status_of(device: Mapping[str, Any]) -> Document:
    """Return what a case's view says of its device."""
    return {
        "device_of": device["_id"],
        "device_change": device.get("change", 0),
        "device_status": device.get("status", UNKNOWN),
    }


def _status(device: Mapping[str, Any]) -> tuple[Document, Document]:
    """Return which cases are told of a device, and what."""
    fields = status_of(device)
    return _older(device["_id"], fields), fields


def _older(device: str, fields: Document, case: str | None = None) -> Document:
    """Return which cases are told of a device; those that were told something newer are not."""
    newer = {"device_of": device, "device_change": {"$gte": fields["device_change"]}}
    conditions: Document = {"edge": device, "$nor": [newer]}
    return conditions if case is None else conditions | {"_id": case}
