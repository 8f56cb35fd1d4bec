"""Devices as they are known: what may be asked of the registry, and the record that it keeps of each device."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from shared.contracts import limits
from shared.contracts.case import Actor
from shared.contracts.fields import DeviceId, Id, Instant, Model, Tag, TenantId, Text, Title, Word

REGISTERED: Final = "callout.device.registered.v1"
REGISTRATIONS: Final = ("register", "grant", "invite", "certify", "revoke", "decommission")
MACHINES_MAX: Final = 50
ENDPOINTS_MAX: Final = 50
LABELS_MAX: Final = 50
CERTIFICATES_MAX: Final = 20
CSR_MAX: Final = 8_192

#: A salted hash as mosquitto keeps it; never the secret itself.
SecretHash = Annotated[
    str, StringConstraints(pattern=r"^\$7\$[1-9][0-9]{0,6}\$[A-Za-z0-9+/=]{8,88}\$[A-Za-z0-9+/=]{88}$")
]
CertificateSerial = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,40}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
#: An OpenSSH public key (Ed25519): by its private half, which never leaves it, a device is known to relays.
SessionKey = Annotated[str, StringConstraints(pattern=r"^ssh-ed25519 [A-Za-z0-9+/]{68}$")]
Host = Annotated[str, StringConstraints(min_length=1, max_length=253)]


def registration_type(name: str) -> str:
    """Return the type on the wire of something asked of the registry."""
    return f"callout.registry.{name}.v1"


class DeviceMachine(Model):
    """A machine that the device is built into or looks after."""

    id: Id
    serial: Word | None = None
    model: Word | None = None
    brand: Word | None = None
    technology: Word | None = None


class Endpoint(Model):
    """What a remote session may reach on a machine: a port (`tunnel`) or a folder (`file`)."""

    name: Word
    machine_id: Id | None = None
    kind: Annotated[str, StringConstraints(pattern="^(tunnel|file)$")]
    protocol: Word | None = None
    host: Host | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    path: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    direction: Annotated[str, StringConstraints(pattern="^(in|out|both)$")] | None = None
    quota_bytes: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class DeviceFacts(Model):
    """What is known of a device; a list or an object replaces the one before it as a whole."""

    name: Title | None = None
    serial: Word | None = None
    brand: Word | None = None
    device_type: Word | None = None
    firmware: Word | None = None
    machines: Annotated[tuple[DeviceMachine, ...], Field(max_length=MACHINES_MAX)] | None = None
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=ENDPOINTS_MAX)] | None = None
    labels: (
        Annotated[dict[Tag, Annotated[str, Field(max_length=limits.TITLE_MAX)]], Field(max_length=LABELS_MAX)] | None
    ) = None


class Registration(Model):
    """Something asked of the registry about one device."""

    tenant_id: TenantId
    device_id: DeviceId
    actor: Actor | None = None


class Register(Registration):
    """Know a device, and what is said of it; what `clear` names is forgotten.

    What people say goes over what the device says of itself (`reported`).
    """

    facts: DeviceFacts = DeviceFacts()
    clear: tuple[str, ...] = ()
    reported: bool = False


class Grant(Registration):
    """Let a device in by a token, as the password of the user `<tenant>/<device>`; it replaces the one before."""

    secret: SecretHash


class Invite(Registration):
    """Let a device fetch its first certificate with a one-time code, as the password of `enroll/<tenant>/<device>`."""

    secret: SecretHash
    expires_at: Instant


class Certify(Registration):
    """Hand out a certificate that was made for a device's own key, if it may have one.

    With `session_key` relays of remote sessions let the device in too, as long as the certificate is not revoked.
    """

    serial: CertificateSerial
    key_fingerprint: Fingerprint
    not_after: Instant
    by_code: bool = False
    session_key: SessionKey | None = None


class Revoke(Registration):
    """Let a device in no longer by one of its certificates, or by its token."""

    serial: CertificateSerial | None = None
    token: bool = False


class Decommission(Registration):
    """Let a device in no longer at all; it stays known, with its cases."""

    reason: Text | None = None


MODELS: Final[dict[str, type[Registration]]] = {
    "register": Register,
    "grant": Grant,
    "invite": Invite,
    "certify": Certify,
    "revoke": Revoke,
    "decommission": Decommission,
}


class DeviceCertificate(Model):
    """A certificate of a device; a revoked one is listed until it expires."""

    serial: CertificateSerial
    not_after: Instant
    issued_at: Instant
    revoked_at: Instant | None = None


class Registered(Model):
    """A device as it is known: the state after a change, told once for each."""

    tenant_id: TenantId
    device_id: DeviceId
    version: int
    state: Annotated[str, StringConstraints(pattern="^(registered|decommissioned)$")]
    registered_at: Instant
    updated_at: Instant
    decommissioned_at: Instant | None = None
    name: str | None = None
    serial: str | None = None
    brand: str | None = None
    device_type: str | None = None
    firmware: str | None = None
    machines: tuple[DeviceMachine, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    certificates: tuple[DeviceCertificate, ...] = ()
    token: bool = Field(False, description="Whether it has a token")
    invited_until: Instant | None = Field(None, description="Until when a one-time code may be used")
    session_key: SessionKey | None = Field(
        None, description="Its public key for remote sessions, if it made one: of its newest certificate that is good"
    )
