"""An authority of our own for certificates of devices: makes them, and tells which are revoked (X.509)."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import PermanentError

COMMON_NAME_MAX: Final = 64  # X.520
RSA_BITS_MIN: Final = 2_048
YEARS: Final = timedelta(days=3_650)
#: Clocks differ: what is made now is good since a while.
BACKDATED: Final = timedelta(minutes=5)
CERTIFICATE_FILE, KEY_FILE = "ca.pem", "ca.key"


class RequestRefused(PermanentError):
    """No certificate can be made of a request; `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was made; whether it may be handed out is decided elsewhere."""

    pem: str
    serial: str
    key_fingerprint: str
    not_after: datetime


class Authority:
    """The authority whose certificate and key lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.certificate_file = folder / CERTIFICATE_FILE
        self._key_file = folder / KEY_FILE

    def prepare(self, now: datetime) -> None:
        """Make the authority unless it is there; its key is readable by its owner alone."""
        if self.certificate_file.exists():
            return
        self.certificate_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Callout devices")])
        usage = _key_usage(signs_certificates=True)
        builder = (
            _builder(name, name, key.public_key(), now, YEARS * 2)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        certificate = builder.sign(key, hashes.SHA256())
        write_private(self._key_file, private_pem(key))
        self.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def pem(self) -> str:
        """The authority's own certificate."""
        return self.certificate_file.read_text()

    def issue(self, request: bytes, common_name: str, *, now: datetime, days: int) -> Issued:
        """Make a client certificate for the key of a request (PKCS#10, PEM), good for one name.

        Raises:
            RequestRefused: the request cannot be read, is for somebody else, or its key is too weak.
        """
        asked = _read(request, common_name)
        public = asked.public_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        not_after = (now + timedelta(days=days)).replace(microsecond=0)
        certificate = self._signed(
            _builder(self._own.subject, subject, public, now, not_after - now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        return Issued(
            pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
            serial=f"{certificate.serial_number:x}",
            key_fingerprint=fingerprint(public),
            not_after=not_after,
        )

    def issue_server(self, folder: Path, names: Iterable[str], *, now: datetime) -> None:
        """Make key and certificate of a server with these names, unless they are there."""
        key_file, file = folder / "server.key", folder / "server.pem"
        if file.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        listed = list(names)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, listed[0])])
        certificate = self._signed(
            _builder(self._own.subject, subject, key.public_key(), now, YEARS)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in listed]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        write_private(key_file, private_pem(key))
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def revocations(self, revoked: Iterable[tuple[str, datetime]], *, now: datetime) -> str:
        """Return the list of revoked certificates, by serial and time.

        It is good for years: who reads it refuses everybody once it is out of date.
        """
        builder = x509.CertificateRevocationListBuilder(issuer_name=self._own.subject)
        builder = builder.last_update(now - BACKDATED).next_update(now + YEARS)
        for serial, at in sorted(revoked):
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    @property
    def _own(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    @property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PermanentError(f"{self._key_file} is no key of an elliptic curve")
        return key

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        key = self._key
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        return builder.add_extension(issuer, critical=False).sign(key, hashes.SHA256())


def make_request(common_name: str) -> tuple[str, str]:
    """Return a fresh key and a request for a certificate of it, both as PEM: what a device does for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return private_pem(key).decode(), request.public_bytes(serialization.Encoding.PEM).decode()


def fingerprint(public: CertificatePublicKeyTypes) -> str:
    """Return what names a public key: SHA-256 of it in DER."""
    digest = hashes.Hash(hashes.SHA256())
    der = serialization.PublicFormat.SubjectPublicKeyInfo
    digest.update(public.public_bytes(serialization.Encoding.DER, der))
    return digest.finalize().hex()


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, unencrypted."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def write_private(file: Path, content: bytes) -> None:
    """Write a file that its owner alone may read; it appears whole or not at all."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)
    fresh.replace(file)


def _read(request: bytes, common_name: str) -> x509.CertificateSigningRequest:
    if len(common_name) > COMMON_NAME_MAX:
        raise RequestRefused(
            "limit_exceeded", f"{common_name} is longer than {COMMON_NAME_MAX} characters: use a token"
        )
    try:
        asked = x509.load_pem_x509_csr(request)
        valid, public = asked.is_signature_valid, asked.public_key()
        named = [str(one.value) for one in asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise RequestRefused("invalid_data", "this is no request for a certificate (PKCS#10, PEM)") from error
    if not valid:
        raise RequestRefused("invalid_data", "the request is not signed with its own key")
    if named and named != [common_name]:
        raise RequestRefused("identity_mismatch", f"the request is for another name than {common_name}")
    strong = isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) or (
        isinstance(public, rsa.RSAPublicKey) and public.key_size >= RSA_BITS_MIN
    )
    if not strong:
        raise RequestRefused("weak_key", f"the key is no elliptic curve's, Ed25519's, nor RSA's of {RSA_BITS_MIN} bits")
    return asked


def _builder(
    issuer: x509.Name, subject: x509.Name, public: CertificatePublicKeyTypes, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def utc_now() -> datetime:
    """Return the time, to whole seconds: certificates know no more."""
    return datetime.now(UTC).replace(microsecond=0)


def listed_serials(file: Path) -> set[str] | None:
    """Return the serials of a list of revoked certificates; nothing where there is none."""
    if not file.exists():
        return None
    return {f"{one.serial_number:x}" for one in x509.load_pem_x509_crl(file.read_bytes())}
