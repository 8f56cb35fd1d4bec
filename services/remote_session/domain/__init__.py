"""What becomes of remote sessions when something is asked or happens: pure decisions, no I/O, no clock."""

from services.remote_session.domain.decide import decide
from services.remote_session.domain.moves import LIVE, MOVES, Move
from services.remote_session.domain.state import CaseFacts, Desk, Device, Event, Held, Limits, Result

__all__ = [
    "LIVE",
    "MOVES",
    "CaseFacts",
    "Desk",
    "Device",
    "Event",
    "Held",
    "Limits",
    "Move",
    "Result",
    "decide",
]
