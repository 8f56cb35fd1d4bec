"""What the owner of a machine says: which endpoints it has, who may reach them, and that it is over."""

from dataclasses import replace
from datetime import datetime

from services.remote_session.domain.answers import NO_CASE, NO_CONSENT, NO_SESSION, NOT_OWNER, Refused
from services.remote_session.domain.consent import covers
from services.remote_session.domain.course import Course
from services.remote_session.domain.eligibility import MESSAGES, case_is_shared
from services.remote_session.domain.moves import leads
from shared.contracts.ids import derived_id
from shared.contracts.session_commands import (
    DefineEndpoints,
    GrantConsent,
    RefuseConsent,
    SessionCommand,
    WithdrawConsent,
)
from shared.contracts.session_words import EndReason
from shared.contracts.sessions import CONSENTS_MAX, Consent
from shared.contracts.words import RefusalCode, Role


def grant(course: Course, command: GrantConsent) -> str | Refused | None:
    """Consent; sessions that wait for it are offered to the device."""
    refused = _not_theirs(course, command) or _not_now(course, command)
    if refused is not None:
        return refused
    consent = Consent(
        id=derived_id("consent", course.device.tenant_id, course.device.device_id, course.desk.cause_id),
        case_id=command.case_id,
        session_id=command.session_id,
        scope=command.scope,
        by=command.actor,
        at=course.desk.now,
        signature=command.signature,
    )
    if command.session_id is not None:
        held = course.device.find(command.session_id)
        if held is None or held.session.case_id != command.case_id:
            return NO_SESSION
        if not leads("refuse", held.session.state):
            return Refused(RefusalCode.INVALID_TRANSITION, f"The session is {held.session.state}.")
        if not covers(consent, held.session, course.desk.now):
            return Refused(RefusalCode.CONSENT_MISSING, "The scope does not cover what the session asks for.")
    kept = tuple(each for each in course.device.consents if not _is_over(each, course.desk.now))
    if len(kept) >= CONSENTS_MAX:
        return Refused(RefusalCode.LIMIT_EXCEEDED, f"The device has {CONSENTS_MAX} consents; withdraw some first.")
    course.device = replace(course.device, consents=(*kept, consent))
    course.tell("granted", {"consent_id": consent.id}, consent=consent)
    course.review(command.case_id)
    return command.session_id


def refuse(course: Course, command: RefuseConsent) -> str | Refused:
    """Refuse consent to a session that waits for it."""
    refused = _not_theirs(course, command)
    if refused is not None:
        return refused
    held = course.device.find(command.session_id)
    if held is None or held.session.case_id != command.case_id:
        return NO_SESSION
    if not leads("refuse", held.session.state):
        return Refused(RefusalCode.INVALID_TRANSITION, f"The session is {held.session.state}.")
    course.move(held, "refuse", end_reason=EndReason.REFUSED_BY_OWNER.value)
    return held.session.id


def withdraw(course: Course, command: WithdrawConsent) -> Refused | None:
    """Take consent back; what rested on it, and on nothing else, is cut off."""
    refused = _not_theirs(course, command)
    if refused is not None:
        return refused
    taken = [
        consent
        for consent in course.device.consents
        if consent.case_id == command.case_id and command.consent_id in {None, consent.id}
    ]
    if not taken:
        return NO_CONSENT
    take_back(course, taken)
    course.review(command.case_id)
    return None


def take_back(course: Course, taken: list[Consent]) -> None:
    """Forget consents, and tell it."""
    for consent in taken:
        course.device = replace(course.device, consents=tuple(c for c in course.device.consents if c.id != consent.id))
        course.tell("withdrawn", {"consent_id": consent.id}, consent=consent)


def define(course: Course, command: DefineEndpoints) -> Refused | None:
    """Say which endpoints a machine has; sessions to what is no more are cut off."""
    actor, device = command.actor, course.device
    if actor.role is not Role.SYSTEM and actor.tenant_id != device.tenant_id:
        return NOT_OWNER
    course.device = replace(device, defined=command.endpoints, allowed=command.allowed)
    course.defined(device)
    return None


def _not_theirs(course: Course, command: SessionCommand) -> Refused | None:
    return None if command.actor.tenant_id == course.device.tenant_id else NOT_OWNER


def _not_now(course: Course, command: GrantConsent) -> Refused | None:
    case = course.desk.case
    if case is None or command.actor.tenant_id not in case.parties or case.device_id != course.device.device_id:
        return NO_CASE
    if not case_is_shared(course.device, case):
        return Refused(RefusalCode.CASE_NOT_SHARED, MESSAGES[RefusalCode.CASE_NOT_SHARED])
    if not case.open:
        return Refused(RefusalCode.CASE_NOT_OPEN, MESSAGES[RefusalCode.CASE_NOT_OPEN])
    return None


def _is_over(consent: Consent, now: datetime) -> bool:
    until = consent.scope.until
    return until is not None and until <= now
