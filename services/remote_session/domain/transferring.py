"""What becomes of the files of a session when the session itself moves."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from shared.contracts.session_words import SessionState, TransferState
from shared.contracts.sessions import Transfer

OVER: Final = frozenset({TransferState.DONE, TransferState.FAILED, TransferState.CANCELLED, TransferState.EXPIRED})
#: What a session that ends makes of files that are not there yet.
ENDS: Final[Mapping[SessionState, TransferState]] = {
    SessionState.CLOSED: TransferState.CANCELLED,
    SessionState.EXPIRED: TransferState.EXPIRED,
    SessionState.REJECTED: TransferState.FAILED,
    SessionState.FAILED: TransferState.FAILED,
    SessionState.REVOKED: TransferState.FAILED,
}


def is_over(transfer: Transfer) -> bool:
    """Tell whether a transfer has come to its end."""
    return transfer.state in OVER


def moved(transfer: Transfer, state: TransferState, now: datetime, reason: str | None = None) -> Transfer:
    """Return a transfer in another state."""
    return replace(transfer, state=state, since=now, reason=reason)


def carried(transfer: Transfer, to: SessionState, now: datetime, reason: str | None) -> Transfer:
    """Return a transfer as it is once its session has come to a state."""
    if is_over(transfer):
        return transfer
    if to in ENDS:
        return moved(transfer, ENDS[to], now, reason)
    if to is SessionState.ACTIVE and transfer.state is TransferState.QUEUED:
        return moved(transfer, TransferState.OFFERED, now)
    if to is not SessionState.ACTIVE and transfer.state is TransferState.TRANSFERRING:
        return moved(transfer, TransferState.PAUSED, now)
    return transfer
