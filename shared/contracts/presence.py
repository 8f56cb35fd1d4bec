"""Whether devices are there: what was seen of them, the clock that looks at them, and each change."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shared.contracts.fields import DeviceId, Id, Instant, Model, TenantId

OBSERVED: Final = "callout.device.observed.v1"
WAKE: Final = "callout.device.wake.v1"
PRESENCE: Final = "callout.device.presence.v1"

INTERVAL_MIN_S: Final = 1.0
INTERVAL_MAX_S: Final = 86_400.0
EPOCH_MAX: Final = 2**63 - 1

Epoch = Annotated[int, Field(ge=0, le=EPOCH_MAX)]
Interval = Annotated[float, Field(ge=INTERVAL_MIN_S, le=INTERVAL_MAX_S)]


class ObservationKind(StrEnum):
    """What was seen of a device."""

    BIRTH = "birth"
    BEAT = "beat"
    LEAVE = "leave"
    WILL = "will"
    DECOMMISSION = "decommission"


class Presence(StrEnum):
    """Whether a device is there."""

    ONLINE = "online"
    DEGRADED = "degraded"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class PresenceCause(StrEnum):
    """Why a device is taken to be there, or not."""

    BIRTH = "birth"
    HEARTBEAT = "heartbeat"
    TIMEOUT = "timeout"
    WILL = "will"
    CLEAN = "clean"
    DECOMMISSION = "decommission"


class Observed(Model):
    """Something was seen of a device: what it said, or the broker said for it.

    `epoch` rises with each of its connections, `n` with each of its messages in one; `boot` is the same as long as the
    device runs without a break. `queued`: it had lain in a queue while nobody listened, so that its time says nothing.
    """

    tenant_id: TenantId
    device_id: DeviceId
    kind: ObservationKind = Field(strict=False)
    epoch: Epoch
    n: Annotated[int, Field(ge=0, le=EPOCH_MAX)] = 0
    interval_s: Interval | None = None
    boot: Epoch | None = None
    received_at: Instant | None = None
    adapter: Id | None = None
    queued: bool = False


class DeviceWake(Model):
    """It is time to look at a device again: a recorded tick of the clock, with proof of who listened meanwhile.

    Whatever any device had sent until `listened_until` lies before this record, and nothing was lost that was sent
    since `listening_since`.
    """

    tenant_id: TenantId
    device_id: DeviceId
    due_at: Instant
    listening_since: Instant
    listened_until: Instant


class Evidence(Model):
    """What a change of presence rests on: the message that showed it, or how long there was none."""

    kind: str
    n: int | None = None
    adapter: str | None = None
    received_at: Instant | None = None
    silent_s: float | None = None
    listening_since: Instant | None = None
    listened_until: Instant | None = None


class DevicePresence(Model):
    """Whether a device is there, told once for each change; `change` counts them from 1 without gaps.

    `detection_delay_s` is how long it took to know: since the message was received, or (`timeout`) since the last sign
    of life. `unstable`: it changed too often lately; who notifies people waits until that is over. `boot`, where the
    device tells it, stays the same over its connections until it starts anew.
    """

    tenant_id: TenantId
    device_id: DeviceId
    status: Presence = Field(strict=False)
    previous: Presence = Field(strict=False)
    epoch: Epoch
    boot: Epoch | None = None
    change: Annotated[int, Field(ge=1)]
    since: Instant
    last_seen: Instant | None = None
    cause: PresenceCause = Field(strict=False)
    interval_s: float | None = None
    unstable: bool = False
    detection_delay_s: float
    evidence: Evidence
    at: Instant
