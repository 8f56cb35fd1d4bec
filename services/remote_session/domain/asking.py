"""What technicians ask for: a session, its pause, its end."""

from dataclasses import replace
from datetime import timedelta

from services.remote_session.domain.answers import NO_CASE, NO_SESSION, NOT_REQUESTER, Refused
from services.remote_session.domain.consent import covering
from services.remote_session.domain.course import Course
from services.remote_session.domain.eligibility import (
    MESSAGES,
    case_is_shared,
    is_reachable,
    live_sessions,
    person_is_in_scope,
    reason_against,
)
from services.remote_session.domain.moves import leads
from services.remote_session.domain.state import SERVICES_MAX, SESSIONS_MAX, CaseFacts, Held, is_live
from services.remote_session.domain.targets import fault_of, is_allowed, service_of
from shared.contracts.ids import derived_id
from shared.contracts.session_commands import (
    ActivateSession,
    CloseSession,
    DeactivateSession,
    OfSession,
    RequestSession,
)
from shared.contracts.session_words import EndReason, SessionKind, SessionState
from shared.contracts.sessions import RemoteSession, SessionService
from shared.contracts.words import RefusalCode, Role


def request(course: Course, command: RequestSession) -> str | Refused:
    """Ask for a session: it waits for consent, or is offered to the device at once."""
    case = course.desk.case
    if case is None or command.actor.tenant_id not in case.parties or case.device_id != command.device_id:
        return NO_CASE
    refused = _of_case(course, command, case)
    services = refused or _services(course, command)
    if isinstance(services, Refused):
        return services
    if len(live_sessions(course.device)) >= SESSIONS_MAX:
        text = f"The device has {SESSIONS_MAX} sessions already; close one first."
        return Refused(RefusalCode.SESSION_LIMIT, text)
    if not is_reachable(course.device):
        return _refused(RefusalCode.DEVICE_OFFLINE)
    held = _begun(course, command, case, services)
    if covering(course.device.consents, held.session, course.desk.now) is None:
        course.move(held, "await")
    else:
        course.tell("requested", {"state": SessionState.REQUESTED.value}, held=held)
        course.offer(held)
    return held.session.id


def activate(course: Course, command: ActivateSession) -> str | Refused:
    """Offer an inactive session to the device again, under the same lease."""
    held = own_session(course, command)
    if isinstance(held, Refused):
        return held
    if not leads("activate", held.session.state):
        return _out_of_turn(held)
    held = _as_known_now(course, held)
    reason = reason_against(course.device, held, course.desk)
    if reason is not None:
        course.revoke(held, reason.value)
        return _refused(reason)
    if not is_reachable(course.device):
        return _refused(RefusalCode.DEVICE_OFFLINE)
    course.offer(replace(held, token_hash=command.token_hash), "activate")
    return held.session.id


def deactivate(course: Course, command: DeactivateSession) -> str | Refused:
    """Take the ways of a session down; its lease goes on."""
    held = own_session(course, command)
    if isinstance(held, Refused):
        return held
    if not leads("deactivate", held.session.state):
        return _out_of_turn(held)
    course.move(replace(held, token_hash=None), "deactivate", source=False, destination=False)
    return held.session.id


def close(course: Course, command: CloseSession) -> str | Refused:
    """End a session: who asked for it, the owner of the machine, or a dispatcher of either."""
    held = course.device.find(command.session_id)
    actor = command.actor
    if held is None or held.session.case_id != command.case_id:
        return NO_SESSION
    owner = course.device.tenant_id
    if actor.tenant_id not in {owner, held.session.by.tenant_id}:
        return NO_SESSION
    mine = (actor.id, actor.tenant_id) == (held.session.by.id, held.session.by.tenant_id)
    plug = actor.role is Role.DISPATCHER or (actor.role is Role.OPERATOR and actor.tenant_id == owner)
    if not mine and not plug:
        return NOT_REQUESTER
    if not is_live(held.session.state):
        return _out_of_turn(held)
    course.move(held, "close", end_reason=EndReason.CLOSED_BY_USER.value)
    return held.session.id


def _of_case(course: Course, command: RequestSession, case: CaseFacts) -> Refused | None:
    if not case_is_shared(course.device, case):
        return _refused(RefusalCode.CASE_NOT_SHARED)
    if not case.open:
        return _refused(RefusalCode.CASE_NOT_OPEN)
    if not person_is_in_scope(command.actor, case, course.device, course.desk):
        return _refused(RefusalCode.NOT_IN_SCOPE)
    return None


def _services(course: Course, command: RequestSession) -> tuple[SessionService, ...] | Refused:
    """Return the services that are asked for (RA6, RA9, RA7, RA8)."""
    if len(command.services) > SERVICES_MAX:
        return Refused(RefusalCode.SESSION_LIMIT, f"A session has at most {SERVICES_MAX} services.")
    if command.kind is SessionKind.TERMINAL and len(command.services) > 1:
        return Refused(RefusalCode.SESSION_LIMIT, "A session for a terminal has one service.")
    endpoints = {each.name: each for each in course.device.endpoints if each.kind is command.kind}
    services: list[SessionService] = []
    for place, wanted in enumerate(command.services):
        endpoint = endpoints.get(wanted.endpoint)
        if endpoint is None:
            text = f"The machine has no {command.kind} endpoint `{wanted.endpoint}`."
            return Refused(RefusalCode.ENDPOINT_UNDEFINED, text)
        fault = fault_of(wanted, command.kind, endpoint)
        if fault is not None:
            return Refused(RefusalCode.OVERRIDE_INVALID, f"services.{place}.{fault}.")
        service = service_of(wanted, endpoint)
        if not is_allowed(course.device.allowed, service):
            return _refused(RefusalCode.TARGET_DENIED)
        services.append(service)
    return tuple(services)


def _begun(course: Course, command: RequestSession, case: CaseFacts, services: tuple[SessionService, ...]) -> Held:
    now = course.desk.now
    session = RemoteSession(
        id=derived_id("session", course.device.tenant_id, course.device.device_id, course.desk.cause_id),
        case_id=case.id,
        tenant_id=course.device.tenant_id,
        device_id=course.device.device_id,
        kind=command.kind,
        state=SessionState.REQUESTED,
        by=command.actor,
        services=services,
        public_key=command.public_key,
        reason=command.reason,
        requested_at=now,
        since=now,
        expires_at=now + timedelta(minutes=command.lifetime_minutes),
    )
    held = Held(session=session, case=case, token_hash=command.token_hash)
    course.device = course.device.put(held)
    return held


def own_session(course: Course, command: OfSession) -> Held | Refused:
    """Return the session that a command is about, if it is the asker's own."""
    held = course.device.find(command.session_id)
    actor = command.actor
    if held is None or held.session.case_id != command.case_id:
        return NO_SESSION
    if actor.tenant_id not in {held.session.tenant_id, held.session.by.tenant_id}:
        return NO_SESSION
    mine = (actor.id, actor.tenant_id) == (held.session.by.id, held.session.by.tenant_id)
    return held if mine else NOT_REQUESTER


def _as_known_now(course: Course, held: Held) -> Held:
    """Return a session with the newest that is known of its case."""
    case = course.desk.case
    return held if case is None or case.seq < held.case.seq else replace(held, case=case)


def _out_of_turn(held: Held) -> Refused:
    return Refused(RefusalCode.INVALID_TRANSITION, f"The session is {held.session.state}.")


def _refused(code: RefusalCode) -> Refused:
    return Refused(code, MESSAGES[code])
