"""The words of remote sessions, each value the word on the wire."""

from typing import Final

from shared.contracts.words import Word


class SessionState(Word):
    """Where a remote session stands."""

    REQUESTED = "REQUESTED"
    AWAITING_CONSENT = "AWAITING_CONSENT"
    OFFERED = "OFFERED"
    CONNECTING = "CONNECTING"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"
    CLOSED = "CLOSED"
    REVOKED = "REVOKED"


#: A session in one of these may still become, or be, a way to the machine.
LIVE_STATES: Final = frozenset(
    {
        SessionState.REQUESTED,
        SessionState.AWAITING_CONSENT,
        SessionState.OFFERED,
        SessionState.CONNECTING,
        SessionState.ACTIVE,
        SessionState.INACTIVE,
    }
)


class SessionKind(Word):
    """What a session is for: ports of a machine, its files, or a terminal on it."""

    TUNNEL = "tunnel"
    FILE = "file"
    TERMINAL = "terminal"


class TunnelType(Word):
    """What speaks at an endpoint; `tcp` is anything else, `sftp` is files."""

    SSH = "ssh"
    HTTP = "http"
    HTTPS = "https"
    VNC = "vnc"
    RDP = "rdp"
    TCP = "tcp"
    SFTP = "sftp"


class Direction(Word):
    """Which way files go: `in` to the machine, `out` of it."""

    IN = "in"
    OUT = "out"
    BOTH = "both"


class TransferState(Word):
    """Where the transfer of a file stands."""

    QUEUED = "QUEUED"
    OFFERED = "OFFERED"
    TRANSFERRING = "TRANSFERRING"
    PAUSED = "PAUSED"
    VERIFYING = "VERIFYING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class EndReason(Word):
    """Why a session ended, beside the codes of refusals."""

    CLOSED_BY_USER = "closed_by_user"
    REFUSED_BY_OWNER = "refused_by_owner"
    REFUSED_BY_DEVICE = "refused_by_device"
    CONSENT_TIMEOUT = "consent_timeout"
    OFFER_TIMEOUT = "offer_timeout"
    CONNECT_TIMEOUT = "connect_timeout"
    RESUME_TIMEOUT = "resume_timeout"
    CONNECT_ERROR = "connect_error"
    IDLE_LIMIT = "idle_limit"
    LIFETIME_LIMIT = "lifetime_limit"
    EPOCH_CHANGED = "epoch_changed"


class RelayNews(Word):
    """What a relay reports of a session."""

    SOURCE_UP = "source_up"
    DESTINATION_UP = "destination_up"
    DESTINATION_LOST = "destination_lost"
    FAILED = "failed"
    PROGRESS = "progress"
