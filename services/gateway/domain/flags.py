"""What somebody can do with a case, in four words, as far as its state tells. Pure.

The reopening window is reckoned without the tenant's calendar (Monday to Friday, UTC); the outcome of a command, which
workflow decides, has them exactly.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.gateway.domain.access import CUSTOMERS, PEOPLE, Identity
from shared.contracts.words import Role, State

UNRESOLVED: Final = frozenset({State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED})
OPEN: Final = UNRESOLVED | {State.RESOLVED}
REOPEN_WORKING_DAYS: Final = 14
SATURDAY: Final = 5


def flags_of(state: Mapping[str, Any], who: Identity, now: datetime) -> dict[str, bool]:
    """Return the four flags of a case for somebody."""
    at, person = State(state["state"]), who.role in PEOPLE
    live = state.get("deleted_at") is None
    in_window = at is State.CLOSED and is_in_window(state.get("closed_at"), now)
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


def is_in_window(closed_at: str | None, now: datetime) -> bool:
    """Tell whether a case that was closed then may still be reopened."""
    if closed_at is None:
        return False
    day, left = datetime.fromisoformat(closed_at).astimezone(UTC).date(), REOPEN_WORKING_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < SATURDAY
    return now.astimezone(UTC).date() <= day
