"""Commands to devices: what they are asked to do, how far that has come, and what they say to it."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from shared.contracts.fields import DeviceId, Id, Instant, Model, TenantId
from shared.contracts.raw import Raw

ANSWERED: Final = "callout.device.answered.v1"
COMMANDED: Final = "callout.device.commanded.v1"
SENT: Final = "callout.device.sent.v1"
REPLY: Final = "callout.device.reply.v1"
DELIVERY: Final = "callout.device.delivery.v1"

TimeoutSeconds = Annotated[float, Field(ge=1, le=86_400)]


class CommandState(StrEnum):
    """How far a command to a device has come."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    EXPIRED = "expired"
    REFUSED = "refused"


class Guarantee(StrEnum):
    """How often a command may reach a device."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


class Answer(StrEnum):
    """What a device says of a command."""

    RECEIVED = "received"
    DONE = "done"
    FAILED = "failed"


GUARANTEES: Final[dict[str, Guarantee]] = {
    "ping": Guarantee.AT_LEAST_ONCE,
    "configure": Guarantee.AT_LEAST_ONCE,
    "maintenance": Guarantee.AT_LEAST_ONCE,
    "restart": Guarantee.AT_MOST_ONCE,
    "invoke": Guarantee.AT_MOST_ONCE,
}
"""The commands there are, and how often each may reach a device."""


def command_type(name: str) -> str:
    """Return the type on the wire of a command to a device."""
    return f"callout.device.{name}.v1"


NAMES: Final = {command_type(name): name for name in GUARANTEES}


class Answered(Model):
    """A device said what became of a command."""

    tenant_id: TenantId
    device_id: DeviceId
    id: Id
    outcome: Answer = Field(strict=False)
    result: Raw | None = None
    reason: Annotated[str, Field(max_length=1000)] | None = None
    received_at: Instant | None = None


class Sent(Model):
    """A command was given to the MQTT broker for the `attempt`-th time, or (`given` is false) it could not be."""

    tenant_id: TenantId
    device_id: DeviceId
    id: Id
    attempt: Annotated[int, Field(ge=1)]
    given: bool = True


class DeviceCommand(Model):
    """A command to a device; its id is the `ce_id` of the record.

    It waits until the device is online, at most until `expires_at` (a day, if not said). Once sent, the device has
    `timeout_s` to answer.
    """

    tenant_id: TenantId
    device_id: DeviceId
    arguments: Raw | None = None
    expires_at: Instant | None = None
    timeout_s: TimeoutSeconds = 30.0


class Commanded(Model):
    """A command on its way to the one who knows the device."""

    tenant_id: TenantId
    device_id: DeviceId
    id: Id
    command: Id
    arguments: Raw | None = None
    expires_at: Instant
    timeout_s: TimeoutSeconds


class Delivery(Model):
    """A command to be given to the MQTT broker, for the `attempt`-th time."""

    tenant_id: TenantId
    device_id: DeviceId
    id: Id
    command: Id
    arguments: Raw | None = None
    expires_at: Instant
    guarantee: Guarantee = Field(strict=False)
    attempt: Annotated[int, Field(ge=1)]


class DeviceReply(Model):
    """How far a command to a device has come: told once for each state that it reaches.

    `delivered` means that the device itself said so. `attempt` counts how often it was given to the MQTT broker.
    """

    tenant_id: TenantId
    device_id: DeviceId
    id: Id
    command: Id
    state: CommandState = Field(strict=False)
    at: Instant
    attempt: int = 0
    result: dict[str, Any] | None = None
    reason: str | None = None
