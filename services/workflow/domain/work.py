"""What people do to a case: take it, work on it, finish it, take it up again, put it away."""

from dataclasses import replace
from typing import Any, Final

from services.workflow.domain.case import Refused
from services.workflow.domain.guards import DESK, NOT_ASSIGNED, Scene, is_own
from services.workflow.domain.steps import Step, relief
from shared.contracts import limits
from shared.contracts.case import Resolution
from shared.contracts.commands import (
    Archive,
    Assign,
    Cancel,
    Close,
    Delete,
    RejectResolution,
    Reopen,
    Requeue,
    Resolve,
    Start,
    Unassign,
)
from shared.contracts.words import RefusalCode, Role, State

ME: Final = "me"

ONLY_THEMSELVES: Final = Refused(
    RefusalCode.FORBIDDEN, "A technician may assign only themselves; say `me`, or ask a dispatcher."
)
TOO_MANY: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED,
    f"A case has at most {limits.ASSIGNEES_MAX} assignees; unassign somebody first.",
    ("assignee",),
)
UNKNOWN_ASSIGNEE: Final = Refused(
    RefusalCode.INVALID_COMMAND, "This person is not assigned; name one who is, or nobody for all.", ("assignee",)
)
NO_ASSIGNEE: Final = Refused(
    RefusalCode.FORBIDDEN,
    "Nobody can be assigned who is not an active user with the role agent, technician or dispatcher and this device in "
    "scope; name such a user, or let `callout config` make them one.",
    ("assignee",),
)
NO_SOLUTION: Final = Refused(
    RefusalCode.INVALID_COMMAND,
    "Say what solved the case: give `final_solution` or `summary`.",
    ("final_solution", "summary"),
)


def assign(scene: Scene, command: Assign) -> Step | Refused:
    """Make a person the first assignee; the others keep their order."""
    person = scene.actor.id if command.assignee == ME else command.assignee
    if scene.actor.role is Role.TECHNICIAN and person != scene.actor.id:
        return ONLY_THEMSELVES
    if not _may_work(person, scene):
        return NO_ASSIGNEE
    assignees = (person, *(other for other in scene.state.assignees if other != person))
    if len(assignees) > limits.ASSIGNEES_MAX:
        return TOO_MANY
    return Step(event="assigned", fields={"assignees": assignees}, text={"assignee": person})


def unassign(scene: Scene, command: Unassign) -> Step | Refused:
    """Take one person, or everybody, off the case."""
    actor, assignees = scene.actor, scene.state.assignees
    person = actor.id if command.assignee == ME else command.assignee
    leaving = assignees if person is None else (person,)
    if actor.role is Role.TECHNICIAN and any(leaver != actor.id for leaver in leaving):
        return NOT_ASSIGNED
    if person is not None and person not in assignees:
        return UNKNOWN_ASSIGNEE
    staying = tuple(other for other in assignees if other not in leaving)
    return Step(event="unassigned", fields={"assignees": staying}, text={"assignee": person})


def start(scene: Scene, _command: Start) -> Step:
    """Begin to work; who begins becomes the assignee if there is none."""
    fields: dict[str, Any] = {}
    if scene.state.first_response_at is None:
        fields["first_response_at"] = scene.at
    if not scene.state.assignees:
        fields["assignees"] = (scene.actor.id,)
    return Step(event="started", fields=fields)


def requeue(_scene: Scene, command: Requeue) -> Step:
    """Give the case back; nobody is assigned any more."""
    return Step(event="requeued", fields={"assignees": ()}, text={"reason": command.reason})


def resolve(scene: Scene, command: Resolve) -> Step | Refused:
    """Note that a solution was applied, and which."""
    if command.final_solution is None and command.summary is None:
        return NO_SOLUTION
    resolution = Resolution(
        root_cause=command.root_cause,
        type=command.type,
        summary=command.summary,
        final_solution=command.final_solution,
    )
    fields = {"resolution": resolution, "resolved_at": scene.at, **relief(scene.state)}
    return Step(event="resolved", fields=fields)


def reject_resolution(_scene: Scene, command: RejectResolution) -> Step:
    """Take a resolved case up again; the solution that did not help stays to be read until the next."""
    return Step(event="resolution_rejected", fields={"resolved_at": None}, text={"reason": command.reason})


def close(scene: Scene, command: Close) -> Step:
    """Finish the case; one that is not resolved is resolved on the way."""
    fields: dict[str, Any] = {"closed_at": scene.at, **relief(scene.state)}
    through: tuple[State, ...] = ()
    if scene.state.state is not State.RESOLVED:
        fields["resolved_at"] = scene.at
        through = (State.RESOLVED,)
    if command.outcome is not None:
        fields["resolution"] = _with_outcome(scene, command.outcome)
    return Step(event="closed", through=through, fields=fields, internal={"ended_at": scene.at})


def cancel(scene: Scene, command: Cancel) -> Step:
    """Withdraw one's own case, or reject somebody else's."""
    outcome = "withdrawn" if is_own(scene) is None else "rejected"
    return Step(
        event="cancelled",
        fields={"resolution": _with_outcome(scene, outcome)},
        text={"reason": command.reason},
        internal={"ended_at": scene.at},
    )


def reopen(scene: Scene, command: Reopen) -> Step:
    """Take a closed case up again; when it was closed stays in its history."""
    return Step(
        event="reopened",
        fields={
            "reopen_count": scene.state.reopen_count + 1,
            "closed_at": None,
            "resolved_at": None,
            **relief(scene.state),
        },
        text={"reason": command.reason},
        internal={"ended_at": None},
    )


def archive(scene: Scene, _command: Archive) -> Step:
    """Put an ended case away; a resolved one is closed first, in the same commit."""
    if scene.state.state is State.RESOLVED:
        return Step(
            event="closed",
            to=State.CLOSED,
            fields={"closed_at": scene.at, **relief(scene.state)},
            internal={"ended_at": scene.at},
            then=Step(event="archived"),
        )
    return Step(event="archived", internal={"ended_at": scene.case.ended_at or scene.at})


def delete(scene: Scene, _command: Delete) -> Step:
    """Take the case out of use: a stone stays, and signals are handed back."""
    return Step(
        event="deleted",
        fields={"deleted_at": scene.at},
        internal={"deleted": True, "ended_at": scene.case.ended_at or scene.at},
    )


def _may_work(person: str, scene: Scene) -> bool:
    """Tell whether a person has the role and the scope for a case; everybody has while the tenant names no users."""
    data = scene.tenant.data
    if not data.has_users:
        return True
    user = data.user(person)
    return user is not None and user.active and not DESK.isdisjoint(user.roles) and user.covers(scene.state.device_id)


def _with_outcome(scene: Scene, outcome: str) -> Resolution:
    return replace(scene.state.resolution or Resolution(), outcome=outcome)
