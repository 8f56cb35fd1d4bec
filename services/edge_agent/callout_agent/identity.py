"""Who the device is: its key, the request for a certificate, and what its certificate says.

The library `cryptography` is loaded here alone, and only when it is needed.
"""

from __future__ import annotations

import os
import secrets
from datetime import timezone
from pathlib import Path
from typing import NamedTuple

from callout_agent.segments import sync_folder

NAME_MAX = 64
#: What remote sessions need, in a folder of their own.
HOST_KEY, HOST_CERTIFICATE, USER_CA = "edge_host_key", "edge_host_key-cert.pub", "user_ca.pub"


class Unfit(Exception):
    """A key or certificate cannot be used; says why."""


class Certificate(NamedTuple):
    """What a certificate says: whose it is, from when until when (seconds since 1970)."""

    name: str
    begins: float
    ends: float

    def due(self, part: float) -> float:
        """Return when this part of its life has gone by."""
        return self.begins + part * (self.ends - self.begins)


def make_key(path: Path) -> None:
    """Make a private key (EC P-256), readable by its owner alone, where there is none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if path.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, text, mode=0o600)


def session_key(folder: Path) -> str:
    """Return the public half (OpenSSH) of the key by which relays know the device; it is made where there is none.

    Raises:
        Unfit: It cannot be used.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = folder / HOST_KEY
    if not path.exists():
        form, plain = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, form, plain)
        replace(path, made, mode=0o600)
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise Unfit(f"{path}: is no private key without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Unfit(f"{path}: is no Ed25519 key")
    public = serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, public).decode()


def request(key: Path, name: str) -> str:
    """Make a request for a certificate (PEM) for the owner of a key.

    Raises:
        Unfit: The key cannot be used, or the name is too long.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    if len(name) > NAME_MAX:
        raise Unfit(f"{name}: a certificate's name has at most {NAME_MAX} characters; use a token")
    private = _private(key)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Unfit(f"{key}: is no key of an elliptic curve; move it away and enroll again")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def certificate(path: Path, key: Path | None = None) -> Certificate:
    """Read a certificate; with a key, see that they belong together.

    Raises:
        Unfit: It cannot be read, or is another key's.
    """
    try:
        return read_certificate(path.read_bytes(), key, str(path))
    except OSError as error:
        raise Unfit(f"{path}: cannot be read: {error.strerror}") from error


def read_certificate(text: bytes, key: Path | None, where: str) -> Certificate:
    """Understand a certificate (PEM); with a key, see that they belong together.

    Raises:
        Unfit: It is none, or another key's.
    """
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        read = x509.load_pem_x509_certificate(text)
        [name] = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:
        raise Unfit(f"{where}: is no certificate with one common name: {error}") from error
    if key is not None and _private(key).public_key() != read.public_key():
        raise Unfit(f"{where}: is not of the key {key}")
    begins, ends = read.not_valid_before_utc, read.not_valid_after_utc
    return Certificate(
        str(name.value), begins.astimezone(timezone.utc).timestamp(), ends.astimezone(timezone.utc).timestamp()
    )


def replace(path: Path, text: bytes, *, mode: int = 0o644) -> None:
    """Write a file as a whole: whoever reads it finds the old or the new."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def _private(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - named only where the library is loaded
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise Unfit(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise Unfit(f"{path}: is no private key without a password") from error
