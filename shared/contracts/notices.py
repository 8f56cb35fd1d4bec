"""Notifications: what may be asked for, and what became of each delivery."""

from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from shared.contracts import limits
from shared.contracts.fields import CaseId, Id, Instant, Model, TenantId, Text, Title, Word
from shared.contracts.words import NoticeChannel, NoticeTopic

REQUESTED: Final = "callout.notification.requested.v1"
REDRIVE: Final = "callout.notification.redrive.v1"
RESULTS: Final = ("sent", "deferred", "failed", "cancelled")
NAME_MAX: Final = 260

#: Whom it is for: a user of the tenant, an address, or a subscription of the tenant.
Recipient = Annotated[str, StringConstraints(pattern=r"^(user|mail|hook):\S(.*\S)?$", max_length=NAME_MAX)]


def result_type(name: str) -> str:
    """Return the type on the wire of what became of a delivery."""
    return f"callout.notification.{name}.v1"


class NoticeRequest(Model):
    """Tell somebody something, by the channels that they chose for its `topic`, or by these `channels` of theirs.

    A subscription (`hook:`) has one channel. Who is no user, address or subscription of the tenant is told nothing.
    """

    tenant_id: TenantId
    recipient: Recipient
    subject: Title
    text: Text
    topic: NoticeTopic = NoticeTopic.REQUEST
    channels: Annotated[tuple[NoticeChannel, ...], Field(max_length=5)] = ()
    case_id: CaseId | None = None
    number: Word | None = None


class Redrive(Model):
    """Send again what has failed for a recipient, all of it or one delivery, as if it were new."""

    tenant_id: TenantId
    recipient: Recipient
    delivery_id: Id | None = None


class NoticeResult(Model):
    """What became of a delivery: `sent`, `deferred` (it will be tried again at `due_at`), `failed`, `cancelled`.

    `repeats` counts the times it was sent again because it was not known whether it had arrived. One that went along
    with another in one message names that one in `folded_into`. Of the channel `in_app`, `notice` is what to show.
    """

    delivery_id: Id
    tenant_id: TenantId
    recipient: Annotated[str, StringConstraints(min_length=1, max_length=limits.ID_MAX + NAME_MAX)]
    channel: NoticeChannel
    topic: NoticeTopic
    event: Word
    at: Instant
    attempts: int
    repeats: int = 0
    case_id: CaseId | None = None
    number: Word | None = None
    due_at: Instant | None = None
    code: Word | None = None
    reason: Text | None = None
    folded_into: Id | None = None
    notice: dict[str, Any] | None = None
