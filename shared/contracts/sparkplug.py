"""What Sparkplug B edge nodes and devices say, as far as it says something of devices and faults."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shared.contracts.fields import DeviceId, Instant, Model, TenantId

METRICS: Final = "callout.device.metrics.v1"
NUMBER_END: Final = 2**64

Number = Annotated[int, Field(ge=0, lt=NUMBER_END)]
SEQ_MAX: Final = 255


class SparkplugKind(StrEnum):
    """The messages of Sparkplug B that are heard: of edge nodes (N) and of devices behind them (D)."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"


class Metric(Model):
    """One metric of a message; in data it may have its `alias` alone."""

    name: Annotated[str, Field(max_length=1024)] | None = None
    alias: Number | None = None
    value: (
        bool | Annotated[int, Field(ge=-(2**63), lt=NUMBER_END)] | float | Annotated[str, Field(max_length=4000)] | None
    ) = None
    timestamp: Number | None = None


class MetricsSeen(Model):
    """A Sparkplug message; of births only the metrics that a rule maps to faults.

    `node`: the edge node that the device is behind. `child`: it is about a device behind this edge node, told to the
    node as well: so that its death takes it along, and because the node numbers (`seq`) all messages together.
    """

    tenant_id: TenantId
    device_id: DeviceId
    kind: SparkplugKind = Field(strict=False)
    bd_seq: Number | None = None
    seq: Annotated[int, Field(ge=0, le=SEQ_MAX)] | None = None
    timestamp: Number | None = None
    metrics: tuple[Metric, ...] = Field((), strict=False)
    node: DeviceId | None = None
    child: DeviceId | None = None
    received_at: Instant | None = None
