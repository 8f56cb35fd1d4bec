"""A delivery: one message to one recipient by one channel, from the decision to its end."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shared.contracts.words import NoticeChannel, NoticeTopic

#: Where each delivery of a recipient is sent one batch at a time, at its own pace.
LANE: Final = "{tenant_id}|{channel}|{recipient}"


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is to be sent, and how far it came; `id` follows from what caused it, so it is decided once.

    `owner_id` is the tenant whose case it is about.
    `fold`: waiting deliveries of a lane with the same word go along in one message. `began` names the round that
    began to send it: found again in state waiting, it may have arrived already.
    """

    id: str
    tenant_id: str
    recipient: str
    channel: NoticeChannel
    topic: NoticeTopic
    event: str
    created_at: datetime
    due_at: datetime
    case_id: str | None = None
    owner_id: str | None = None
    number: str | None = None
    seq: int = 0
    fold: str = ""
    on_call: bool = False
    public: bool = False
    notice: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    repeats: int = 0
    began: str = ""
    code: str | None = None
    reason: str | None = None
    folded_into: str | None = None
    done_at: datetime | None = None

    @property
    def lane(self) -> str:
        """The lane that it goes by."""
        return LANE.format(tenant_id=self.tenant_id, channel=self.channel.value, recipient=self.recipient)
