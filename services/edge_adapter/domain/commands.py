"""Commands to a device: they wait until it is there, and end by its word or by time. Pure.

A command that may reach the device once at most is handed on once, whatever happens then. One that must reach it is
handed on again in each new epoch, and when no answer came in time, until it is answered or has expired.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from services.edge_adapter.domain.device import Device, Due, Pending, seconds
from shared.contracts.device_commands import GUARANTEES, Answer, Answered, Commanded, CommandState, Guarantee, Sent
from shared.contracts.fields import rfc3339

PENDING_MAX: Final = 32
RECENT_MAX: Final = 64
ATTEMPTS_MAX: Final = 5
WAY: Final = (CommandState.QUEUED, CommandState.SENT, CommandState.DELIVERED)
FINAL: Final = {Answer.DONE: CommandState.DONE, Answer.FAILED: CommandState.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The device after a step, and the bodies of replies and of deliveries to make."""

    device: Device
    replies: tuple[dict[str, Any], ...] = ()
    deliveries: tuple[dict[str, Any], ...] = ()

    def then(self, step: "Told") -> "Told":
        """Return both steps as one."""
        return Told(
            device=step.device, replies=self.replies + step.replies, deliveries=self.deliveries + step.deliveries
        )


def on_command(device: Device, command: Commanded, now: datetime) -> Told:
    """Queue a command, and hand it on at once to a device that is there."""
    if command.id in device.recent:
        return Told(device=device)
    device = replace(device, recent=(*device.recent, command.id)[-RECENT_MAX:])
    pending = Pending(
        id=command.id,
        command=command.command,
        guarantee=GUARANTEES.get(command.command, Guarantee.AT_MOST_ONCE),
        expires_at=command.expires_at,
        timeout_s=command.timeout_s,
        arguments=dict(command.arguments) if command.arguments is not None else None,
    )
    refusal = _refusal(device, pending, now)
    if refusal is not None:
        state, reason = refusal
        return Told(device=device, replies=(_reply(device, replace(pending, state=state), now, reason=reason),))
    queued = Told(device=replace(device, pending=(*device.pending, pending)), replies=(_reply(device, pending, now),))
    return queued.then(hand_on(queued.device, now))


def on_sent(device: Device, sent: Sent, now: datetime) -> Told:
    """Note that a command was given to the broker; or that it was not, so that it waits for the next occasion."""
    pending = _find(device, sent.id)
    if pending is None or sent.attempt != pending.attempt:
        return Told(device=device)
    if not sent.given:
        return Told(device=_with(device, replace(pending, given_in=None)))
    deadline = now + seconds(pending.timeout_s)
    if pending.state is not CommandState.QUEUED:
        return Told(device=_with(device, replace(pending, deadline=deadline)))
    after = replace(pending, state=CommandState.SENT, deadline=deadline)
    return Told(device=_with(device, after), replies=(_reply(device, after, now),))


def on_answer(device: Device, answer: Answered, now: datetime) -> Told:
    """Take the device's own word; after the last one a command is forgotten."""
    pending = _find(device, answer.id)
    if pending is None:
        return Told(device=device)
    # An answer may overtake what the broker says of the delivery, and one answer another: they show what was before.
    passed = [replace(pending, state=state) for state in WAY[WAY.index(pending.state) + 1 :]]
    replies = [_reply(device, each, now) for each in passed]
    if answer.outcome in FINAL:
        after = replace(pending, state=FINAL[answer.outcome])
        replies.append(_reply(device, after, now, reason=answer.reason, result=answer.result))
        return Told(device=_without(device, {pending.id}), replies=tuple(replies))
    return Told(device=_with(device, passed[-1] if passed else pending), replies=tuple(replies))


def hand_on(device: Device, now: datetime) -> Told:
    """Hand on what waits for the device, if it is there: what never was, and what must reach its new epoch."""
    if not device.alive:
        return Told(device=device)
    ready = [each for each in device.pending if _ready(each, device.epoch) and each.expires_at > now]
    given = [replace(each, attempt=each.attempt + 1, given_in=device.epoch, deadline=None) for each in ready]
    for each in given:
        device = _with(device, each)
    return Told(device=device, deliveries=tuple(_delivery(device, each) for each in given))


def on_time(device: Device, listened_until: datetime, now: datetime) -> Told:
    """End what has run out of time; every answer that was in time had been heard by `listened_until`."""
    over = [each for each in device.pending if each.expires_at <= listened_until]
    late = [each for each in device.pending if each not in over and each.due_at <= listened_until]
    lost = [each for each in late if each.guarantee is Guarantee.AT_MOST_ONCE or each.attempt >= ATTEMPTS_MAX]
    again = [each for each in late if each not in lost]
    ended = [_ended(each) for each in over] + [replace(each, state=CommandState.TIMED_OUT) for each in lost]
    replies = tuple(_reply(device, each, now, reason=_why(each)) for each in ended)
    device = _without(device, {each.id for each in ended})
    for each in again:  # to be handed on at the next occasion, which a device that is there has at once
        device = _with(device, replace(each, given_in=None, deadline=None))
    return Told(device=device, replies=replies).then(hand_on(device, now))


def due(device: Device) -> Due | None:
    """Return when the next command runs out of time."""
    at = min((each.due_at for each in device.pending), default=None)
    return None if at is None else Due(at, 0.0)


def _refusal(device: Device, pending: Pending, now: datetime) -> tuple[CommandState, str] | None:
    if pending.expires_at <= now:
        return CommandState.EXPIRED, "it had expired when it came"
    if device.decommissioned:
        return CommandState.REFUSED, "the device is decommissioned"
    if len(device.pending) >= PENDING_MAX:
        return CommandState.REFUSED, f"{PENDING_MAX} commands wait for the device already"
    return None


def _ready(pending: Pending, epoch: int) -> bool:
    if pending.given_in is None:
        return True
    return pending.guarantee is Guarantee.AT_LEAST_ONCE and pending.given_in != epoch


def _ended(pending: Pending) -> Pending:
    reached = pending.state in {CommandState.SENT, CommandState.DELIVERED}
    return replace(pending, state=CommandState.TIMED_OUT if reached else CommandState.EXPIRED)


def _why(pending: Pending) -> str:
    if pending.state is CommandState.TIMED_OUT:
        return "the device did not answer in time"
    return "it was never sent" if pending.attempt == 0 else "it is not known whether it was sent"


def _find(device: Device, id_: str) -> Pending | None:
    return next((each for each in device.pending if each.id == id_), None)


def _with(device: Device, pending: Pending) -> Device:
    return replace(device, pending=tuple(pending if each.id == pending.id else each for each in device.pending))


def _without(device: Device, ids: Iterable[str]) -> Device:
    gone = set(ids)
    return replace(device, pending=tuple(each for each in device.pending if each.id not in gone))


def _reply(
    device: Device,
    pending: Pending,
    now: datetime,
    *,
    reason: str | None = None,
    result: dict[str, Any] | None = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "id": pending.id,
        "command": pending.command,
        "state": pending.state.value,
        "at": rfc3339(now),
        "attempt": pending.attempt,
    }
    if result is not None:
        body["result"] = result
    if reason is not None:
        body["reason"] = reason
    return body


def _delivery(device: Device, pending: Pending) -> dict[str, Any]:
    body: dict[str, Any] = {
        "tenant_id": device.tenant_id,
        "device_id": device.device_id,
        "id": pending.id,
        "command": pending.command,
        "expires_at": rfc3339(pending.expires_at),
        "guarantee": pending.guarantee.value,
        "attempt": pending.attempt,
    }
    if pending.arguments is not None:
        body["arguments"] = pending.arguments
    return body
