"""A real mosquitto on the loopback: devices by token in plain text, and by certificate over TLS."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.embedded.data_folder import LOOPBACK, DataFolder, is_listening
from deploy.embedded.supervisor import Program
from deploy.files import write_atomically
from shared.authority import Authority, utc_now, write_private
from shared.device_secrets import fresh_token, hash_of

NAME: Final = "mqtt"
#: As many as `services.edge_adapter.sessions` may hold.
ACCOUNTS: Final = 64
ACCOUNT: Final = "callout-edge-adapter-{session}"
LOOK_SECONDS: Final = 0.3
ADVICE: Final = (
    "Neither mosquitto nor its stand-in is there, so devices cannot come in over MQTT (everything else runs). "
    "On Debian and Ubuntu: apt-get install mosquitto. Or set CALLOUT_MQTT_URL to an MQTT 5 broker of yours."
)
ACCESS: Final = """\
# Who may say and hear what: %u is the user, <tenant>/<device> by its certificate or token.
pattern write callout/v1/%u/birth
pattern write callout/v1/%u/beat
pattern write callout/v1/%u/leave
pattern write callout/v1/%u/will
pattern write callout/v1/%u/signal
pattern write callout/v1/%u/clear
pattern write callout/v1/%u/journal
pattern write callout/v1/%u/reply
# Who has a one-time code alone is the user enroll/<tenant>/<device>: of what it may say, this is all anybody hears.
pattern write callout/v1/%u/csr
pattern read callout/v1/%u/command
pattern read callout/v1/%u/receipt
pattern read callout/v1/%u/certificate
"""
CONFIGURATION: Final = """\
per_listener_settings false
allow_anonymous false
password_file {identity}/passwords
acl_file {identity}/acl

persistence true
persistence_location {store}/
# What lies between two savings is lost when mosquitto is killed: receipts close that gap.
autosave_interval 5
persistent_client_expiration 14d

message_size_limit 262144
max_inflight_messages 100
# While Kafka is away, the sessions of the edge adapter fill up to the first of these.
max_queued_messages 100000
max_queued_bytes 20971520
set_tcp_nodelay true

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages {connection_messages}
log_timestamp_format %Y-%m-%dT%H:%M:%S
{user}
# The user is the client id: nobody can take another's session, or cut another's connection.
listener {port} {host}
use_username_as_clientid true

listener {tls_port} {host}
use_username_as_clientid true
cafile {identity}/ca.pem
certfile {identity}/server.pem
keyfile {identity}/server.key
crlfile {identity}/crl.pem
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
"""


class Mosquitto:
    """The broker of one data folder, and the identities that it believes."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._home = folder.path / NAME
        self._identity = self._home / "identity"
        self._port = folder.port(NAME)
        self._tls_port = folder.port(f"{NAME}s")
        self._watch: asyncio.Task[None] | None = None

    def door(self) -> dict[str, str]:
        """Return where devices come in, by the names of the variables."""
        return {
            "CALLOUT_MQTT_URL": f"mqtt://{LOOPBACK}:{self._port}",
            "CALLOUT_MQTTS_URL": f"mqtts://{LOOPBACK}:{self._tls_port}",
            "CALLOUT_MQTT_CA": str(self._identity / "ca.pem"),
        }

    def environment(self) -> dict[str, str]:
        """Return what the edge adapter needs to know."""
        return {
            "EDGE_ADAPTER_MQTT_URL": f"mqtt://{LOOPBACK}:{self._port}",
            "EDGE_ADAPTER_MQTT_USERNAME": ACCOUNT,
            "EDGE_ADAPTER_MQTT_PASSWORD": (self._identity / "adapter.secret").read_text(),
            "EDGE_ADAPTER_IDENTITY_DIR": str(self._identity),
        }

    def install(self, program: str) -> Program:
        """Make what it needs; return the program to run."""
        (self._home / "store").mkdir(parents=True, exist_ok=True)
        prepare_identities(self._identity, (LOOPBACK, "localhost"))
        configuration = CONFIGURATION.format(
            identity=self._identity,
            store=self._home / "store",
            host=LOOPBACK,
            port=self._port,
            tls_port=self._tls_port,
            connection_messages="true",
            # As root it would become another user, who may not read the folder.
            user="user root\n" if os.geteuid() == 0 else "",
        )
        file = self._home / "mosquitto.conf"
        write_atomically(file, configuration)
        return Program(
            name=NAME,
            command=(program, "-c", str(file)),
            log=self._folder.log(NAME),
            ready=self._is_ready,
            tier=0,
            stop_seconds=10,
        )

    def reload_on_change(self, pids: Callable[[], list[int]]) -> None:
        """From now on, let the broker read passwords, access list and revoked certificates again when they change."""
        self._watch = asyncio.create_task(self._reload_on_change(pids))

    async def stop_watching(self) -> None:
        """Let it be."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def _is_ready(self) -> bool:
        return is_listening(self._port) and is_listening(self._tls_port)

    async def _reload_on_change(self, pids: Callable[[], list[int]]) -> None:
        seen = self._changed_at()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            changed = self._changed_at()
            if changed == seen:
                continue
            seen = changed
            for pid in pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)

    def _changed_at(self) -> tuple[int, ...]:
        return tuple((self._identity / name).stat().st_mtime_ns for name in ("passwords", "acl", "crl.pem"))


def prepare_identities(folder: Path, names: Sequence[str]) -> None:
    """Make what is not there yet of what a broker with these names believes.

    That is the authority of devices' certificates, its own certificate, the adapters' accounts and the access list;
    the edge adapter keeps passwords, access list and revoked certificates from then on.
    """
    authority, now = Authority(folder), utc_now()
    authority.prepare(now)
    authority.issue_server(folder, names, now=now)
    secret = folder / "adapter.secret"
    if not secret.exists():
        write_private(secret, fresh_token().encode())
        hashed = hash_of(secret.read_text())
        lines = [f"{ACCOUNT.format(session=session)}:{hashed}\n" for session in range(ACCOUNTS)]
        write_private(folder / "accounts", "".join(lines).encode())
    adapters = [
        f"user {ACCOUNT.format(session=session)}\ntopic readwrite callout/v1/#\ntopic readwrite spBv1.0/#\n"
        for session in range(ACCOUNTS)
    ]
    # The edge adapter makes the access list of it: Sparkplug B has topics that no pattern can tie to a user.
    write_atomically(folder / "access", ACCESS + "".join(adapters))
    if not (folder / "acl").exists():
        write_atomically(folder / "acl", (folder / "access").read_text())
    passwords, revoked = folder / "passwords", folder / "crl.pem"
    if not passwords.exists():
        write_private(passwords, (folder / "accounts").read_bytes())
    if not revoked.exists():
        write_private(revoked, authority.revocations([], now=now).encode())


def mosquitto_program() -> str | None:
    """Return the program, if there is one; Debian puts it where only root's PATH leads."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
