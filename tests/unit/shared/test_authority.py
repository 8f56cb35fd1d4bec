"""The authority of devices: certificates for the right name and key alone, and a list of those that are revoked."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.authority import Authority, RequestRefused, listed_serials, make_request

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
NAME = "acme/press-07"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.prepare(NOW)
    return made


def test_a_certificate_is_for_one_name_one_key_and_clients_alone(authority: Authority) -> None:
    _, request = make_request(NAME)
    issued = authority.issue(request.encode(), NAME, now=NOW, days=30)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert [one.value for one in certificate.subject] == [NAME]
    assert certificate.public_key() == x509.load_pem_x509_csr(request.encode()).public_key()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == issued.not_after == NOW + timedelta(days=30)
    assert f"{certificate.serial_number:x}" == issued.serial
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pem.encode()))


def test_a_request_for_another_name_is_refused(authority: Authority) -> None:
    _, request = make_request("acme/press-08")
    with pytest.raises(RequestRefused, match="identity_mismatch"):
        authority.issue(request.encode(), NAME, now=NOW, days=30)


@pytest.mark.parametrize("request_", [b"", b"x", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END"])
def test_what_is_no_request_is_refused(authority: Authority, request_: bytes) -> None:
    with pytest.raises(RequestRefused, match="invalid_data"):
        authority.issue(request_, NAME, now=NOW, days=30)


def test_a_weak_key_is_refused(authority: Authority) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    with pytest.raises(RequestRefused, match="weak_key"):
        authority.issue(request.public_bytes(serialization.Encoding.PEM), NAME, now=NOW, days=30)


def test_a_name_too_long_for_a_certificate_is_refused(authority: Authority) -> None:
    _, request = make_request(NAME)
    with pytest.raises(RequestRefused, match="limit_exceeded"):
        authority.issue(request.encode(), "acme/" + "p" * 60, now=NOW, days=30)


def test_revoked_certificates_are_listed_and_the_list_is_good_for_years(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "crl.pem"
    assert listed_serials(file) is None
    file.write_text(authority.revocations([("a1", NOW), ("ff00", NOW)], now=NOW))
    assert listed_serials(file) == {"a1", "ff00"}
    until = x509.load_pem_x509_crl(file.read_bytes()).next_update_utc
    assert until is not None
    assert until > NOW + timedelta(days=3_000)


def test_the_key_is_its_owner_s_alone_and_stays(authority: Authority) -> None:
    key = authority.certificate_file.with_name("ca.key")
    before = key.read_bytes()
    authority.prepare(NOW)
    assert key.read_bytes() == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
