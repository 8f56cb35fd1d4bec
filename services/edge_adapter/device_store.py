"""How a device is written down: `Device` <-> document, what has its default value left out."""

from dataclasses import asdict
from typing import Any, Final

from services.edge_adapter.domain import commands, presence, sparkplug
from services.edge_adapter.domain.device import Device, Due, Pending, Rival, Sparkplug
from services.edge_adapter.domain.sequence import Sequence
from shared.contracts.device_commands import CommandState, Guarantee
from shared.contracts.presence import Presence, PresenceCause
from shared.errors import UnknownSchema

SCHEMA: Final = 1
_PLAIN: Final = (
    *("epoch", "n", "ended", "decommissioned", "interval_s", "since", "seen_at", "change", "unstable"),
    *("changed_at", "recent", "boot"),
)
_DEFAULTS: Final = {name: getattr(Device(tenant_id="", device_id=""), name) for name in _PLAIN}
_PENDING: Final = ("id", "command", "expires_at", "timeout_s", "arguments", "attempt", "given_in", "deadline")


def document_id(tenant_id: str, device_id: str) -> str:
    """Return the id of a device's document, which is the key of its records."""
    return f"{tenant_id}/{device_id}"


def due_of(device: Device) -> Due | None:
    """Return when to look at a device again."""
    found = [due for due in (presence.due(device), commands.due(device), sparkplug.due(device)) if due is not None]
    return min(found, key=lambda due: due.at, default=None)


def to_document(device: Device) -> dict[str, Any]:
    """Write a device down; `due_at` is there while time alone may have something to do for it."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "status": device.status.value,
    }
    if device.cause is not None:
        document["cause"] = device.cause.value
    for name in _PLAIN:
        value = getattr(device, name)
        if value != _DEFAULTS[name]:
            document[name] = list(value) if isinstance(value, tuple) else value
    if device.rival is not None:
        rival = device.rival
        document["rival"] = {"epoch": rival.epoch, "n": rival.n, "first_at": rival.first_at}
    if device.sparkplug is not None:
        document["sparkplug"] = _sparkplug_to(device.sparkplug)
    if device.pending:
        document["pending"] = [_pending_to(each) for each in device.pending]
    if (due := due_of(device)) is not None:
        document |= {"due_at": due.at, "silence_s": due.silence_s}
    return document


def from_document(document: dict[str, Any]) -> Device:
    """Read a device from its document.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"schema {document['schema']!r} of a device; this version knows {SCHEMA}")
    known = {name: document[name] for name in _PLAIN if name in document}
    for name in ("changed_at", "recent"):
        known[name] = tuple(known.get(name, ()))
    return Device(
        tenant_id=document["tenant_id"],
        device_id=document["device_id"],
        status=Presence(document["status"]),
        cause=PresenceCause(document["cause"]) if "cause" in document else None,
        rival=Rival(**document["rival"]) if "rival" in document else None,
        sparkplug=_sparkplug_from(document["sparkplug"]) if "sparkplug" in document else None,
        pending=tuple(_pending_from(each) for each in document.get("pending", ())),
        **known,
    )


def _sparkplug_to(known: Sparkplug) -> dict[str, Any]:
    """Write it down; names of metrics are outsiders' words, and numbers beyond 63 bits no values: all that as text."""
    plain = {name: list(getattr(known, name)) for name in ("raised", "children")}
    numbers = {name: str(value) for name in ("bd_seq", "born_at") if (value := getattr(known, name)) is not None}
    aliases = [[str(alias), name] for alias, name in known.aliases.items()]
    asked = {"asked_at": known.asked_at} if known.asked_at is not None else {}
    sequence = {"sequence": asdict(known.sequence)} if known.sequence is not None else {}
    return {**plain, **numbers, "aliases": aliases, **asked, **sequence}


def _sparkplug_from(document: dict[str, Any]) -> Sparkplug:
    return Sparkplug(
        bd_seq=int(document["bd_seq"]) if "bd_seq" in document else None,
        born_at=int(document["born_at"]) if "born_at" in document else None,
        aliases={int(alias): name for alias, name in document["aliases"]},
        raised=tuple(document["raised"]),
        children=tuple(document["children"]),
        asked_at=document.get("asked_at"),
        sequence=_sequence_from(document["sequence"]) if "sequence" in document else None,
    )


def _sequence_from(document: dict[str, Any]) -> Sequence:
    return Sequence(next=document["next"], beyond=tuple(document["beyond"]), missing_since=document["missing_since"])


def _pending_to(pending: Pending) -> dict[str, Any]:
    written = {name: value for name in _PENDING if (value := getattr(pending, name)) is not None}
    return written | {"guarantee": pending.guarantee.value, "state": pending.state.value}


def _pending_from(document: dict[str, Any]) -> Pending:
    return Pending(
        guarantee=Guarantee(document["guarantee"]),
        state=CommandState(document["state"]),
        **{name: document[name] for name in _PENDING if name in document},
    )
