"""The one decision: what a command does to the sessions of a device."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from services.remote_session.domain import asking, happening, owning, transfers
from services.remote_session.domain.answers import Refused
from services.remote_session.domain.course import Course, due_at
from services.remote_session.domain.moves import WHO
from services.remote_session.domain.state import RECENT_MAX, Desk, Device, Result
from shared.contracts.session_commands import SessionCommand
from shared.contracts.words import RefusalCode

Effect = Callable[[Course, Any], str | Refused | None]
EFFECTS: Final[Mapping[str, Effect]] = {
    "request": asking.request,
    "activate": asking.activate,
    "deactivate": asking.deactivate,
    "close": asking.close,
    "grant": owning.grant,
    "refuse": owning.refuse,
    "withdraw": owning.withdraw,
    "define": owning.define,
    "transfer": transfers.transfer,
    "verify_transfer": transfers.verify_transfer,
    "cancel_transfer": transfers.cancel_transfer,
    "answer": happening.answer,
    "report": happening.report,
    "report_file": transfers.report_file,
    "report_stored": transfers.report_stored,
    "report_terminal": happening.report_terminal,
    "observe_case": happening.observe_case,
    "observe_presence": happening.observe_presence,
    "observe_registry": happening.observe_registry,
    "wake": happening.wake,
}
#: What the service and the relay tell themselves has no outcome.
SILENT: Final = frozenset(
    {
        *("answer", "report", "report_file", "report_stored", "report_terminal"),
        *("observe_case", "observe_presence", "observe_registry", "wake"),
    }
)


def decide(device: Device | None, name: str, command: SessionCommand, desk: Desk) -> Result:
    """Decide what one command does; `name` is a key of `SESSION_COMMANDS`, the time in `desk` in whole milliseconds.

    Refuses with the first rule that forbids it; never raises for a reason of business.
    """
    before = device or Device(tenant_id=command.tenant_id, device_id=command.device_id)
    for command_id, session_id, seq in before.recent:
        if command_id == desk.cause_id and name not in SILENT:
            return Result(session_id=session_id or None, seq=seq)
    if command.actor.role not in WHO[name]:
        text = f"The role {command.actor.role} may not give `{name}`."
        return Result(code=RefusalCode.FORBIDDEN, message=text)
    course = Course(before, desk)
    outcome = EFFECTS[name](course, command)
    after = course.device
    if isinstance(outcome, Refused):
        changed = _due(after, desk) if course.events else None
        return Result(device=changed, events=tuple(course.events), code=outcome.code, message=outcome.message)
    if name not in SILENT:
        entry = (desk.cause_id, outcome or "", after.seq)
        after = replace(after, recent=(*after.recent, entry)[-RECENT_MAX:])
    after = _due(after, desk)
    return Result(
        device=None if after == before else after,
        events=tuple(course.events),
        session_id=outcome,
        seq=after.seq,
        silent=name in SILENT,
    )


def _due(device: Device, desk: Desk) -> Device:
    return replace(device, due_at=due_at(device, desk))
