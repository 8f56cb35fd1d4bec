"""Remote sessions as their events tell them: endpoints of a machine, consent of its owner, and the session itself."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, model_validator, with_config

from shared.contracts.attachments import AttachmentId
from shared.contracts.case import CONFIG, Actor
from shared.contracts.events import Cause
from shared.contracts.fields import CaseId, DeviceId, Id, Instant, Model, TenantId, Text, Word
from shared.contracts.session_words import Direction, SessionKind, SessionState, TransferState, TunnelType
from shared.contracts.tenant_time import Spans, Zone

SERVICES_MAX: Final = 8
ENDPOINTS_MAX: Final = 50
CONSENTS_MAX: Final = 50
TRANSFERS_MAX: Final = 20
TERMINALS_MAX: Final = 20
LIFETIME_MINUTES_MAX: Final = 720

EVENTS: Final = (
    "requested",
    "offered",
    "rejected",
    "connecting",
    "active",
    "inactive",
    "expired",
    "failed",
    "closed",
    "revoked",
    "progressed",
    "transferred",
    "terminal_opened",
    "terminal_closed",
    "granted",
    "withdrawn",
    "defined",
)

EndpointName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:_-]{0,254}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1, max_length=7)]
Root = Annotated[str, StringConstraints(pattern=r"^/[^\x00]{0,1023}$")]
#: A part of a path that is neither empty, `.` nor `..`.
_PART: Final = r"(?:[^/.\x00-\x1f][^/\x00-\x1f]*|\.[^/.\x00-\x1f][^/\x00-\x1f]*|\.\.[^/\x00-\x1f]+)"
#: A file below the folder of an endpoint.
FileName = Annotated[str, StringConstraints(pattern=rf"^{_PART}(?:/{_PART})*$", max_length=1024)]
#: Where technicians reach a relay: host:port.
Relay = Annotated[str, StringConstraints(pattern=r"^\S{1,300}:[0-9]{1,5}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileSize = Annotated[int, Field(ge=0, le=10**15)]
Signature = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=8192)
]


def event_type(name: str) -> str:
    """Return the type on the wire of an event of a session."""
    return f"callout.session.{name}.v1"


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEndpoint:
    """A named target on a machine: a port for tunnels, a folder for files, with what holds there, or a terminal.

    What runs in a terminal, the machine alone says, by the endpoint's name.
    """

    name: EndpointName
    machine_id: Id | None = None
    kind: SessionKind = SessionKind.TUNNEL
    protocol: TunnelType = TunnelType.TCP
    host: Host | None = None
    port: Port | None = None
    root: Root | None = None
    direction: Direction = Direction.BOTH
    file_bytes_max: Annotated[int, Field(ge=1, le=10**12)] | None = None
    bytes_per_minute: Annotated[int, Field(ge=1, le=10**12)] | None = None
    overwrite: bool = False


class ConsentHours(Model):
    """Hours of some weekdays (1 is Monday), as `08:00-17:00`, in a time zone."""

    days: Days = (1, 2, 3, 4, 5, 6, 7)
    hours: Spans = ("00:00-24:00",)
    timezone: Zone = "UTC"


class ConsentScope(Model):
    """What an owner consents to; what is left out, or empty, sets no bound."""

    endpoints: Annotated[tuple[EndpointName, ...], Field(max_length=ENDPOINTS_MAX)] = ()
    ports: Annotated[tuple[Port, ...], Field(max_length=100)] = ()
    direction: Direction = Direction.BOTH
    persons: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    starts_at: Instant | None = None
    until: Instant | None = None
    hours: ConsentHours | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "ConsentScope":
        if self.starts_at is not None and self.until is not None and self.until <= self.starts_at:
            raise ValueError("`until` must be later than `starts_at`")
        return self


class Consent(Model):
    """That the owner of a machine lets somebody in: for a case, within a scope, of one session if it is named.

    `signature` is the owner's own, a JWS of the same facts, for the machine to check by itself.
    """

    id: Id
    case_id: CaseId
    session_id: Id | None = None
    scope: ConsentScope = ConsentScope()
    by: Actor
    at: Instant
    signature: Signature | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionService:
    """One endpoint as a session reaches it; `overridden` names what this session put in place of the endpoint's own."""

    endpoint: EndpointName
    protocol: TunnelType = TunnelType.TCP
    host: Host | None = None
    port: Port | None = None
    local_host: Host | None = None
    local_port: Port | None = None
    proxy: Word | None = None
    overridden: tuple[Word, ...] = ()
    root: Root | None = None
    direction: Direction = Direction.BOTH
    file_bytes_max: int | None = None
    bytes_per_minute: int | None = None
    overwrite: bool = False


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A file on its way `in` to the machine, or `out` of it.

    `size` and `sha256` are what who asked says of it, `machine_sha256` what the machine itself found; it is DONE when
    both are there and the same. `offset` is how far it is. One to `attach` is fetched by the relay and stored as the
    attachment `attachment_id`; `sha256` is then that of what was stored.
    """

    id: Id
    endpoint: EndpointName
    direction: Direction
    name: FileName
    state: TransferState
    size: FileSize | None = None
    sha256: Digest | None = None
    machine_sha256: Digest | None = None
    offset: FileSize = 0
    attach: bool = False
    attachment_id: AttachmentId | None = None
    requested_at: Instant
    since: Instant
    reason: Word | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """One use of a terminal, as the machine tells it: when, how large, how much, and how what ran there ended.

    `recording` is a file that the machine keeps (asciicast v2), known by its size and SHA-256 once it is closed;
    `reason` says why the machine itself ended it.
    """

    id: Id
    endpoint: EndpointName
    opened_at: Instant
    closed_at: Instant | None = None
    columns: Annotated[int, Field(ge=0, le=10_000)] = 80
    rows: Annotated[int, Field(ge=0, le=10_000)] = 24
    bytes_in: FileSize = 0
    bytes_out: FileSize = 0
    exit_status: int | None = None
    recording: FileName | None = None
    recording_bytes: FileSize | None = None
    recording_sha256: Digest | None = None
    reason: Word | None = None


@with_config(CONFIG)
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSession:
    """A session after its last event: `attempt` counts its offers; `epoch` and `boot` are the device's at the last one.

    `source` and `destination` tell which legs are up: the technician's certificate was fetched, the device is
    connected, to `relay`. `bytes_in` went to the machine, `bytes_out` came from it, as the device counted them.
    """

    id: Id
    case_id: CaseId
    tenant_id: TenantId
    device_id: DeviceId
    kind: SessionKind
    state: SessionState
    by: Actor
    services: tuple[SessionService, ...]
    transfers: tuple[Transfer, ...] = ()
    terminals: tuple[Terminal, ...] = ()
    public_key: str | None = None
    reason: Text | None = None
    requested_at: Instant
    since: Instant
    until: Instant | None = None
    expires_at: Instant
    consent_id: Id | None = None
    epoch: int | None = None
    boot: int | None = None
    attempt: int = 0
    source: bool = False
    destination: bool = False
    relay: Relay | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    active_at: Instant | None = None
    active_seconds: float = 0.0
    ended_at: Instant | None = None
    ended_by: Actor | None = None
    end_reason: Word | None = None


class SessionEvent(Model):
    """One change of a session, or of what a machine's sessions rest on; `seq` is gapless per device.

    `session` is the state after. `transferred` tells the end of the `transfer` of a file, `progressed` how far it is;
    with the owner of the case (`change.case_tenant_id`) where the file is to be attached. `terminal_opened` and
    `terminal_closed` tell of a `terminal`. Of `granted` and `withdrawn` there is the `consent`, of `defined` all
    `endpoints` and, where it is known, the device's own `allowed` targets. An `offered` session comes with the consent
    it rests on. `progressed` also tells what went through a session, the last time within a minute of its end.
    """

    tenant_id: TenantId
    device_id: DeviceId
    case_id: CaseId | None = None
    session_id: Id | None = None
    seq: int
    at: Instant
    actor: Actor
    cause: Cause
    change: dict[str, Any]
    session: RemoteSession | None = None
    transfer: Transfer | None = None
    terminal: Terminal | None = None
    consent: Consent | None = None
    endpoints: tuple[SessionEndpoint, ...] | None = None
    allowed: tuple[str, ...] | None = None
