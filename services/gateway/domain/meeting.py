"""Where people of a case meet by video: an address at a provider that the case's owner has set. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from services.gateway.domain.flags import OPEN
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import State

ROOM: Final = "{room}"
NAME_LENGTH: Final = 24


def video_url_of(state: Mapping[str, Any], owner: TenantData) -> str | None:
    """Return where the people of an open case meet: the same for all of them, and for nobody to guess."""
    template = owner.settings.video_url
    if template is None or State(state["state"]) not in OPEN or state.get("deleted_at") is not None:
        return None
    # The id of a case is told to those who may read it alone; its digest gives nothing away to the provider.
    name = hashlib.sha256(f"callout-video|{state['id']}".encode()).hexdigest()[:NAME_LENGTH]
    return template.replace(ROOM, f"callout-{name}")
