"""How the flow behaves."""

from dataclasses import dataclass
from typing import Final

HEARTBEAT_SECONDS_MAX: Final = 1.5


def heartbeat_seconds(session_timeout_seconds: float) -> float:
    """Return how often a member of a group says that it lives.

    Its heartbeat also tells it that others join or leave, and they wait for it: so a long session timeout, which
    forgives long silences, must not make it slow to hear of them.
    """
    return min(session_timeout_seconds / 4, HEARTBEAT_SECONDS_MAX)


@dataclass(frozen=True, kw_only=True)
class FlowSettings:
    """How the flow behaves; durations in seconds."""

    bootstrap_servers: str
    session_timeout_seconds: float = 6
    own_timeout_seconds: float = 15
    tell_timeout_seconds: float = 20
    transaction_timeout_seconds: float = 15
    retry_for_seconds: float = 60
    remembered_documents: int = 2000
    max_records: int = 5000
