"""What remote sessions tell: events, an outcome of each command of people, and audit records."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from services.remote_session.domain.state import Device, Event, Result
from shared.auditing import audit_message
from shared.contracts.catalogue import CASE_OUTCOMES, SESSION_EVENTS
from shared.contracts.envelope import Incoming, Message, encode, message
from shared.contracts.events import OUTCOME, Cause
from shared.contracts.ids import derived_id
from shared.contracts.ops import Audit, Thing, Who
from shared.contracts.session_commands import session_command_name
from shared.contracts.sessions import SessionEvent, Terminal, Transfer, event_type
from shared.contracts.words import Role

SOURCE: Final = "/callout/remote_session"
MACHINES: Final = frozenset({Role.SYSTEM, Role.DEVICE})
#: Too many, and told as events: what went through a session is in the record of its end.
UNAUDITED: Final = frozenset({"progressed"})


_TRANSFER: Final = TypeAdapter(Transfer)
_TERMINAL: Final = TypeAdapter(Terminal)


def key_of(device: Device) -> str:
    """Return the key of a device."""
    return f"{device.tenant_id}/{device.device_id}"


def event_messages(events: Sequence[Event], device: Device, incoming: Incoming) -> list[Message]:
    """Return the events of one decision."""
    cause = Cause(incoming.id, incoming.type, incoming.topic, incoming.partition, incoming.offset)
    return [_event_message(event, device, cause, incoming) for event in events]


def _event_message(event: Event, device: Device, cause: Cause, incoming: Incoming) -> Message:
    defined = event.device
    body = SessionEvent(
        tenant_id=device.tenant_id,
        device_id=device.device_id,
        case_id=event.case_id,
        session_id=event.session.id if event.session else None,
        seq=event.seq,
        at=event.at,
        actor=event.actor,
        cause=cause,
        change=event.change,
        session=event.session,
        consent=event.consent,
        transfer=event.transfer,
        terminal=event.terminal,
        endpoints=defined.endpoints if defined else None,
        allowed=defined.allowed if defined else None,
    )
    return message(
        SESSION_EVENTS,
        type_=event_type(event.name),
        id_=derived_id("session-event", key_of(device), event.seq, incoming.place),
        source=SOURCE,
        time=event.at,
        value=body.model_dump_json(exclude_none=True).encode(),
        key=key_of(device),
        tenant=device.tenant_id,
        subject=body.session_id or event.case_id,
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )


def outcome_message(result: Result, incoming: Incoming) -> Message | None:
    """Return what became of a command of people; of one about no case, `case_id` is empty."""
    command = incoming.data
    if result.silent or command.actor.role in MACHINES:
        return None
    accepted = result.code is None
    body: dict[str, Any] = {
        "command_id": incoming.id,
        "case_id": getattr(command, "case_id", ""),
        "accepted": accepted,
        "allowed": (),
        "session_id": result.session_id,
        "seq": result.seq if accepted else None,
        "code": result.code,
        "message": result.message or None,
    }
    return told_outcome(body, incoming.place, incoming.now, command.tenant_id, incoming.traceparent)


def told_outcome(
    body: dict[str, Any], place: str, now: datetime, tenant_id: str | None, traceparent: str | None = None
) -> Message:
    """Return an outcome of the command at a place."""
    return message(
        CASE_OUTCOMES,
        type_=OUTCOME,
        id_=derived_id("session-outcome", body["command_id"], place),
        source=SOURCE,
        time=now,
        value=encode({name: value for name, value in body.items() if value is not None}),
        key=body["command_id"],
        tenant=tenant_id,
        subject=body["case_id"],
        cause_id=body["command_id"],
        traceparent=traceparent,
    )


def audited(result: Result, device: Device, incoming: Incoming) -> tuple[Device, list[Message]]:
    """Return audit records of what was done and of what was refused, and the device with the end of their chain.

    A refusal follows the last record of the chain and is not part of it, for it changes nothing.
    """
    messages: list[Message] = []
    for event in result.events:
        ended = event.session is not None and event.session.ended_at is not None
        if event.name not in UNAUDITED or ended:  # of one that has ended: the last word on what went through it
            audit = _of_event(event, device, incoming, device.audited + 1)
            told, digest = _told(audit, f"{event.seq}", device, incoming)
            device = replace(device, audited=device.audited + 1, audit_hash=digest)
            messages.append(told)
    if result.code is not None:
        messages.append(_told(_of_refusal(result, device, incoming), "refused", device, incoming)[0])
    return device, messages


def _told(audit: Audit, part: str, device: Device, incoming: Incoming) -> tuple[Message, str]:
    return audit_message(
        audit,
        id_=derived_id("session-audit", incoming.place, part),
        source=SOURCE,
        previous=device.audit_hash,
        time=incoming.now,
        traceparent=incoming.traceparent,
    )


def _of_event(event: Event, device: Device, incoming: Incoming, n: int) -> Audit:
    session = event.session
    details: dict[str, Any] = {"case_id": event.case_id, "change": event.change}
    if session is not None:
        details |= {
            "targets": [_target(service) for service in session.services],
            "requested_by": f"{session.by.tenant_id}/{session.by.id}",
            "bytes_in": session.bytes_in,
            "bytes_out": session.bytes_out,
            "active_seconds": session.active_seconds,
        }
        if event.transfer is not None:
            details["transfer"] = _TRANSFER.dump_python(event.transfer, mode="json", exclude_none=True)
        if event.terminal is not None:
            details["terminal"] = _TERMINAL.dump_python(event.terminal, mode="json", exclude_none=True)
    elif event.consent is not None:
        details["scope"] = event.consent.scope.model_dump(mode="json", exclude_none=True)
    kind, id_ = ("session", session.id) if session else ("device", key_of(device))
    return Audit(
        at=event.at,
        actor=Who(id=event.actor.id, role=event.actor.role.value, tenant_id=event.actor.tenant_id),
        action=f"session.{event.name}",
        object=Thing(kind=kind, id=id_),
        tenant_id=device.tenant_id,
        result="done",
        reason=session.end_reason if session else None,
        correlation_id=incoming.id,
        chain=f"session:{key_of(device)}",
        n=n,
        details={name: value for name, value in details.items() if value is not None},
    )


def _of_refusal(result: Result, device: Device, incoming: Incoming) -> Audit:
    command = incoming.data
    session_id = getattr(command, "session_id", None)
    kind, id_ = ("session", session_id) if session_id else ("device", key_of(device))
    details = {"case_id": getattr(command, "case_id", None)}
    return Audit(
        at=incoming.now,
        actor=Who(id=command.actor.id, role=command.actor.role.value, tenant_id=command.actor.tenant_id),
        action=f"session.{session_command_name(incoming.type)}",
        object=Thing(kind=kind, id=id_),
        tenant_id=device.tenant_id,
        result="refused",
        code=result.code.value if result.code else None,
        reason=result.message,
        correlation_id=incoming.id,
        chain=f"session:{key_of(device)}",
        details={name: value for name, value in details.items() if value is not None},
    )


def _target(service: Any) -> str:  # noqa: ANN401 - a service of a session
    if service.host is None and service.root is None:
        return str(service.endpoint)
    return f"{service.endpoint}={service.root or f'{service.host}:{service.port}'}"
