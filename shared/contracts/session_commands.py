"""What remote sessions can be told to do: by people, by the relay and the device, and by the service's own view."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.attachments import AttachmentId
from shared.contracts.case import Actor
from shared.contracts.devices import SessionKey
from shared.contracts.fields import CaseId, DeviceId, Id, Instant, Model, TenantId, Text, Word
from shared.contracts.presence import Presence
from shared.contracts.session_words import Direction, RelayNews, SessionKind
from shared.contracts.sessions import (
    ENDPOINTS_MAX,
    LIFETIME_MINUTES_MAX,
    ConsentScope,
    Digest,
    EndpointName,
    FileName,
    FileSize,
    Relay,
    SessionEndpoint,
    Signature,
    Terminal,
)

Loose = Annotated[str, StringConstraints(min_length=1, max_length=255)]
TokenHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PublicKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\r\n]*)?$", max_length=8192)]
Target = Annotated[str, StringConstraints(pattern=r"^\S{1,300}$")]


class SessionCommand(Model):
    """Who asks what of the sessions of which device; `tenant_id` is the device's."""

    tenant_id: TenantId
    device_id: DeviceId
    actor: Actor


class OfCase(SessionCommand):
    """A command of people, always about a case."""

    case_id: CaseId


class OfSession(OfCase):
    """A command about one session of a case."""

    session_id: Id


class WantedService(Model):
    """An endpoint to reach, and what is to be different for this session alone."""

    endpoint: EndpointName
    local_host: Loose | None = None
    local_port: int | None = None
    remote_host: Loose | None = None
    remote_port: int | None = None
    proxy: Loose | None = None
    direction: Direction | None = None


class RequestSession(OfCase):
    """Ask for a session; its id is a UUIDv5 of the command's.

    `token_hash` is the SHA-256 of a token that only who asks knows; it buys a certificate for `public_key` alone.
    """

    kind: SessionKind = SessionKind.TUNNEL
    services: Annotated[tuple[WantedService, ...], Field(min_length=1, max_length=100)]
    lifetime_minutes: Annotated[int, Field(ge=1, le=LIFETIME_MINUTES_MAX)] = 120
    token_hash: TokenHash | None = None
    public_key: PublicKey | None = None
    reason: Text | None = None


class GrantConsent(OfCase):
    """Consent as the owner of the machine: to a session that waits for it, or to whatever of the case is in scope."""

    session_id: Id | None = None
    scope: ConsentScope = ConsentScope()
    signature: Signature | None = None


class RefuseConsent(OfSession):
    """Refuse consent to a session that waits for it."""

    reason: Text | None = None


class WithdrawConsent(OfCase):
    """Take consent back: one, or all of the case."""

    consent_id: Id | None = None
    reason: Text | None = None


class ActivateSession(OfSession):
    """Offer an inactive session to the device again, with a new token."""

    token_hash: TokenHash | None = None


class DeactivateSession(OfSession):
    """Take the ways of a session down and keep its lease."""


class CloseSession(OfSession):
    """End a session."""

    reason: Text | None = None


class TransferFile(OfSession):
    """Put the transfer of a file into the queue of a session for files; its id is a UUIDv5 of the command's.

    A file that goes `in` to the machine comes with its size and SHA-256. One that goes `out` may be asked to `attach`:
    it goes from the machine to where files of cases are kept, and into the case, through no technician's hands.
    """

    direction: Direction
    name: FileName
    size: FileSize | None = None
    sha256: Digest | None = None
    attach: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "TransferFile":
        if self.direction is Direction.BOTH:
            raise ValueError("direction: a file goes `in` or `out`")
        if self.direction is Direction.IN and (self.size is None or self.sha256 is None):
            raise ValueError("a file that goes in needs size and sha256")
        if self.attach and self.direction is not Direction.OUT:
            raise ValueError("attach: only a file that goes `out`")
        return self


class VerifyTransfer(OfSession):
    """Say what came of a file out of the machine: how much, and its SHA-256."""

    transfer_id: Id
    size: FileSize
    sha256: Digest


class CancelTransfer(OfSession):
    """Give a transfer up."""

    transfer_id: Id


class DefineEndpoints(SessionCommand):
    """Say which endpoints a machine has; and, where they are known, the targets that the device itself allows."""

    endpoints: Annotated[tuple[SessionEndpoint, ...], Field(max_length=ENDPOINTS_MAX)]
    allowed: Annotated[tuple[Target, ...], Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "DefineEndpoints":
        for endpoint in self.endpoints:
            if endpoint.kind is SessionKind.TUNNEL and (endpoint.host is None or endpoint.port is None):
                raise ValueError(f"endpoint {endpoint.name}: a tunnel needs host and port")
            if endpoint.kind is SessionKind.FILE and endpoint.root is None:
                raise ValueError(f"endpoint {endpoint.name}: files need a root")
        if len({endpoint.name for endpoint in self.endpoints}) < len(self.endpoints):
            raise ValueError("two endpoints have one name")
        return self


class AnswerOffer(SessionCommand):
    """The device takes an offer, or does not."""

    session_id: Id
    attempt: int
    accepted: bool
    code: Word | None = None
    reason: Text | None = None
    relay: Relay | None = None


class ReportSession(SessionCommand):
    """What the relay saw of a session; bytes are totals of the session."""

    session_id: Id
    attempt: int
    news: RelayNews
    bytes_in: Annotated[int, Field(ge=0)] | None = None
    bytes_out: Annotated[int, Field(ge=0)] | None = None
    active_at: Instant | None = None
    reason: Text | None = None
    relay: Relay | None = None


class ReportFile(SessionCommand):
    """What the machine saw of a file of a session: how far it is; with its SHA-256 when it was closed and is whole."""

    session_id: Id
    attempt: int
    direction: Direction
    name: FileName
    offset: FileSize
    size: FileSize | None = None
    sha256: Digest | None = None
    closed: bool = False


class ReportStored(SessionCommand):
    """What became of a file that is to be attached: stored as an attachment, so large, or why it was not."""

    session_id: Id
    attempt: int
    transfer_id: Id
    attachment_id: AttachmentId | None = None
    size: FileSize | None = None
    sha256: Digest | None = None
    reason: Word | None = None

    @model_validator(mode="after")
    def _whole(self) -> "ReportStored":
        if self.reason is None and None in {self.attachment_id, self.size, self.sha256}:
            raise ValueError("a file that was stored has an id, a size and a digest")
        return self


class ReportTerminal(SessionCommand):
    """What the machine says of a terminal of a session: it was opened, or closed; also after the session has ended."""

    session_id: Id
    attempt: int
    terminal: Terminal


class ObserveCase(OfCase):
    """A case is not what it was: whether it is shared and open, whose it is, of which device."""

    case_tenant_id: TenantId
    counterpart_tenant_id: TenantId | None = None
    shared: bool
    open: bool
    case_device_id: DeviceId | None = None
    assignees: tuple[Id, ...] = ()
    seq: int


class ObservePresence(SessionCommand):
    """The device is, or is not, within reach; `boot` tells whether it is still the run of before."""

    state: Presence = Field(strict=False)
    epoch: int
    boot: int | None = None


class ObserveRegistry(SessionCommand):
    """What the registry says that a machine has; an older version than the known one is old news."""

    endpoints: Annotated[tuple[SessionEndpoint, ...], Field(max_length=ENDPOINTS_MAX)] = ()
    session_key: SessionKey | None = None
    version: int


class SessionWake(SessionCommand):
    """It is time to look at the sessions of a device."""

    due_at: Instant | None = None


SESSION_COMMANDS: Final[dict[str, type[SessionCommand]]] = {
    "request": RequestSession,
    "grant": GrantConsent,
    "refuse": RefuseConsent,
    "withdraw": WithdrawConsent,
    "activate": ActivateSession,
    "deactivate": DeactivateSession,
    "close": CloseSession,
    "transfer": TransferFile,
    "verify_transfer": VerifyTransfer,
    "cancel_transfer": CancelTransfer,
    "define": DefineEndpoints,
    "answer": AnswerOffer,
    "report": ReportSession,
    "report_file": ReportFile,
    "report_stored": ReportStored,
    "report_terminal": ReportTerminal,
    "observe_case": ObserveCase,
    "observe_presence": ObservePresence,
    "observe_registry": ObserveRegistry,
    "wake": SessionWake,
}


def session_command_type(name: str) -> str:
    """Return the type on the wire of a command to sessions."""
    return f"callout.session.{name}.v1"


def session_command_name(type_: str) -> str:
    """Return the command's name in a type on the wire."""
    return type_.removeprefix("callout.session.").rsplit(".v", 1)[0]
