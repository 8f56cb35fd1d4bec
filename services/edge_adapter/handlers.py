"""What the edge adapter hears on Kafka: what is asked of the registry of devices."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from services.edge_adapter import store
from services.edge_adapter.domain.registry import Device, decide
from shared.contracts.catalogue import DEVICE_OBSERVATIONS, DEVICE_REGISTRATIONS, DEVICE_REGISTRY
from shared.contracts.devices import REGISTERED, registration_type
from shared.contracts.envelope import Incoming, Message, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.presence import OBSERVED
from shared.flow import Decision, Room

SOURCE: Final = "/callout/edge_adapter"
DECOMMISSION: Final = registration_type("decommission")


class Registrations(Room[Device]):
    """The registry: one document and one record for each device, changed by what is asked."""

    service = "edge_adapter"
    topic = DEVICE_REGISTRATIONS
    tells = (DEVICE_REGISTRY, DEVICE_OBSERVATIONS.only(OBSERVED))

    def key(self, incoming: Incoming) -> str:
        """Return the document of the device."""
        return store.document_id(incoming.data.tenant_id, incoming.data.device_id)

    def decide(self, incoming: Incoming, own: Device | None, guide: Device | None) -> Decision[Device]:  # noqa: ARG002
        """Change what is known of the device, and tell it."""
        device = decide(own, incoming.data, incoming.now)
        return Decision() if device is None else Decision(device, messages=told(device, incoming))

    def from_document(self, document: dict[str, Any]) -> Device:
        """Read a device from its document."""
        return store.from_document(document)

    def to_document(self, state: Device) -> dict[str, Any]:
        """Write a device down."""
        return store.to_document(state)


def told(device: Device, incoming: Incoming) -> Sequence[Message]:
    """Return the record of a device after a change; who watches devices is told of one that is let in no longer."""
    record = (
        message(
            DEVICE_REGISTRY,
            type_=REGISTERED,
            id_=derived_id("registered", incoming.place),
            source=SOURCE,
            time=incoming.now,
            value=orjson.dumps(body_of(device, incoming)),
            key=store.document_id(device.tenant_id, device.device_id),
            tenant=device.tenant_id,
            cause_id=incoming.id,
            traceparent=incoming.traceparent,
        ),
    )
    return (*record, _gone(device, incoming)) if incoming.type == DECOMMISSION else record


def _gone(device: Device, incoming: Incoming) -> Message:
    key = store.document_id(device.tenant_id, device.device_id)
    body = {"tenant_id": device.tenant_id, "device_id": device.device_id, "kind": "decommission", "epoch": 0}
    return message(
        DEVICE_OBSERVATIONS,
        type_=OBSERVED,
        id_=derived_id("decommissioned", incoming.place),
        source=SOURCE,
        time=incoming.now,
        value=orjson.dumps(body),
        key=key,
        tenant=device.tenant_id,
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )


def body_of(device: Device, incoming: Incoming) -> dict[str, Any]:
    """Return what is told of a device; no secret, not even its hash."""
    body: dict[str, Any] = {
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "version": device.version,
        "state": device.state,
        "registered_at": rfc3339(device.registered_at or incoming.now),
        "updated_at": rfc3339(device.updated_at or incoming.now),
        **device.facts,
        "token": device.token is not None,
    }
    if device.decommissioned_at:
        body["decommissioned_at"] = rfc3339(device.decommissioned_at)
    if device.invitation and device.invitation.used_by is None and device.invitation.expires_at > incoming.now:
        body["invited_until"] = rfc3339(device.invitation.expires_at)
    if device.session_key:
        body["session_key"] = device.session_key
    body["certificates"] = [
        {"serial": one.serial, "not_after": rfc3339(one.not_after), "issued_at": rfc3339(one.issued_at)}
        | ({"revoked_at": rfc3339(one.revoked_at)} if one.revoked_at else {})
        for one in device.certificates
    ]
    return body
