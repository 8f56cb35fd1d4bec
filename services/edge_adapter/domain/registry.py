"""What is known of a device, and how that changes: pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from shared.contracts.devices import (
    CERTIFICATES_MAX,
    Certify,
    Decommission,
    DeviceFacts,
    Grant,
    Invite,
    Register,
    Registration,
    Revoke,
)

Facts = dict[str, Any]
NAMES: Final = tuple(DeviceFacts.model_fields)
REGISTERED, DECOMMISSIONED = "registered", "decommissioned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that was handed out."""

    serial: str
    key_fingerprint: str
    not_after: datetime
    issued_at: datetime
    revoked_at: datetime | None = None
    session_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A one-time code; the key that used it first may use it again, so that an answer may be lost."""

    secret: str
    expires_at: datetime
    used_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device: what people say of it, what it says itself, and how it may come in."""

    tenant_id: str
    device_id: str
    version: int = 0
    state: str = REGISTERED
    registered_at: datetime | None = None
    updated_at: datetime | None = None
    decommissioned_at: datetime | None = None
    said: Facts = field(default_factory=dict)
    reported: Facts = field(default_factory=dict)
    token: str | None = None
    invitation: Invitation | None = None
    certificates: tuple[Certificate, ...] = ()
    #: The last requests for certificates, and why they were refused, if they were.
    answers: tuple[tuple[str, str], ...] = ()

    @property
    def facts(self) -> Facts:
        """What is known of it: what people say goes over what it says of itself."""
        return {**self.reported, **self.said}

    @property
    def session_key(self) -> str | None:
        """Its key for remote sessions: of the newest certificate that came with one and is not revoked."""
        keys = (one.session_key for one in reversed(self.certificates) if one.revoked_at is None)
        return next(filter(None, keys), None)


def decide(device: Device | None, asked: Registration, now: datetime) -> Device | None:
    """Return the device after what is asked; nothing if that changes nothing."""
    known = device or Device(tenant_id=asked.tenant_id, device_id=asked.device_id, registered_at=now, updated_at=now)
    changed = _changed(known, asked, now)
    if device is not None and changed == device:
        return None
    return replace(changed, version=known.version + 1, updated_at=now)


def _changed(device: Device, asked: Registration, now: datetime) -> Device:
    match asked:
        case Register():
            return _register(device, asked)
        case Decommission():
            return _decommission(device, now)
        case Grant():
            return replace(_recommissioned(device), token=asked.secret)
        case Invite():
            invitation = Invitation(secret=asked.secret, expires_at=asked.expires_at)
            return replace(_recommissioned(device), invitation=invitation)
        case Certify():
            return _certify(device, asked, now)
        case Revoke():
            return _revoke(device, asked, now)
        case _:
            return device


def _register(device: Device, asked: Register) -> Device:
    told = asked.facts.model_dump(mode="json", exclude_none=True)
    if asked.reported:
        return replace(device, reported={**device.reported, **told})
    kept = {name: value for name, value in device.said.items() if name not in asked.clear}
    return replace(device, said={**kept, **told})


def _recommissioned(device: Device) -> Device:
    """Whoever lets a device in again wants it back."""
    return replace(device, state=REGISTERED, decommissioned_at=None)


def _decommission(device: Device, now: datetime) -> Device:
    if device.state == DECOMMISSIONED:
        return device
    return replace(
        device,
        state=DECOMMISSIONED,
        decommissioned_at=now,
        token=None,
        invitation=None,
        certificates=tuple(_revoked(one, now) for one in device.certificates),
    )


def _certify(device: Device, asked: Certify, now: datetime) -> Device:
    code = _refusal(device, asked, now)
    answers = (*(one for one in device.answers if one[0] != asked.serial), (asked.serial, code))[-CERTIFICATES_MAX:]
    if code:
        return replace(device, answers=answers)
    invitation = device.invitation
    if asked.by_code and invitation is not None:
        invitation = replace(invitation, used_by=asked.key_fingerprint)
    fresh = Certificate(
        serial=asked.serial,
        key_fingerprint=asked.key_fingerprint,
        not_after=asked.not_after,
        issued_at=now,
        session_key=asked.session_key,
    )
    kept = [one for one in device.certificates if one.not_after > now and one.serial != asked.serial]
    return replace(device, answers=answers, invitation=invitation, certificates=(*kept, fresh))


def _refusal(device: Device, asked: Certify, now: datetime) -> str:
    """Return why a device may not have a certificate; an empty text if it may."""
    if device.state == DECOMMISSIONED:
        return "decommissioned"
    valid = sum(one.not_after > now and one.revoked_at is None for one in device.certificates)
    if valid >= CERTIFICATES_MAX:
        return "limit_exceeded"
    if not asked.by_code:
        return ""
    invitation = device.invitation
    if invitation is None or invitation.expires_at <= now:
        return "code_expired"
    return "" if invitation.used_by in {None, asked.key_fingerprint} else "code_used"


def _revoke(device: Device, asked: Revoke, now: datetime) -> Device:
    certificates = tuple(_revoked(one, now) if one.serial == asked.serial else one for one in device.certificates)
    return replace(device, certificates=certificates, token=None if asked.token else device.token)


def _revoked(certificate: Certificate, now: datetime) -> Certificate:
    return certificate if certificate.revoked_at else replace(certificate, revoked_at=now)
