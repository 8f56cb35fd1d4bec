"""What happens to sessions: answers of the device, news of the relay, cases and presence that change, time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from services.remote_session.domain.course import Course
from services.remote_session.domain.eligibility import live_sessions
from services.remote_session.domain.moves import leads
from services.remote_session.domain.owning import take_back
from services.remote_session.domain.state import CaseFacts, Held, is_live
from shared.contracts.session_commands import (
    AnswerOffer,
    ObserveCase,
    ObservePresence,
    ObserveRegistry,
    ReportSession,
    ReportTerminal,
    SessionWake,
)
from shared.contracts.session_words import EndReason, RelayNews, SessionKind, SessionState
from shared.contracts.sessions import TERMINALS_MAX

#: So long after the end of a session the machine may still say what went through it.
SUMMED_UP: Final = timedelta(seconds=60)


def answer(course: Course, command: AnswerOffer) -> None:
    """Take the device's word on an offer; one that comes too late changes nothing."""
    held = _current(course, command.session_id, command.attempt)
    if held is None or not leads("accept", held.session.state):
        return
    if not command.accepted:
        reason = command.code or EndReason.REFUSED_BY_DEVICE.value
        course.move(held, "decline", end_reason=reason)
    elif (reviewed := course.review_one(held)) is not None:
        course.connect(course.move(reviewed, "accept", destination=True, relay=command.relay))


def report(course: Course, command: ReportSession) -> None:
    """Take the relay's word on the legs of a session and on what went through it."""
    held = _current(course, command.session_id, command.attempt)
    if held is None or not _counts(held, command):
        _sum_up(course, held, command)
        return
    before = held.session
    held = _counted(course, held, command)
    match command.news, held.session.state:
        case RelayNews.SOURCE_UP, SessionState.CONNECTING | SessionState.ACTIVE:
            _leg(course, replace(held, token_hash=None), source=True)
        case RelayNews.DESTINATION_UP, SessionState.CONNECTING:
            _leg(course, held, destination=True, relay=command.relay)
        case RelayNews.DESTINATION_UP, SessionState.ACTIVE if command.relay != held.session.relay:
            _at_another_relay(course, held, command.relay)
        case RelayNews.DESTINATION_LOST, SessionState.ACTIVE:
            course.move(held, "lose", destination=False)
        case RelayNews.DESTINATION_LOST, SessionState.CONNECTING:
            course.change(held, destination=False)
        case RelayNews.FAILED, SessionState.CONNECTING:
            course.move(held, "fail", end_reason=command.reason or EndReason.CONNECT_ERROR.value)
        case RelayNews.PROGRESS, _:
            if held.session != before:
                course.tell("progressed", _sums(held), held=held)


def _counts(held: Held, command: ReportSession) -> bool:
    """Tell whether a word is of use: of a live session, and not the late one of a relay that the device has left."""
    lost_elsewhere = command.news is RelayNews.DESTINATION_LOST and command.relay != held.session.relay
    return is_live(held.session.state) and not lost_elsewhere


def _sum_up(course: Course, ended: Held | None, command: ReportSession) -> None:
    """Note what went through a session until it was cut off, which the machine can say only then."""
    if ended is None or ended.session.ended_at is None or command.news is not RelayNews.PROGRESS:
        return
    before = ended.session
    if course.desk.now - ended.session.ended_at > SUMMED_UP:
        return
    held = course.change(
        ended,
        bytes_in=max(before.bytes_in, command.bytes_in or 0),
        bytes_out=max(before.bytes_out, command.bytes_out or 0),
    )
    if held.session != before:
        course.tell("progressed", _sums(held), held=held)


def _at_another_relay(course: Course, held: Held, relay: str | None) -> None:
    """Know that the device has come to another relay, when the one it was at died and could not tell."""
    reviewed = course.review_one(held)
    if reviewed is not None:
        course.tell("progressed", {"relay": relay}, held=course.change(reviewed, relay=relay))


def _leg(course: Course, held: Held, **legs: bool | str | None) -> None:
    """Note that a leg is up, unless the session may not go on."""
    reviewed = course.review_one(held)
    if reviewed is not None:
        course.connect(course.change(reviewed, **legs))


def report_terminal(course: Course, command: ReportTerminal) -> None:
    """Take the machine's word on a terminal: each opening and each end once, in whatever state the session is."""
    held, told = course.device.find(command.session_id), command.terminal
    if held is None or held.session.kind is not SessionKind.TERMINAL:
        return
    known = next((each for each in held.session.terminals if each.id == told.id), None)
    if known is not None and (known.closed_at is not None or told.closed_at is None):
        return
    others = [each for each in held.session.terminals if each.id != told.id]
    held = course.change(held, terminals=(*others, told)[-TERMINALS_MAX:])
    name = "terminal_opened" if told.closed_at is None else "terminal_closed"
    course.tell(name, {"terminal_id": told.id, "endpoint": told.endpoint}, held=held, terminal=told)


def observe_case(course: Course, command: ObserveCase) -> None:
    """Hold every session of a case against what the case is now; consent ends with it."""
    case = CaseFacts(
        id=command.case_id,
        tenant_id=command.case_tenant_id,
        counterpart_tenant_id=command.counterpart_tenant_id,
        shared=command.shared,
        open=command.open,
        device_id=command.case_device_id,
        assignees=command.assignees,
        seq=command.seq,
    )
    for held in live_sessions(course.device):
        if held.session.case_id == case.id and held.case.seq < case.seq:
            course.device = course.device.put(replace(held, case=case))
    course.review(case.id)
    if not (case.open and case.shared and case.device_id == course.device.device_id):
        take_back(course, [consent for consent in course.device.consents if consent.case_id == case.id])


def observe_presence(course: Course, command: ObservePresence) -> None:
    """Know whether the device is there; an older epoch than the known one is old news."""
    if command.epoch < course.device.epoch:
        return
    same = command.epoch == course.device.epoch
    boot = course.device.boot if same and command.boot is None else command.boot
    course.device = replace(course.device, presence=command.state, epoch=command.epoch, boot=boot)
    course.review()


def observe_registry(course: Course, command: ObserveRegistry) -> None:
    """Know what the registry says that the machine has; sessions to what is no more are cut off."""
    before = course.device
    if command.version <= before.registry_version:
        return
    told, known = (command.endpoints, command.session_key), (before.registered, before.session_key)
    if told == ((), None) and not any(known):
        return  # most devices have none, and nothing is written down for them
    course.device = replace(
        before, registered=command.endpoints, session_key=command.session_key, registry_version=command.version
    )
    course.defined(before)


def wake(course: Course, _command: SessionWake) -> None:
    """Do what is due."""
    for held in live_sessions(course.device):
        if not course.time_up(held):
            course.review_one(held)


def _current(course: Course, session_id: str, attempt: int) -> Held | None:
    held = course.device.find(session_id)
    return held if held is not None and held.session.attempt == attempt else None


def _counted(course: Course, held: Held, command: ReportSession) -> Held:
    """Return a session with totals that never shrink."""
    session = held.session
    changes: dict[str, Any] = {
        "bytes_in": max(session.bytes_in, command.bytes_in or 0),
        "bytes_out": max(session.bytes_out, command.bytes_out or 0),
    }
    if command.active_at is not None:
        at = min(command.active_at, course.desk.now)
        changes["active_at"] = at if session.active_at is None else max(session.active_at, at)
    return course.change(held, **changes)


def _sums(held: Held) -> dict[str, Any]:
    return {"bytes_in": held.session.bytes_in, "bytes_out": held.session.bytes_out}
