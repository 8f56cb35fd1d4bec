"""What a tenant has set, as of now."""

from datetime import UTC, datetime
from typing import Final

from services.gateway.domain.access import Identity
from services.gateway.domain.flags import flags_of
from services.gateway.domain.meeting import video_url_of
from services.gateway.domain.view import CaseView
from services.gateway.http.doors import Doors
from shared.contracts.tenant_data import TenantData

#: Whatever was heard counts, also where the broker's clock runs ahead of ours.
NEWEST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def tenant_of(doors: Doors, who: Identity) -> TenantData:
    """Return what the tenant of somebody has set."""
    return doors.tenants.of(who.tenant_id, NEWEST)


def video_for(doors: Doors, view: CaseView) -> dict[str, str]:
    """Return where people meet by video, if the case's owner has set that."""
    url = video_url_of(view.state, doors.tenants.of(view.state["tenant_id"], NEWEST))
    return {} if url is None else {"video_url": url}


def flags_for(doors: Doors, who: Identity, view: CaseView) -> dict[str, bool]:
    """Return what somebody can do with a case, by the calendar of its owner."""
    owner = doors.tenants.of(view.state["tenant_id"], NEWEST)
    return flags_of(view.state, who, doors.now(), owner)
