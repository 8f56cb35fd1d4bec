"""The life of a case as data: which command leads from where to where, and who may give it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.workflow.domain.guards import (
    Guard,
    has_signal,
    is_calm,
    is_escalated,
    is_in_reopen_window,
    is_internal,
    is_merged,
    is_own,
    is_settled_by_itself,
    is_shared,
    is_theirs_to_leave,
    is_tied,
)
from shared.contracts.words import Role, State

UNRESOLVED: Final = (State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED)
OPEN: Final = (*UNRESOLVED, State.RESOLVED)
ENDED: Final = (State.CLOSED, State.CANCELLED, State.ARCHIVED)
ANY: Final = (*OPEN, *ENDED)
BEGUN: Final = (State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED)
CHANGEABLE: Final = (*OPEN, State.CLOSED, State.CANCELLED)

Who = Mapping[Role, tuple[Guard, ...]]


def _who(*roles: Role, **guarded: Guard) -> Who:
    return dict.fromkeys(roles, ()) | {Role(name): (guard,) for name, guard in guarded.items()}


BY_MACHINES: Final = _who(Role.DEVICE, Role.SYSTEM)
DESK: Final = (Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER)
CUSTOMERS: Final = (Role.OPERATOR, Role.CONTACT)
TAKING_PART: Final = _who(*DESK, *CUSTOMERS)
CREATORS: Final = frozenset({Role.DEVICE, Role.OPERATOR, Role.CONTACT, Role.AGENT, Role.TECHNICIAN, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table; `to` is nothing where the state stays, guards hold for the role or for everybody.

    The id is that of the description of the domain; of commands that it does not number, `-`.
    """

    id: str
    command: str
    start: tuple[State, ...]
    to: State | None
    who: Who
    guards: tuple[Guard, ...] = ()


# Creating (T1) has no row: it starts from nothing.
TRANSITIONS: Final = (
    Transition("T0", "wake", ANY, None, _who(Role.SYSTEM)),
    Transition("T2", "occur", UNRESOLVED, None, BY_MACHINES, (has_signal,)),
    Transition("T3", "occur", (State.RESOLVED,), State.IN_PROGRESS, BY_MACHINES, (has_signal,)),
    Transition("T4", "occur", ENDED, None, BY_MACHINES, (has_signal,)),
    Transition("T5", "assign", OPEN, None, _who(*DESK)),
    Transition("T5", "unassign", OPEN, None, _who(Role.AGENT, Role.DISPATCHER, technician=is_theirs_to_leave)),
    Transition("T6", "start", (State.NEW,), State.IN_PROGRESS, _who(*DESK)),
    Transition("T7", "hold", (State.NEW, State.IN_PROGRESS), State.ON_HOLD, _who(*DESK)),
    Transition(
        "T8",
        "request_action",
        (State.NEW, State.IN_PROGRESS, State.ON_HOLD),
        State.ACTION_REQUIRED,
        _who(*DESK),
        (is_shared,),
    ),
    Transition("T9", "resume", (State.ON_HOLD, State.ACTION_REQUIRED), State.IN_PROGRESS, _who(*DESK)),
    Transition("T10", "reply", (State.ACTION_REQUIRED,), State.IN_PROGRESS, _who(*CUSTOMERS)),
    Transition("T10", "reply", (State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.RESOLVED), None, _who(*CUSTOMERS)),
    Transition("T10", "reply", (State.CLOSED,), None, _who(*CUSTOMERS), (is_in_reopen_window,)),
    Transition("T11", "resolve", UNRESOLVED, State.RESOLVED, _who(*DESK, system=is_settled_by_itself)),
    Transition("T12", "reject_resolution", (State.RESOLVED,), State.IN_PROGRESS, _who(*CUSTOMERS, Role.AGENT)),
    Transition("T13", "close", UNRESOLVED, State.CLOSED, _who(*DESK)),
    Transition("T13", "close", (State.RESOLVED,), State.CLOSED, _who(*DESK, Role.OPERATOR, Role.CONTACT, Role.SYSTEM)),
    Transition(
        "T14",
        "cancel",
        UNRESOLVED,
        State.CANCELLED,
        _who(Role.AGENT, Role.DISPATCHER, operator=is_own, contact=is_own),
    ),
    Transition(
        "T15",
        "reopen",
        (State.CLOSED,),
        State.IN_PROGRESS,
        _who(*DESK, operator=is_own, contact=is_own),
        (is_in_reopen_window,),
    ),
    Transition("T16", "escalate", UNRESOLVED, None, _who(*CUSTOMERS, Role.AGENT, Role.SYSTEM), (is_calm,)),
    Transition("T17", "deescalate", UNRESOLVED, None, _who(Role.DISPATCHER), (is_escalated,)),
    Transition("T18", "request_close", OPEN, None, _who(*CUSTOMERS)),
    Transition("T19", "archive", (State.RESOLVED,), State.ARCHIVED, _who(Role.DISPATCHER)),
    Transition("T19", "archive", (State.CLOSED, State.CANCELLED), State.ARCHIVED, _who(Role.DISPATCHER, Role.SYSTEM)),
    Transition("T20", "requeue", BEGUN, State.NEW, _who(Role.DISPATCHER)),
    Transition("T21", "merge", OPEN, State.CANCELLED, _who(Role.AGENT, Role.DISPATCHER)),
    # Back to the state before, whichever that was.
    Transition("T21", "unmerge", (State.CANCELLED,), None, _who(Role.AGENT, Role.DISPATCHER), (is_merged,)),
    Transition("T21", "end_with_target", (State.CANCELLED,), None, _who(Role.SYSTEM), (is_merged,)),
    Transition("T21", "reopen_with_target", (State.CANCELLED,), None, _who(Role.SYSTEM), (is_merged,)),
    Transition("T22", "clear", ANY, None, BY_MACHINES, (has_signal,)),
    Transition("T22", "flag_flapping", ANY, None, BY_MACHINES, (has_signal,)),
    Transition("T23", "share", CHANGEABLE, None, _who(*DESK), (is_internal,)),
    Transition("T24", "delete", ANY, None, _who(Role.DISPATCHER)),
    Transition("-", "update", OPEN, None, _who(*DESK, operator=is_own, contact=is_own)),
    Transition("-", "tag", CHANGEABLE, None, _who(*DESK)),
    Transition("-", "untag", CHANGEABLE, None, _who(*DESK)),
    Transition("-", "link", CHANGEABLE, None, _who(*DESK)),
    Transition("-", "link", ANY, None, _who(Role.SYSTEM)),
    Transition("-", "unlink", CHANGEABLE, None, _who(*DESK)),
    Transition("-", "unlink", ANY, None, _who(Role.SYSTEM)),
    Transition("-", "refuse_link", ANY, None, _who(Role.SYSTEM), (is_tied,)),
    Transition("-", "watch", CHANGEABLE, None, TAKING_PART),
    Transition("-", "unwatch", CHANGEABLE, None, TAKING_PART),
    *(
        row
        for name in ("add_note", "edit_note", "attach")
        for row in (
            Transition("-", name, OPEN, None, TAKING_PART),
            Transition("-", name, (State.CLOSED,), None, TAKING_PART, (is_in_reopen_window,)),
        )
    ),
    Transition("-", "delete_note", CHANGEABLE, None, TAKING_PART),
    Transition("-", "detach", CHANGEABLE, None, TAKING_PART),
    Transition("-", "detach", ANY, None, _who(Role.SYSTEM)),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the table says for one state, command and role."""

    command: str
    to: State | None
    guards: tuple[Guard, ...]


RULES: Final[dict[tuple[State, str, Role], Rule]] = {
    (state, row.command, role): Rule(row.command, row.to, guards + row.guards)
    for row in TRANSITIONS
    for state in row.start
    for role, guards in row.who.items()
}
RULES_OF: Final[dict[tuple[State, Role], tuple[Rule, ...]]] = {
    (state, role): tuple(rule for key, rule in RULES.items() if (key[0], key[2]) == (state, role))
    for state in State
    for role in Role
}
ROLES_OF: Final[dict[str, frozenset[Role]]] = {"create": CREATORS} | {
    command: frozenset(role for row in TRANSITIONS if row.command == command for role in row.who)
    for command in {row.command for row in TRANSITIONS}
}
