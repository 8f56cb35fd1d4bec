"""Files on their way: queued by people, moved by stock clients, seen by the machine; equal digests make them done."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.remote_session.domain.answers import Refused
from services.remote_session.domain.asking import own_session
from services.remote_session.domain.course import Course
from services.remote_session.domain.state import Held, is_live
from services.remote_session.domain.transferring import OVER, is_over, moved
from shared.contracts.ids import derived_id
from shared.contracts.session_commands import (
    CancelTransfer,
    OfSession,
    ReportFile,
    ReportStored,
    TransferFile,
    VerifyTransfer,
)
from shared.contracts.session_words import Direction, SessionKind, SessionState, TransferState
from shared.contracts.sessions import TRANSFERS_MAX, Transfer
from shared.contracts.words import RefusalCode

NO_TRANSFER: Final = Refused(RefusalCode.NOT_FOUND, "The session has no such transfer.")
NEWS: Final[Mapping[bool, str]] = {True: "transferred", False: "progressed"}


def transfer(course: Course, command: TransferFile) -> str | Refused:
    """Put a file into the queue; it is this one's turn as soon as the session is a way to the machine."""
    held = own_session(course, command)
    if isinstance(held, Refused):
        return held
    session = held.session
    if not is_live(session.state) or session.kind is not SessionKind.FILE:
        return Refused(RefusalCode.INVALID_TRANSITION, f"The session is {session.state}, for {session.kind}.")
    service = session.services[0]
    if service.direction not in {Direction.BOTH, command.direction}:
        return Refused(RefusalCode.OVERRIDE_INVALID, f"Files go only `{service.direction}` in this session.")
    if service.file_bytes_max is not None and (command.size or 0) > service.file_bytes_max:
        return Refused(RefusalCode.LIMIT_EXCEEDED, f"Files may have {service.file_bytes_max} bytes here.")
    kept = [each for each in session.transfers if not is_over(each)]
    if len(kept) >= TRANSFERS_MAX:
        return Refused(RefusalCode.LIMIT_EXCEEDED, f"{TRANSFERS_MAX} files are on their way; wait for one of them.")
    if any((each.direction, each.name) == (command.direction, command.name) for each in kept):
        return Refused(RefusalCode.DUPLICATE, "This file is on its way already.")
    now = course.desk.now
    fresh = Transfer(
        id=derived_id("transfer", session.id, course.desk.cause_id),
        endpoint=service.endpoint,
        direction=command.direction,
        name=command.name,
        state=TransferState.OFFERED if session.state is SessionState.ACTIVE else TransferState.QUEUED,
        size=command.size,
        sha256=command.sha256,
        attach=command.attach,
        requested_at=now,
        since=now,
    )
    ended = [each for each in session.transfers if is_over(each)]
    room = min(len(ended), TRANSFERS_MAX - len(kept) - 1)
    held = course.change(held, transfers=(*ended[len(ended) - room :], *kept, fresh))
    _tell(course, held, fresh)
    return session.id


def verify_transfer(course: Course, command: VerifyTransfer) -> str | Refused:
    """Hold what came out of the machine against what the machine sent."""
    found = _found(course, command, command.transfer_id)
    if isinstance(found, Refused):
        return found
    held, known = found
    if known.direction is not Direction.OUT:
        return Refused(RefusalCode.INVALID_TRANSITION, "Of a file that goes in, the machine says what came.")
    if known.attach:
        return Refused(RefusalCode.INVALID_TRANSITION, "Of a file that is attached, its store says what came.")
    if known.machine_sha256 is not None and command.size != known.size:
        text = f"The file has {known.size} bytes; go on at byte {min(command.size, known.size or 0)}."
        return Refused(RefusalCode.INVALID_TRANSITION, text)
    _put(course, held, known, sha256=command.sha256)
    return held.session.id


def cancel_transfer(course: Course, command: CancelTransfer) -> str | Refused:
    """Give a file up; what of it is there stays there."""
    found = _found(course, command, command.transfer_id)
    if isinstance(found, Refused):
        return found
    held, known = found
    _put(course, held, known, state=TransferState.CANCELLED)
    return held.session.id


def report_file(course: Course, command: ReportFile) -> None:
    """Take the machine's word on a file; of one that nobody queued it is passed over."""
    held = course.device.find(command.session_id)
    if held is None or held.session.attempt != command.attempt or not is_live(held.session.state):
        return
    for known in held.session.transfers:
        if (known.direction, known.name) == (command.direction, command.name) and not is_over(known):
            size = command.size if known.direction is Direction.OUT else known.size
            state = TransferState.PAUSED if command.closed else TransferState.TRANSFERRING
            digest = command.sha256 if size is not None and command.offset >= size else None
            if digest is not None:
                state = TransferState.VERIFYING
            _put(course, held, known, offset=command.offset, size=size, machine_sha256=digest, state=state)
            return


def report_stored(course: Course, command: ReportStored) -> None:
    """Take the relay's word on a file that is to be attached: what was stored, or why nothing was."""
    held = course.device.find(command.session_id)
    known = next((each for each in held.session.transfers if each.id == command.transfer_id), None) if held else None
    if held is None or known is None or not known.attach or known.attachment_id is not None or is_over(known):
        return
    if command.reason is not None:
        _put(course, held, known, state=TransferState.FAILED, reason=command.reason)
    elif known.size is not None and command.size != known.size:
        _put(course, held, known, state=TransferState.FAILED, reason="size_differs")
    else:
        _put(course, held, known, sha256=command.sha256, attachment_id=command.attachment_id)


def _put(course: Course, held: Held, known: Transfer, **changes: Any) -> None:  # noqa: ANN401
    """Change a transfer, judge it where both digests are known, and tell it."""
    after = _judged(replace(known, **changes), course.desk.now)
    if after == known:
        return
    if after.state is not known.state:
        after = replace(after, since=course.desk.now)
    others = (after if each.id == known.id else each for each in held.session.transfers)
    _tell(course, course.change(held, transfers=tuple(others)), after)


def _judged(known: Transfer, now: datetime) -> Transfer:
    """Return a transfer that is over if both ends have said what they have."""
    if known.state is not TransferState.VERIFYING or known.sha256 is None:
        return known
    if known.offset != known.size:
        return moved(known, TransferState.FAILED, now, "size_differs")
    same = known.sha256 == known.machine_sha256
    return moved(known, TransferState.DONE, now) if same else moved(known, TransferState.FAILED, now, "digest_differs")


def _tell(course: Course, held: Held, transfer: Transfer) -> None:
    change = {"transfer_id": transfer.id, "state": transfer.state.value, "offset": transfer.offset}
    if transfer.attach:
        change["case_tenant_id"] = held.case.tenant_id
    course.tell(NEWS[transfer.state in OVER], change, held=held, transfer=transfer)


def _found(course: Course, command: OfSession, transfer_id: str) -> tuple[Held, Transfer] | Refused:
    held = own_session(course, command)
    if isinstance(held, Refused):
        return held
    known = next((each for each in held.session.transfers if each.id == transfer_id), None)
    if known is None:
        return NO_TRANSFER
    if is_over(known):
        return Refused(RefusalCode.INVALID_TRANSITION, f"The transfer is {known.state}.")
    return held, known
