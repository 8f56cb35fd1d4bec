"""How the flow behaves."""

from dataclasses import dataclass


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
