"""What the adapter hears on Kafka: what was seen of devices, and what they are asked to do."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from services.edge_adapter import device_store
from services.edge_adapter.domain import commands, presence, sparkplug
from services.edge_adapter.domain.device import Device
from services.edge_adapter.domain.sparkplug import DEFAULT_RULES, Rule
from shared.contracts.catalogue import (
    DEVICE_COMMANDS,
    DEVICE_DELIVERIES,
    DEVICE_OBSERVATIONS,
    DEVICE_PRESENCE,
    DEVICE_REPLIES,
    DEVICE_SIGNALS,
    Topic,
)
from shared.contracts.device_commands import COMMANDED, DELIVERY, NAMES, REPLY, Answered, Commanded, Guarantee, Sent
from shared.contracts.envelope import Incoming, Message, encode, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.presence import PRESENCE, DeviceWake, Observed
from shared.contracts.signals import CLEARED, RAISED
from shared.contracts.sparkplug import METRICS, MetricsSeen
from shared.flow import Decision, Room

SERVICE: Final = "edge_adapter"
SOURCE: Final = f"/callout/{SERVICE}"
#: A Sparkplug edge node is asked to be born again; no command that anybody gives.
REBIRTH: Final = "rebirth"
REBIRTH_SECONDS: Final = 10
EXPIRES_AFTER: Final = timedelta(days=1)


ORPHANS: Final = DEVICE_OBSERVATIONS.only(METRICS)


class Observations(Room[Device]):
    """All that touches a device comes by here, one after the other: signs of life, commands, answers, the clock."""

    topic = DEVICE_OBSERVATIONS
    tells = (DEVICE_PRESENCE, DEVICE_REPLIES, DEVICE_DELIVERIES, DEVICE_SIGNALS, ORPHANS)
    service = SERVICE
    exclusive = True

    def __init__(self, rules: Sequence[Rule] = DEFAULT_RULES) -> None:
        self._rules = rules

    def key(self, incoming: Incoming) -> str:
        """Return the document of the device."""
        return device_store.document_id(incoming.data.tenant_id, incoming.data.device_id)

    def decide(self, incoming: Incoming, own: Device | None, guide: Device | None) -> Decision[Device]:  # noqa: ARG002
        """Decide what a record makes of a device."""
        said, now = incoming.data, incoming.now
        if isinstance(said, MetricsSeen):
            return self._on_metrics(incoming, own)
        if own is None and not isinstance(said, Observed | Commanded):
            return Decision()
        before = own or Device(tenant_id=said.tenant_id, device_id=said.device_id)
        change: dict[str, Any] | None = None
        woken: sparkplug.Seen | None = None
        match said:
            case Observed():
                device, change = presence.observe(before, said, now)
                told = commands.hand_on(device, now)
            case DeviceWake():
                device, change = presence.on_silence(before, said, now)
                woken = sparkplug.on_wake(device, said, now)
                told = commands.on_time(woken.device, said.listened_until, now)
            case Commanded():
                told = commands.on_command(before, said, now)
            case Answered():
                told = commands.on_answer(before, said, now)
            case Sent():
                told = commands.on_sent(before, said, now)
            case _:
                return Decision()
        messages = [] if change is None else [_told(DEVICE_PRESENCE, PRESENCE, change, incoming, "presence")]
        messages += [
            _told(DEVICE_REPLIES, REPLY, body, incoming, f"reply-{place}") for place, body in enumerate(told.replies)
        ]
        messages += [
            _told(DEVICE_DELIVERIES, DELIVERY, body, incoming, f"delivery-{place}")
            for place, body in enumerate(told.deliveries)
        ]
        if woken is not None and woken.ask_rebirth:
            messages.append(_rebirth(said.device_id, incoming))
        return Decision(None if told.device == own else told.device, messages=messages)

    def _on_metrics(self, incoming: Incoming, own: Device | None) -> Decision[Device]:
        said, now = incoming.data, incoming.now
        before = own or Device(tenant_id=said.tenant_id, device_id=said.device_id)
        seen = sparkplug.on_metrics(before, said, now, self._rules)
        messages = (
            [] if seen.presence is None else [_told(DEVICE_PRESENCE, PRESENCE, seen.presence, incoming, "presence")]
        )
        messages += [
            _told(DEVICE_SIGNALS, RAISED if raised else CLEARED, body, incoming, f"signal-{place}")
            for place, (raised, body) in enumerate(seen.signals)
        ]
        of = {"tenant_id": said.tenant_id}
        messages += [
            _told(DEVICE_OBSERVATIONS, METRICS, {**of, "device_id": child, "kind": said.kind.value}, incoming, "orphan")
            for child in seen.orphans
        ]
        if seen.ask_rebirth:
            messages.append(_rebirth(said.node or said.device_id, incoming))
        return Decision(None if seen.device in (own, before) else seen.device, messages=messages)

    def from_document(self, document: dict[str, Any]) -> Device:
        """Read a device from its document."""
        return device_store.from_document(document)

    def to_document(self, state: Device) -> dict[str, Any]:
        """Write a device down."""
        return device_store.to_document(state)


class DeviceCommands(Room[None]):
    """Commands to devices: each is handed on to where all that touches a device is decided in one order."""

    topic = DEVICE_COMMANDS
    tells = (DEVICE_OBSERVATIONS.only(COMMANDED),)
    service = SERVICE
    answers = True

    def key(self, incoming: Incoming) -> None:  # noqa: ARG002
        """Keep nothing of a command here."""
        return

    def hand_on(self, incoming: Incoming) -> Sequence[Message]:
        """Hand a command on, with all that its sender left open."""
        command = incoming.data
        body = {
            "tenant_id": command.tenant_id,
            "device_id": command.device_id,
            "id": incoming.id,
            "command": NAMES[incoming.type],
            "expires_at": rfc3339(command.expires_at or incoming.now + EXPIRES_AFTER),
            "timeout_s": command.timeout_s,
        }
        if command.arguments is not None:
            body["arguments"] = command.arguments
        return (_told(DEVICE_OBSERVATIONS, COMMANDED, body, incoming, "commanded"),)

    def decide(self, incoming: Incoming, own: None, guide: None) -> Decision[None]:  # noqa: ARG002
        """Decide nothing."""
        return Decision()

    def from_document(self, document: dict[str, Any]) -> None:
        """Read nothing: there are no documents."""

    def to_document(self, state: None) -> dict[str, Any]:  # noqa: ARG002
        """Write nothing down."""
        return {}


def _rebirth(node: str, incoming: Incoming) -> Message:
    asked = {
        "tenant_id": incoming.data.tenant_id,
        "device_id": node,
        "id": derived_id(REBIRTH, incoming.place),
        "command": REBIRTH,
        "expires_at": rfc3339(incoming.now + timedelta(seconds=REBIRTH_SECONDS)),
        "attempt": 1,
        "guarantee": Guarantee.AT_LEAST_ONCE.value,
    }
    return _told(DEVICE_DELIVERIES, DELIVERY, asked, incoming, REBIRTH)


def _told(topic: Topic, type_: str, body: dict[str, Any], incoming: Incoming, what: str) -> Message:
    key = device_store.document_id(body["tenant_id"], body["device_id"])
    return message(
        topic,
        type_=type_,
        id_=derived_id(what, incoming.place, key),
        source=SOURCE,
        time=incoming.now,
        value=encode(body),
        key=key,
        tenant=body["tenant_id"],
        subject=key,
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )
