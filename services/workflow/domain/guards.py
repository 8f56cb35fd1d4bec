"""Conditions beyond role and state that hold or fail before the arguments are looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from services.workflow.domain.case import Case, Refused
from services.workflow.domain.tenant import UNSET, Tenant
from shared.contracts.case import Actor, CaseState, Contact
from shared.contracts.words import Condition, RefusalCode, Role, Visibility


@dataclass(frozen=True, slots=True)
class Scene:
    """The case as it stands, who asks, and when; `state` is the case's own, known to be there."""

    case: Case
    state: CaseState
    actor: Actor
    at: datetime
    command_id: str = ""
    tenant: Tenant = UNSET


CUSTOMERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})
Guard = Callable[[Scene], Refused | None]
DESK: Final = frozenset({Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER})

NOT_OWN: Final = Refused(
    RefusalCode.FORBIDDEN,
    "Only the person who created the case, or a registered contact of it, may do this; ask the service desk instead.",
)
NOT_CLEARED: Final = Refused(
    RefusalCode.FORBIDDEN,
    "The system resolves a case only when its condition has cleared and no person has acted on it; let a person do it.",
)
NOT_ASSIGNED: Final = Refused(
    RefusalCode.FORBIDDEN, "A technician may take only themselves off a case; ask a dispatcher to change others."
)
NO_SIGNAL: Final = Refused(
    RefusalCode.INVALID_COMMAND, "No signal opened this case, so it counts none; create a case for the signal."
)
INTERNAL: Final = Refused(
    RefusalCode.FORBIDDEN, "The case is internal: there is nobody to ask. Share it first, or put it on hold."
)
SHARED: Final = Refused(RefusalCode.INVALID_TRANSITION, "The case is shared already, and with one tenant only.")
ESCALATED: Final = Refused(
    RefusalCode.ALREADY_ESCALATED, "The case is escalated already; add a note to say more about it."
)
NOT_TIED: Final = Refused(RefusalCode.INVALID_TRANSITION, "The case is tied to no other one.")
OUTDATED: Final = Refused(RefusalCode.NOT_FOUND, "The cases are not tied so any more.", ("attempt",))
NOT_MERGED: Final = Refused(RefusalCode.INVALID_TRANSITION, "The case was not merged into another one.")
NOT_ESCALATED: Final = Refused(RefusalCode.INVALID_TRANSITION, "The case is not escalated.")


def is_own(scene: Scene) -> Refused | None:
    """Refuse everybody but the creator of the case and its registered contacts."""
    creator, actor = scene.state.created_by, scene.actor
    own = creator.id == actor.id and creator.tenant_id == actor.tenant_id
    return None if own or any(_names(contact, actor) for contact in scene.state.contacts) else NOT_OWN


def is_settled_by_itself(scene: Scene) -> Refused | None:
    """Refuse unless the condition cleared before any person acted."""
    signal = scene.state.signal
    cleared = signal is not None and signal.condition is Condition.CLEARED
    return None if cleared and not scene.case.touched else NOT_CLEARED


def is_theirs_to_leave(scene: Scene) -> Refused | None:
    """Refuse who is not assigned while others are."""
    assignees = scene.state.assignees
    return None if not assignees or scene.actor.id in assignees else NOT_ASSIGNED


def has_signal(scene: Scene) -> Refused | None:
    """Refuse for a case that no signal opened."""
    return NO_SIGNAL if scene.state.signal is None else None


def is_in_reopen_window(scene: Scene) -> Refused | None:
    """Refuse after the last working day of the window after closing; the desk is let through if the tenant says so."""
    tenant = scene.tenant
    if tenant.settings.agents_bypass_reopen_window and scene.actor.role in DESK:
        return None
    days, calendar = tenant.settings.reopen_working_days, tenant.calendar
    closed_at = cast("datetime", scene.state.closed_at)  # every closed case has it
    if calendar.is_reopenable(closed_at, scene.at, days):
        return None
    return Refused(
        RefusalCode.REOPEN_WINDOW_EXPIRED,
        f"The case was closed more than {days} working days ago; create a new case and link it with this one.",
    )


def _names(contact: Contact, actor: Actor) -> bool:
    """Tell whether a contact is this customer; without a tenant, of whoever takes part."""
    customer = actor.role in CUSTOMERS and contact.tenant_id in {None, actor.tenant_id}
    return customer and contact.user == actor.id


def is_shared(scene: Scene) -> Refused | None:
    """Refuse while nobody but the owner takes part."""
    return None if scene.state.visibility is Visibility.SHARED else INTERNAL


def is_internal(scene: Scene) -> Refused | None:
    """Refuse once another tenant takes part."""
    return None if scene.state.visibility is Visibility.INTERNAL else SHARED


def is_calm(scene: Scene) -> Refused | None:
    """Refuse while the case is escalated."""
    return None if scene.state.escalation is None else ESCALATED


def is_merged(scene: Scene) -> Refused | None:
    """Refuse unless the case was merged into another one."""
    return NOT_MERGED if scene.case.ties.merged is None else None


def is_tied(scene: Scene) -> Refused | None:
    """Refuse unless the case asked another one to take it in."""
    ties = scene.case.ties
    return NOT_TIED if ties.merged is None and ties.parent_attempt is None else None


def is_escalated(scene: Scene) -> Refused | None:
    """Refuse unless the case is escalated."""
    return NOT_ESCALATED if scene.state.escalation is None else None
