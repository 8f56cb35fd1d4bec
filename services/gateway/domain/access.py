"""Who may do what, and who may see what. Whatever is not in a table here is denied."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.contracts.words import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: a person of one tenant, as an issuer's token says; never as a request says of itself."""

    tenant_id: str
    user_id: str
    role: Role
    scopes: frozenset[str] = frozenset()


class Action(StrEnum):
    """What a route does; every route of the gateway names one."""

    LIST_CASES = "list_cases"
    READ_CASE = "read_case"
    READ_HISTORY = "read_history"
    EXPORT_CASES = "export_cases"
    COMMAND_CASES = "command_cases"
    READ_COMMANDS = "read_commands"
    FOLLOW_EVENTS = "follow_events"
    OWN_PREFERENCES = "own_preferences"
    READ_SESSIONS = "read_sessions"
    COMMAND_SESSIONS = "command_sessions"
    DEFINE_ENDPOINTS = "define_endpoints"
    READ_DEVICES = "read_devices"
    OWN_NOTICES = "own_notices"
    MANAGE_SUBSCRIPTIONS = "manage_subscriptions"
    READ_DELIVERIES = "read_deliveries"
    STORE_FILES = "store_files"
    READ_FILES = "read_files"
    LINK_FILES = "link_files"
    REDEEM_LINKS = "redeem_links"


CUSTOMERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})
DESK: Final = frozenset({Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER})
PEOPLE: Final = CUSTOMERS | DESK
READERS: Final = PEOPLE | {Role.SUBSCRIBER, Role.AUDITOR}
#: Roles that read internal notes of their own tenant's cases.
STAFF: Final = DESK | {Role.AUDITOR}

ROUTES: Final[Mapping[Action, frozenset[Role]]] = {
    Action.LIST_CASES: READERS,
    Action.READ_CASE: READERS,
    Action.READ_HISTORY: READERS,
    Action.EXPORT_CASES: READERS,
    Action.COMMAND_CASES: PEOPLE,
    Action.READ_COMMANDS: PEOPLE,
    Action.FOLLOW_EVENTS: READERS,
    Action.OWN_PREFERENCES: READERS,
    Action.READ_SESSIONS: PEOPLE | {Role.AUDITOR},
    Action.COMMAND_SESSIONS: DESK | {Role.OPERATOR},
    Action.DEFINE_ENDPOINTS: frozenset({Role.OPERATOR, Role.DISPATCHER}),
    # Contacts of a portal see their own cases; machines are for those who run or service them.
    Action.READ_DEVICES: READERS - {Role.CONTACT},
    Action.OWN_NOTICES: PEOPLE,
    # Whoever sets these up decides where a tenant's cases are told outside.
    Action.MANAGE_SUBSCRIPTIONS: frozenset({Role.DISPATCHER, Role.OPERATOR}),
    Action.READ_DELIVERIES: frozenset({Role.DISPATCHER, Role.OPERATOR, Role.AUDITOR}),
    Action.STORE_FILES: PEOPLE,
    Action.READ_FILES: READERS,
    Action.LINK_FILES: PEOPLE,
}

#: What whoever has a link may do, without being anybody.
OPEN: Final = frozenset({Action.REDEEM_LINKS})

#: Who may give which command over HTTP at all; state, ownership and arguments are for workflow to judge.
COMMANDS: Final[Mapping[str, frozenset[Role]]] = {
    "create": CUSTOMERS | {Role.AGENT, Role.TECHNICIAN},
    **dict.fromkeys(("assign", "unassign", "start", "hold", "request_action", "resume", "resolve"), DESK),
    **dict.fromkeys(("share", "tag", "untag", "link", "unlink"), DESK),
    **dict.fromkeys(("merge", "unmerge"), frozenset({Role.AGENT, Role.DISPATCHER})),
    **dict.fromkeys(("reply", "request_close"), CUSTOMERS),
    **dict.fromkeys(("reject_resolution", "escalate"), CUSTOMERS | {Role.AGENT}),
    "cancel": CUSTOMERS | {Role.AGENT, Role.DISPATCHER},
    **dict.fromkeys(("close", "reopen", "update", "watch", "unwatch"), PEOPLE),
    **dict.fromkeys(("add_note", "edit_note", "delete_note", "attach", "detach"), PEOPLE),
    **dict.fromkeys(("archive", "requeue", "deescalate", "delete"), frozenset({Role.DISPATCHER})),
}
#: Who may give which command to remote sessions over HTTP; whose case, machine and session it is, the service judges.
SESSION_COMMANDS: Final[Mapping[str, frozenset[Role]]] = {
    **dict.fromkeys(
        ("request", "activate", "deactivate", "transfer", "verify_transfer", "cancel_transfer"),
        frozenset({Role.AGENT, Role.TECHNICIAN}),
    ),
    **dict.fromkeys(("grant", "refuse", "withdraw"), frozenset({Role.OPERATOR})),
    "close": DESK | {Role.OPERATOR},
    "define": frozenset({Role.OPERATOR, Role.DISPATCHER}),
}
#: Commands that a role alone is not enough for: the token must have the scope as well.
SCOPES: Final[Mapping[str, str]] = {"delete": "case:delete"}


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody may see: views of `tenant_id`; with `own_of` only cases that this person created or takes part in.

    `internal` tells whether internal notes, and files put to them, are there for them.
    """

    tenant_id: str
    own_of: str | None
    internal: bool


def may(who: Identity, action: Action) -> bool:
    """Tell whether somebody may use the routes of an action."""
    return who.role in ROUTES.get(action, frozenset())


def may_give(who: Identity, command: str) -> bool:
    """Tell whether somebody may give a command over HTTP: by role, and by scope where one is needed."""
    scope = SCOPES.get(command)
    return who.role in COMMANDS.get(command, frozenset()) and (scope is None or scope in who.scopes)


def visible(who: Identity) -> Sight:
    """Return what somebody may see: the own tenant's views; a contact only the own cases."""
    own_of = who.user_id if who.role is Role.CONTACT else None
    return Sight(who.tenant_id, own_of, internal=who.role in STAFF)
