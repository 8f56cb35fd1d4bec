"""What is remembered of a device and its sessions, and what a decision comes to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.contracts.case import Actor
from shared.contracts.presence import Presence
from shared.contracts.session_words import LIVE_STATES, SessionState
from shared.contracts.sessions import Consent, RemoteSession, SessionEndpoint, Terminal, Transfer
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import RefusalCode

SESSIONS_MAX: Final = 3
SERVICES_MAX: Final = 8
ENDED_KEPT: Final = 20
RECENT_MAX: Final = 128
EPOCH_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What of a case matters for sessions, as of its event `seq`."""

    id: str
    tenant_id: str
    counterpart_tenant_id: str | None = None
    shared: bool = False
    open: bool = True
    device_id: str | None = None
    assignees: tuple[str, ...] = ()
    seq: int = 0

    @property
    def parties(self) -> frozenset[str]:
        """The tenants that take part."""
        other = self.counterpart_tenant_id if self.shared else None
        return frozenset({self.tenant_id} | ({other} if other else set()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A session with what is told to nobody: the digest of its token, and what is known of its case."""

    session: RemoteSession
    case: CaseFacts
    token_hash: str | None = None
    resumes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """All sessions of one device, and what they rest on.

    `session_key` is its own public key, where it has one that the registry knows.
    Its endpoints are those that its owner `defined` for sessions, and those that the registry has under other names.
    """

    tenant_id: str
    device_id: str
    presence: Presence = Presence.UNKNOWN
    epoch: int = EPOCH_UNKNOWN
    boot: int | None = None
    defined: tuple[SessionEndpoint, ...] = ()
    registered: tuple[SessionEndpoint, ...] = ()
    registry_version: int = 0
    session_key: str | None = None
    allowed: tuple[str, ...] | None = None
    consents: tuple[Consent, ...] = ()
    sessions: tuple[Held, ...] = ()
    seq: int = 0
    audited: int = 0
    audit_hash: str = "0" * 64
    recent: tuple[tuple[str, str, int], ...] = ()
    due_at: datetime | None = None

    @property
    def endpoints(self) -> tuple[SessionEndpoint, ...]:
        """All endpoints."""
        names = {endpoint.name for endpoint in self.defined}
        return (*self.defined, *(endpoint for endpoint in self.registered if endpoint.name not in names))

    def has_rebooted_since(self, session: RemoteSession) -> bool:
        """Tell whether the device started anew after a session was offered to it.

        A device that tells its boots keeps its sessions through a connection that breaks; of others, every connection
        may be a new start.
        """
        if session.epoch is None or self.epoch <= session.epoch:
            return False
        return session.boot is None or self.boot != session.boot

    def find(self, session_id: str) -> Held | None:
        """Return a session."""
        return next((held for held in self.sessions if held.session.id == session_id), None)

    def put(self, held: Held) -> "Device":
        """Return the device with one session as it is now."""
        others = [other for other in self.sessions if other.session.id != held.session.id]
        return replace(self, sessions=_kept([*others, held]))


def _kept(sessions: list[Held]) -> tuple[Held, ...]:
    ended = [held for held in sessions if held.session.ended_at is not None]
    dropped = {held.session.id for held in ended[: max(0, len(ended) - ENDED_KEPT)]}
    return tuple(held for held in sessions if held.session.id not in dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take."""

    consent: timedelta = timedelta(minutes=15)
    offer: timedelta = timedelta(seconds=30)
    connect: timedelta = timedelta(seconds=30)
    resume: timedelta = timedelta(seconds=60)
    idle: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; `seq` counts those of the device."""

    name: str
    seq: int
    actor: Actor
    at: datetime
    change: dict[str, Any]
    case_id: str | None = None
    session: RemoteSession | None = None
    consent: Consent | None = None
    transfer: Transfer | None = None
    terminal: Terminal | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command came to: the device after it (nothing: unchanged), events, and whether it was refused.

    A refused command may still have events: what it found out ended a session.
    """

    device: Device | None = None
    events: tuple[Event, ...] = ()
    code: RefusalCode | None = None
    message: str = ""
    session_id: str | None = None
    seq: int | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a decision may ask beside the device: the time, who asks, the case, what tenants have set."""

    now: datetime
    actor: Actor
    cause_id: str
    tenant_of: Callable[[str], TenantData]
    limits: Limits = Limits()
    case: CaseFacts | None = None


def is_live(state: SessionState) -> bool:
    """Tell whether a session in this state may still become, or be, a way to the machine."""
    return state in LIVE_STATES
