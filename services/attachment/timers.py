"""Attachment's clock: the files that nobody put into a case for too long, and the wake that is sent to them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from services.attachment.handlers import command_message, system
from shared.contracts.attachments import Wake
from shared.contracts.envelope import Message
from shared.contracts.fields import rfc3339, utc_milliseconds
from shared.contracts.ids import derived_id
from shared.timers import Due


def wake(found: Mapping[str, Any], now: datetime) -> Message:
    """Return the wake of a file; one that is sent twice finds nothing left to do."""
    file_id, tenant_id, due_at = found["_id"], found["tenant_id"], utc_milliseconds(found["expires_at"])
    body = Wake(attachment_id=file_id, tenant_id=tenant_id, actor=system(tenant_id), due_at=due_at)
    id_ = derived_id("wake", file_id, rfc3339(due_at), rfc3339(utc_milliseconds(now)))
    return command_message("wake", body, id_=id_, time=utc_milliseconds(now))


FILES_DUE: Final = Due(
    conditions=lambda now: {"expires_at": {"$lte": now}}, sort="expires_at", fields=("tenant_id",), wake=wake
)
