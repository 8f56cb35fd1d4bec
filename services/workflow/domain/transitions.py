"""The life of a case as data: which command leads from where to where, and who may give it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.workflow.domain.guards import (
    Guard,
    has_signal,
    is_in_reopen_window,
    is_own,
    is_settled_by_itself,
    is_theirs_to_leave,
)
from shared.contracts.words import Role, State

UNRESOLVED: Final = (State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED)
OPEN: Final = (*UNRESOLVED, State.RESOLVED)
ENDED: Final = (State.CLOSED, State.CANCELLED, State.ARCHIVED)
ANY: Final = (*OPEN, *ENDED)

Who = Mapping[Role, tuple[Guard, ...]]


def _who(*roles: Role, **guarded: Guard) -> Who:
    return dict.fromkeys(roles, ()) | {Role(name): (guard,) for name, guard in guarded.items()}


BY_MACHINES: Final = _who(Role.DEVICE, Role.SYSTEM)
DESK: Final = (Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER)
CREATORS: Final = frozenset({Role.DEVICE, Role.OPERATOR, Role.CONTACT, Role.AGENT, Role.TECHNICIAN, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table; `to` is nothing where the state stays, guards hold for the role or for everybody."""

    id: str
    command: str
    start: tuple[State, ...]
    to: State | None
    who: Who
    guards: tuple[Guard, ...] = ()


# Creating (T1) has no row: it starts from nothing. T7-T10, T12, T16-T21, T23 and T24 are rows to come.
TRANSITIONS: Final = (
    Transition("T2", "occur", UNRESOLVED, None, BY_MACHINES, (has_signal,)),
    Transition("T3", "occur", (State.RESOLVED,), State.IN_PROGRESS, BY_MACHINES, (has_signal,)),
    Transition("T4", "occur", ENDED, None, BY_MACHINES, (has_signal,)),
    Transition("T5", "assign", OPEN, None, _who(*DESK)),
    Transition("T5", "unassign", OPEN, None, _who(Role.AGENT, Role.DISPATCHER, technician=is_theirs_to_leave)),
    Transition("T6", "start", (State.NEW,), State.IN_PROGRESS, _who(*DESK)),
    Transition("T11", "resolve", UNRESOLVED, State.RESOLVED, _who(*DESK, system=is_settled_by_itself)),
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
    Transition("T22", "clear", ANY, None, BY_MACHINES, (has_signal,)),
    Transition("T22", "flag_flapping", ANY, None, BY_MACHINES, (has_signal,)),
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
