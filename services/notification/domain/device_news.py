"""News of machines that come and go; of one that does so too often nothing, until it has calmed down. Pure."""

from datetime import datetime
from typing import Any, Final

from services.notification.domain.news import DEVICE, News
from shared.contracts.fields import rfc3339
from shared.contracts.presence import DevicePresence, Presence, PresenceCause
from shared.contracts.words import NoticeTopic

TOLD: Final = frozenset({Presence.ONLINE, Presence.OFFLINE})


def of_presence(change: DevicePresence, *, id_: str, at: datetime, body: bytes) -> News | None:
    """Return that a machine has gone or is back; nothing of one that is unstable, or late, or taken out of service.

    The change that says that it has calmed down tells where it stands then.
    """
    if change.unstable or change.status not in TOLD or change.cause is PresenceCause.DECOMMISSION:
        return None
    if change.previous is Presence.UNKNOWN and change.status is Presence.ONLINE:
        return None  # it is there for the first time
    facts: dict[str, Any] = {
        "device_id": change.device_id,
        "state": change.status.value,
        "cause": change.cause.value,
        "since": rfc3339(change.since),
    }
    return News(
        id=id_,
        tenant_id=change.tenant_id,
        event=f"{DEVICE}{change.status.value}",
        topic=NoticeTopic.MACHINE,
        at=at,
        seq=change.change,
        public=True,
        facts=facts,
        open_facts=True,
        to_operators=True,
        body=body,
    )
