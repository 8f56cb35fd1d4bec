"""The relay's authority: who may come in, for how long, shown by short OpenSSH certificates."""

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncssh
from asyncssh.public_key import CERT_TYPE_HOST

ALGORITHM: Final = "ssh-ed25519"
RELAY: Final = "relay"
#: Stands beside the name in certificates that are good only as long as the registry has their key.
REGISTERED: Final = "registered"
HOST_ALIAS: Final = "callout-relay"
SKEW: Final = timedelta(minutes=1)
EDGE_VALID: Final = timedelta(days=365)
RELAY_VALID: Final = timedelta(days=30)


def edge_principal(tenant_id: str, device_id: str) -> str:
    """Return the name by which an edge is known, to the relay and to technicians."""
    return f"{device_id}.{tenant_id}"


class Authority:
    """Two keys in a folder of the relay's: one signs users (technicians, relays), one signs hosts (relays, edges).

    Several relays share the folder, or copies of it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.users = self._key("user_ca")
        self.hosts = self._key("host_ca")
        self.host_key = self._key("relay_host_key")
        self._tickets = hashlib.sha256(b"tickets\0" + self.users.export_private_key("pkcs8-der")).digest()

    @property
    def user_ca(self) -> str:
        """The public key that edges and relays trust users by."""
        return text_of(self.users)

    @property
    def host_ca(self) -> str:
        """The public key that technicians and relays trust hosts by."""
        return text_of(self.hosts)

    def ticket(self, session_id: str) -> str:
        """Return the secret that opens the direct way to a session's device while the session may be used."""
        return hmac.new(self._tickets, session_id.encode(), hashlib.sha256).hexdigest()

    def certify_session(
        self, public_key: str, session_id: str, until: datetime, now: datetime, *, terminal: bool = False
    ) -> str:
        """Return a certificate over a technician's own key: good for one session, no longer than it lasts.

        With `terminal` it lets its owner ask for one.

        Raises:
            asyncssh.KeyImportError: the key is none.
        """
        key = asyncssh.import_public_key(public_key)
        certificate = self.users.generate_user_certificate(
            key,
            session_id,
            principals=[session_id],
            valid_after=(now - SKEW).timestamp(),
            valid_before=until.timestamp(),
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_user_rc=False,
            permit_pty=terminal,
        )
        return certificate.export_certificate().decode().strip()

    def relay_user(self) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        """Return what a relay shows edges."""
        key = asyncssh.generate_private_key(ALGORITHM)
        now = datetime.now(UTC)
        certificate = self.users.generate_user_certificate(
            key.convert_to_public(),
            RELAY,
            principals=[RELAY],
            valid_after=(now - SKEW).timestamp(),
            valid_before=(now + RELAY_VALID).timestamp(),
        )
        return key, certificate

    def relay_host(self, *names: str) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        """Return what a relay shows technicians, who know it by its alias, or by one of these names."""
        return self.host_key, self._host_certificate(self.host_key, HOST_ALIAS, RELAY_VALID, *names)

    def enrol_edge(self, tenant_id: str, device_id: str, out: Path) -> list[Path]:
        """Write what an edge needs: a host key with its certificate, and whom it trusts; return the files."""
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = asyncssh.generate_private_key(ALGORITHM)
        certificate = self._host_certificate(key, edge_principal(tenant_id, device_id), EDGE_VALID)
        files = {
            "edge_host_key": key.export_private_key(),
            "edge_host_key-cert.pub": certificate.export_certificate(),
            "user_ca.pub": self.user_ca.encode() + b"\n",
        }
        for name, content in files.items():
            _write(out / name, content)
        return [out / name for name in files]

    def certify_edge(self, key: asyncssh.SSHKey, name: str) -> str:
        """Return a certificate for a key that a device made itself: technicians know it by that, relays do not."""
        return self._host_certificate(key, name, EDGE_VALID, REGISTERED).export_certificate().decode().strip()

    def _host_certificate(
        self, key: asyncssh.SSHKey, name: str, valid: timedelta, *more: str
    ) -> asyncssh.SSHCertificate:
        now = datetime.now(UTC)
        return self.hosts.generate_host_certificate(
            key.convert_to_public(),
            name,
            principals=[name, *more],
            valid_after=(now - SKEW).timestamp(),
            valid_before=(now + valid).timestamp(),
        )

    def _key(self, name: str) -> asyncssh.SSHKey:
        path = self._folder / name
        if not path.exists():
            fresh = asyncssh.generate_private_key(ALGORITHM)
            part = path.with_name(f"{name}.{os.getpid()}")
            _write(part, fresh.export_private_key())
            try:
                os.link(part, path)  # whoever comes first: two relays may start at once
            except FileExistsError:
                pass
            finally:
                part.unlink()
        return asyncssh.read_private_key(str(path))


def is_edge(certificate_text: bytes, key: asyncssh.SSHKey | None, hosts: asyncssh.SSHKey, principal: str) -> bool:
    """Tell whether a certificate says that who holds a key is an edge of this name."""
    try:
        certificate: Any = asyncssh.import_certificate(certificate_text)
        if certificate.signing_key.public_data != hosts.public_data:
            return False
        certificate.validate(CERT_TYPE_HOST, principal)
    except (ValueError, AttributeError, asyncssh.Error):
        return False
    names = certificate.principals  # one without any would be good for every name
    if key is None or not names or REGISTERED in names:
        return False
    return bool(certificate.key.public_data == key.public_data)


def text_of(key: asyncssh.SSHKey) -> str:
    """Return a public key as OpenSSH writes it, without a comment."""
    return key.export_public_key().decode().strip()


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
