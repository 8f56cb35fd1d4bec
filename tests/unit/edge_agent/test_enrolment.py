"""The key never leaves the device; a certificate is taken only if it is the device's own."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from callout_agent.enrolment import Denied, accept, request_of
from callout_agent.holder import Holder, NotDone, ask
from callout_agent.identity import Unfit, certificate, make_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY = ec.generate_private_key(ec.SECP256R1())


def holder(folder: Path) -> Holder:
    return Holder("acme/press-07", folder / "device.pem", folder / "device.key", folder / "ca.pem", folder / "sessions")


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def issued(request: bytes, *, name: str = "acme/press-07", days: float = 90) -> bytes:
    """Answer a request as the adapter does."""
    asked = x509.load_pem_x509_csr(json.loads(request)["csr"].encode())
    assert asked.is_signature_valid
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named("authority"))
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=abs(days)))
        .not_valid_after(now + timedelta(days=days))
        .sign(AUTHORITY, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return json.dumps({"outcome": "issued", "certificate": pem, "ca": "-----the authority's own-----"}).encode()


def test_from_a_request_to_a_certificate_for_the_devices_own_key(tmp_path: Path) -> None:
    own = holder(tmp_path)
    ends = accept(own, issued(request_of(own)))
    read = certificate(own.certificate, own.key)
    assert (read.name, read.ends) == ("acme/press-07", ends)
    assert read.due(0.5) == pytest.approx(time.time(), abs=60)
    assert (tmp_path / "ca.pem").read_text() == "-----the authority's own-----"
    assert own.key.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in request_of(own)


def test_the_key_stays_and_a_new_certificate_takes_the_place_of_the_old(tmp_path: Path) -> None:
    own = holder(tmp_path)
    accept(own, issued(request_of(own)))
    key, ca = own.key.read_bytes(), "kept"
    (tmp_path / "ca.pem").write_text(ca)
    accept(own, issued(request_of(own), days=200))
    assert certificate(own.certificate, own.key).ends > time.time() + 100 * 86400
    assert (own.key.read_bytes(), (tmp_path / "ca.pem").read_text()) == (key, ca)


def test_what_is_not_the_devices_own_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    own, other = holder(tmp_path / "a"), holder(tmp_path / "b")
    request = request_of(own)
    for answer in (
        issued(request_of(other)),
        issued(request, name="acme/other"),
        issued(request, days=-1),
        b"not json",
        b"[]",
        b'{"certificate": "-----BEGIN"}',
    ):
        with pytest.raises(Unfit):
            accept(own, answer)
    with pytest.raises(Denied) as denied:
        accept(own, b'{"outcome": "refused", "code": "unknown_code", "reason": "used"}')
    assert (denied.value.code, str(denied.value)) == ("unknown_code", "unknown_code: used")
    assert not own.certificate.exists()


def test_a_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    own = holder(tmp_path)
    own.key.write_text("no key")
    with pytest.raises(Unfit, match=r"device\.key: is no private key"):
        request_of(own)
    with pytest.raises(Unfit, match=r"none\.pem: cannot be read"):
        certificate(tmp_path / "none.pem")
    own.key.unlink()
    make_key(own.key)
    before = own.key.read_bytes()
    make_key(own.key)
    assert own.key.read_bytes() == before


def test_a_name_that_no_certificate_can_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="use a token"):
        request_of(holder(tmp_path)._replace(name="acme/" + "d" * 60))


async def test_a_child_does_it_for_the_running_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "services" / "edge_agent"))
    own = holder(tmp_path)
    answer = issued(await ask("request", own))
    ends = float(await ask("accept", own, answer))
    assert list(map(float, (await ask("span", own)).split()))[1] == ends
    with pytest.raises(NotDone, match="unknown_code"):
        await ask("accept", own, b'{"code": "unknown_code"}')


def sessions_told(request: bytes, user_ca: str = "ssh-ed25519 AAAA") -> bytes:
    return json.dumps(json.loads(issued(request)) | {"sessions": {"user_ca": user_ca}}).encode()


def test_a_key_for_remote_sessions_is_made_beside_it_and_its_public_half_alone_is_told(tmp_path: Path) -> None:
    own = holder(tmp_path)
    first, again = json.loads(request_of(own)), json.loads(request_of(own))
    private = tmp_path / "sessions" / "edge_host_key"
    assert re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/]{68}", first["session_key"])
    assert again["session_key"] == first["session_key"]
    assert (private.stat().st_mode & 0o077, private.parent.stat().st_mode & 0o077) == (0, 0)
    loaded = serialization.load_ssh_private_key(private.read_bytes(), None)
    told = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert told.decode() == first["session_key"]


def test_whom_relays_are_believed_by_comes_with_the_certificate_and_is_never_replaced(tmp_path: Path) -> None:
    own = holder(tmp_path)
    accept(own, issued(request_of(own)))
    kept = tmp_path / "sessions" / "user_ca.pub"
    assert not kept.exists(), "nothing was told of relays"
    accept(own, sessions_told(request_of(own)))
    accept(own, sessions_told(request_of(own), "ssh-ed25519 BBBB"))
    assert kept.read_text() == "ssh-ed25519 AAAA\n"


def test_a_key_for_sessions_that_cannot_be_used_holds_up_no_certificate(tmp_path: Path) -> None:
    own = holder(tmp_path)
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "edge_host_key").write_text("no key")
    request = request_of(own)
    assert "session_key" not in json.loads(request)
    accept(own, issued(request))
    assert own.certificate.exists()
