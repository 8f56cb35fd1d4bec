"""What somebody can do with a case, in four words, as its state and its owner's settings tell. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from services.gateway.domain.access import CUSTOMERS, DESK, PEOPLE, Identity
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role, State

UNRESOLVED: Final = frozenset({State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED})
OPEN: Final = UNRESOLVED | {State.RESOLVED}


def flags_of(state: Mapping[str, Any], who: Identity, now: datetime, owner: TenantData) -> dict[str, bool]:
    """Return the four flags of a case for somebody; `owner` is what the case's tenant has set."""
    at, person = State(state["state"]), who.role in PEOPLE
    live = state.get("deleted_at") is None
    in_window = at is State.CLOSED and is_in_window(state.get("closed_at"), who, now, owner)
    own = who.role not in CUSTOMERS or is_own(state, who)
    return {
        "modifiable": live and person and (at in OPEN or in_window),
        "cancellable": live and person and at in UNRESOLVED and own and who.role is not Role.TECHNICIAN,
        "reopen": live and person and in_window and own,
        "respond": live and at is State.ACTION_REQUIRED,
    }


def is_own(state: Mapping[str, Any], who: Identity) -> bool:
    """Tell whether somebody created a case or is a registered contact of it."""
    creator: Mapping[str, Any] = state.get("created_by") or {}
    if (creator.get("id"), creator.get("tenant_id")) == (who.user_id, who.tenant_id):
        return True
    contacts = state.get("contacts") or ()
    return any(
        contact.get("user") == who.user_id and contact.get("tenant_id") in {None, who.tenant_id} for contact in contacts
    )


def is_in_window(closed_at: str | None, who: Identity, now: datetime, owner: TenantData) -> bool:
    """Tell whether a case that was closed then may still be reopened, by the owner's calendar."""
    if closed_at is None:
        return False
    settings = owner.settings
    if settings.agents_bypass_reopen_window and who.role in DESK:
        return True
    return owner.working_days.is_reopenable(datetime.fromisoformat(closed_at), now, settings.reopen_working_days)
