"""RA1 to RA8: what must hold of a session before any move, each with its own code."""

from collections.abc import Callable
from typing import Final

from services.remote_session.domain.consent import covering
from services.remote_session.domain.state import CaseFacts, Desk, Device, Held, is_live
from services.remote_session.domain.targets import is_allowed, still_serves
from shared.contracts.case import Actor
from shared.contracts.presence import Presence
from shared.contracts.session_words import SessionState
from shared.contracts.words import RefusalCode, Role

REQUESTERS: Final = frozenset({Role.AGENT, Role.TECHNICIAN})
REACHABLE: Final = frozenset({Presence.ONLINE, Presence.DEGRADED})
MESSAGES: Final = {
    RefusalCode.CASE_NOT_SHARED: "The owner of the machine takes no part in this case; share it first.",
    RefusalCode.CASE_NOT_OPEN: "The case has ended; reopen it first.",
    RefusalCode.CONSENT_MISSING: "The owner's consent does not cover this now.",
    RefusalCode.DEVICE_OFFLINE: "The device is not online.",
    RefusalCode.NOT_IN_SCOPE: "This case or its device is not this person's business.",
    RefusalCode.ENDPOINT_UNDEFINED: "The machine has no such endpoint of this kind.",
    RefusalCode.TARGET_DENIED: "The device itself lets nobody reach this target.",
}
Check = Callable[[Device, Held, Desk], RefusalCode | None]


def case_is_shared(device: Device, case: CaseFacts) -> bool:
    """RA1: the machine's owner takes part in the case, together with whoever works on it."""
    return case.shared and device.tenant_id in case.parties and case.device_id == device.device_id


def person_is_in_scope(actor: Actor, case: CaseFacts, device: Device, desk: Desk) -> bool:
    """RA5: an agent or technician of a tenant that takes part, whose roles and scopes their tenant still says so."""
    data = desk.tenant_of(actor.tenant_id)
    if actor.role not in REQUESTERS or actor.tenant_id not in case.parties:
        return False
    if data.has_users:
        user = data.user(actor.id)
        if user is None or not user.active or actor.role not in user.roles or not user.covers(device.device_id):
            return False
    return not data.settings.remote_access_by_assignee_only or actor.id in case.assignees


def is_reachable(device: Device) -> bool:
    """RA4: the device is online, if not as regularly as it should be."""
    return device.presence in REACHABLE


def _ra1(device: Device, held: Held, _desk: Desk) -> RefusalCode | None:
    return None if case_is_shared(device, held.case) else RefusalCode.CASE_NOT_SHARED


def _ra2(_device: Device, held: Held, _desk: Desk) -> RefusalCode | None:
    return None if held.case.open else RefusalCode.CASE_NOT_OPEN


def _ra3(device: Device, held: Held, desk: Desk) -> RefusalCode | None:
    waits = held.session.state in {SessionState.REQUESTED, SessionState.AWAITING_CONSENT}
    covered = waits or covering(device.consents, held.session, desk.now) is not None
    return None if covered else RefusalCode.CONSENT_MISSING


def _ra5(device: Device, held: Held, desk: Desk) -> RefusalCode | None:
    within = person_is_in_scope(held.session.by, held.case, device, desk)
    return None if within else RefusalCode.NOT_IN_SCOPE


def _ra6(device: Device, held: Held, _desk: Desk) -> RefusalCode | None:
    kind = held.session.kind
    there = all(still_serves(service, kind, device.endpoints) for service in held.session.services)
    return None if there else RefusalCode.ENDPOINT_UNDEFINED


def _ra7(device: Device, held: Held, _desk: Desk) -> RefusalCode | None:
    allowed = all(is_allowed(device.allowed, service) for service in held.session.services)
    return None if allowed else RefusalCode.TARGET_DENIED


#: In this order; RA4 is for offers alone, RA8 and RA9 for requests, RA10 is what `audit` does.
CHECKS: Final[tuple[Check, ...]] = (_ra1, _ra2, _ra5, _ra6, _ra7, _ra3)


def reason_against(device: Device, held: Held, desk: Desk) -> RefusalCode | None:
    """Return the code of the first rule that a session breaks; nothing if it may go on."""
    return next((code for check in CHECKS if (code := check(device, held, desk)) is not None), None)


def live_sessions(device: Device) -> tuple[Held, ...]:
    """Return the sessions that are, or may become, ways to the machine."""
    return tuple(held for held in device.sessions if is_live(held.session.state))
