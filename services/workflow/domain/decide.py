"""The one decision: what a command does to a case."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, cast

from services.workflow.domain import attention, family, files, labels, links, merging, notes, signals, waiting, work
from services.workflow.domain.case import (
    MACHINES,
    Accepted,
    Case,
    Decision,
    Outcome,
    Parked,
    Refused,
    Repeated,
)
from services.workflow.domain.creation import create
from services.workflow.domain.guards import Scene
from services.workflow.domain.rules import find_rule, is_visible, refuse_new
from services.workflow.domain.steps import Relay, Step, carry_out, commit
from services.workflow.domain.tenant import UNSET, Tenant
from services.workflow.domain.waking import wake
from shared.contracts import limits
from shared.contracts.case import CASE_STATE, CaseState
from shared.contracts.commands import COMMANDS, CaseCommand, Create, Link
from shared.contracts.events import Cause
from shared.contracts.words import LinkKind, RefusalCode, Role
from shared.evolution import evolve

PARKABLE: Final = frozenset({"occur", "clear", "flag_flapping"})
PARKED_MAX: Final = 1000
PARKED_BYTES_MAX: Final = 512 * 1024

EFFECTS: Final[Mapping[str, Callable[[Scene, Any], Step | Relay | Refused]]] = {
    "occur": signals.occur,
    "clear": signals.clear,
    "flag_flapping": signals.flag_flapping,
    "assign": work.assign,
    "unassign": work.unassign,
    "start": work.start,
    "hold": waiting.hold,
    "request_action": waiting.request_action,
    "resume": waiting.resume,
    "reply": waiting.reply,
    "requeue": work.requeue,
    "resolve": work.resolve,
    "reject_resolution": work.reject_resolution,
    "close": work.close,
    "cancel": work.cancel,
    "reopen": work.reopen,
    "archive": work.archive,
    "escalate": attention.escalate,
    "deescalate": attention.deescalate,
    "request_close": attention.request_close,
    "update": labels.update,
    "tag": labels.tag,
    "untag": labels.untag,
    "watch": labels.watch,
    "unwatch": labels.unwatch,
    "add_note": notes.add_note,
    "edit_note": notes.edit_note,
    "delete_note": notes.delete_note,
    "attach": files.attach,
    "detach": files.detach,
    "link": links.link,
    "unlink": links.unlink,
    "merge": merging.merge,
    "unmerge": merging.unmerge,
    "refuse_link": links.refuse_link,
    "end_with_target": merging.end_with_target,
    "reopen_with_target": merging.reopen_with_target,
    "share": attention.share,
    "delete": work.delete,
}

#: What people let a case grow by, without a bound of its own that is narrow enough.
LINK: Final = "link"
GROWING: Final = frozenset({"update", "tag", "watch", "link"})

TOO_LARGE: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, "The case would grow larger than a message may be; put long texts into notes or files."
)
TOO_MANY_PARKED: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, "Too many commands wait for this case to be created; create it first."
)


def decide(
    case: Case | None,
    name: str,
    command: CaseCommand,
    *,
    cause: Cause,
    now: datetime,
    number: str | None,
    tenant: Tenant = UNSET,
) -> Decision:
    """Decide what one command does to a case; `name` is a key of `COMMANDS`, `now` in whole milliseconds.

    Refuses with the first rule that forbids it; never raises for a reason of business. `number` is used by `create`;
    `tenant` is what the case's tenant has set.
    """
    if case is None or case.state is None:
        stub = case or Case(id=command.case_id)
        return _begin(stub, name, command, cause=cause, now=now, number=number, tenant=tenant)
    state = case.state
    repeated = _repeated(case, state, command, cause)
    if repeated is not None:
        return repeated
    scene = Scene(case, state, command.actor, max(now, state.updated_at), cause.id, tenant)
    decision = _judge(scene, name, command, cause)
    return _answered(decision, command) if type(decision) is Refused and name == LINK else decision


def _repeated(case: Case, state: CaseState, command: CaseCommand, cause: Cause) -> Repeated | None:
    """Return what a command that was accepted before came to; to strangers there is no such case."""
    known = case.recent.find(cause.id)
    return Repeated(*known) if known is not None and is_visible(state, command) else None


def _judge(scene: Scene, name: str, command: CaseCommand, cause: Cause) -> Accepted | Refused:
    rule = find_rule(scene, name, command)
    if isinstance(rule, Refused):
        return rule
    if name == "wake":
        return wake(scene, cause)
    step = EFFECTS[name](scene, command)
    if isinstance(step, Refused):
        return step
    if isinstance(step, Relay):
        return Accepted(scene.case, sends=step.sends)
    accepted = carry_out(scene, step, rule.to, cause)
    if name in GROWING and len(CASE_STATE.dump_json(accepted.events[-1].state)) > limits.CASE_BYTES_MAX:
        return TOO_LARGE
    return accepted


def _answered(refused: Refused, command: CaseCommand) -> Refused:
    """Return a refusal that is told to the case which asked to be tied, if it was one and it was not told yet."""
    link = cast("Link", command)
    new = link.kind is LinkKind.DUPLICATE or len(link.path) == 1
    if refused.sends or not new or link.attempt is None or link.actor.role is not Role.SYSTEM:
        return refused
    return family.refusal(refused, link, link.id, link.case_id)


def _begin(
    stub: Case,
    name: str,
    command: CaseCommand,
    *,
    cause: Cause,
    now: datetime,
    number: str | None,
    tenant: Tenant,
) -> Decision:
    if name in PARKABLE and command.actor.role in MACHINES:
        return _park(stub, Parked(name=name, data=_text(command), cause=cause, now=now))
    refused = refuse_new(name, command)
    if refused:
        return _answered(refused, command) if name == LINK else refused
    if number is None:
        raise ValueError("a new case needs a number")
    created = create(stub, cast("Create", command), cause=cause, now=now, number=number, tenant=tenant)
    if isinstance(created, Refused):
        return created
    case, event = created
    parent_id = family.parent_of(event.state)
    sends = () if parent_id is None else (family.ask(event.state, parent_id, event.state.seq),)
    return _fold(commit(case, (event,), tenant, sends), stub.parked, tenant)


def _park(stub: Case, parked: Parked) -> Decision:
    if any(held.cause.id == parked.cause.id for held in stub.parked):
        return Accepted(stub)
    size = sum(len(held.data) for held in stub.parked) + len(parked.data)
    if len(stub.parked) >= PARKED_MAX or size > PARKED_BYTES_MAX:
        return TOO_MANY_PARKED
    return Accepted(evolve(stub, parked=(*stub.parked, parked)))


def _fold(accepted: Accepted, waiting: tuple[Parked, ...], tenant: Tenant) -> Accepted:
    case, events, outcomes = accepted.case, list(accepted.events), list(accepted.outcomes)
    reports = list(accepted.reports)
    for parked in waiting:
        command = COMMANDS[parked.name].model_validate_json(parked.data)
        cause, now = parked.cause, parked.now
        decision = decide(case, parked.name, command, cause=cause, now=now, number=None, tenant=tenant)
        if isinstance(decision, Accepted):
            case = decision.case
            events += decision.events
            outcomes += decision.outcomes
            reports += decision.reports
        elif isinstance(decision, Refused):
            outcomes.append(Outcome(command_id=parked.cause.id, actor=command.actor, refused=decision))
    return Accepted(case, tuple(events), tuple(outcomes), tuple(reports), accepted.sends)


def _text(command: CaseCommand) -> bytes:
    return command.model_dump_json(exclude_none=True).encode()
