"""The life of a session as data: which move leads from where to where, what it is told as, and who may ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.contracts.session_words import LIVE_STATES, SessionState
from shared.contracts.words import Role

AWAITING: Final = SessionState.AWAITING_CONSENT
LIVE: Final = tuple(state for state in SessionState if state in LIVE_STATES)


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table; `event` is what it is told as."""

    name: str
    start: tuple[SessionState, ...]
    to: SessionState
    event: str


MOVES: Final = (
    Move("await", (SessionState.REQUESTED,), AWAITING, "requested"),
    Move("offer", (SessionState.REQUESTED, AWAITING), SessionState.OFFERED, "offered"),
    Move("activate", (SessionState.INACTIVE,), SessionState.OFFERED, "offered"),
    Move("refuse", (AWAITING,), SessionState.REJECTED, "rejected"),
    Move("decline", (SessionState.OFFERED,), SessionState.REJECTED, "rejected"),
    Move("accept", (SessionState.OFFERED,), SessionState.CONNECTING, "connecting"),
    Move("connect", (SessionState.CONNECTING,), SessionState.ACTIVE, "active"),
    Move("lose", (SessionState.ACTIVE,), SessionState.CONNECTING, "connecting"),
    Move("fail", (SessionState.CONNECTING,), SessionState.FAILED, "failed"),
    Move("deactivate", (SessionState.ACTIVE,), SessionState.INACTIVE, "inactive"),
    Move("close", LIVE, SessionState.CLOSED, "closed"),
    Move("expire", LIVE, SessionState.EXPIRED, "expired"),
    Move("revoke", LIVE, SessionState.REVOKED, "revoked"),
)
BY_NAME: Final[Mapping[str, Move]] = {move.name: move for move in MOVES}
#: What happens in a state when its own time is up: the move, and why.
TIME_UP: Final[Mapping[SessionState, tuple[str, str]]] = {
    AWAITING: ("expire", "consent_timeout"),
    SessionState.OFFERED: ("expire", "offer_timeout"),
    SessionState.CONNECTING: ("fail", "connect_timeout"),
}

ASKERS: Final = ("activate", "deactivate", "transfer", "verify_transfer", "cancel_transfer")
#: Who may give which command; beyond the role, a rule says of whose tenant they must be (`standing`).
WHO: Final[Mapping[str, frozenset[Role]]] = {
    "request": frozenset({Role.AGENT, Role.TECHNICIAN}),
    **dict.fromkeys(("grant", "refuse", "withdraw"), frozenset({Role.OPERATOR})),
    **dict.fromkeys(ASKERS, frozenset({Role.AGENT, Role.TECHNICIAN})),
    "close": frozenset({Role.AGENT, Role.TECHNICIAN, Role.OPERATOR, Role.DISPATCHER}),
    "define": frozenset({Role.OPERATOR, Role.DISPATCHER, Role.SYSTEM}),
    **dict.fromkeys(
        ("answer", "report", "report_file", "report_stored", "report_terminal"), frozenset({Role.DEVICE, Role.SYSTEM})
    ),
    **dict.fromkeys(("observe_case", "observe_presence", "observe_registry", "wake"), frozenset({Role.SYSTEM})),
}


def leads(name: str, state: SessionState) -> bool:
    """Tell whether a move starts from a state."""
    return state in BY_NAME[name].start
