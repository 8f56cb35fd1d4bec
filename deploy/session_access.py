"""Opens a remote session over HTTP, buys its certificate, and writes what stock SSH clients need."""

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncssh
import httpx

from deploy import direct_way, proxy_way

POLL_SECONDS: Final = 0.3
REQUEST_SECONDS: Final = 30
WAITED_SECONDS: Final = 900
HOST_ALIAS: Final = "callout-relay"
KEY: Final = "id_ed25519"
TICKET: Final = "ticket"
ENDED: Final = frozenset({"REJECTED", "EXPIRED", "FAILED", "CLOSED", "REVOKED"})
WAYS: Final = frozenset({"CONNECTING", "ACTIVE"})


class NotOpened(Exception):
    """There is no session; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which session to open: of which case, to which endpoints (nothing: the only one), of which kind, how long.

    `proxy` is what stands between here and the relays: host:port (HTTP CONNECT), or socks5://host:port. With `jump` all
    is enciphered once more as far as the relay, as `ssh -J` does; so it is with a proxy.
    """

    case: str
    endpoints: tuple[str, ...] = ()
    kind: str = "tunnel"
    minutes: int = 120
    proxy: str | None = None
    jump: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A session that can be used: its state, and the configuration of `ssh` that leads there.

    `locals` is where each of its services is reached on this computer; nothing for one that is no port. With a ticket
    the way is the direct one.
    """

    session: Mapping[str, Any]
    config: Path
    ticket: str | None = None
    locals: tuple[tuple[str, int] | None, ...] = ()

    @property
    def forwards(self) -> list[str]:
        """What to give `ssh -L` for each port."""
        found = []
        for service, local in zip(self.session["services"], self.locals, strict=True):
            if local is not None:
                host = in_brackets(service["host"])
                found.append(f"{in_brackets(local[0])}:{local[1]}:{host}:{service['port']}")
        return found

    @property
    def command(self) -> list[str]:
        """The command that uses it: `sftp`, `ssh` with its ports, or with a terminal."""
        if self.session["kind"] == "file":
            return ["sftp", "-F", str(self.config), "machine"]
        if self.session["kind"] == "terminal":
            return ["ssh", "-F", str(self.config), "-t", "machine"]
        options = [word for each in self.forwards for word in ("-L", each)]
        return ["ssh", "-F", str(self.config), "-N", *options, "machine"]


async def open_session(url: str, token: str, wanted: Wanted, folder: Path, waiting: Callable[[str], None]) -> Access:
    """Ask for a session, wait until the owner consents and the device takes it, and get its certificate.

    Raises:
        NotOpened: it was refused, or ended before it could be used.
    """
    key = _key(folder)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=REQUEST_SECONDS) as http:
        path = f"/api/v1/cases/{wanted.case}"
        names = wanted.endpoints or await _only_endpoint(http, path, wanted.kind)
        public_key = key.export_public_key().decode().strip()
        through = {"proxy": wanted.proxy} if wanted.proxy else {}
        services = [{"endpoint": name, **through} for name in names]
        body: dict[str, Any] = {"kind": wanted.kind, "services": services}
        body |= {"lifetime_minutes": wanted.minutes, "public_key": public_key}
        session = told(await http.post(f"{path}/sessions", json=body))
        secret = session["token"]
        session = await _until_usable(http, f"{path}/sessions/{session['id']}", waiting)
        certificate, ticket = await _certify(session, secret, public_key)
    ports = tuple(local_of(service) for service in session["services"])
    is_direct = not wanted.jump and not wanted.proxy and hasattr(socket, "send_fds")
    shown = ticket.strip() if is_direct and ticket else None
    config = _write_config(folder, session, certificate, shown)
    return Access(session=session, config=config, ticket=shown, locals=ports)


def in_brackets(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def local_of(service: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return where to reach a service here: as asked, else at the port that it has there, else at a free one."""
    if not service.get("port") or service.get("root"):
        return None
    host = str(service.get("local_host", "127.0.0.1"))
    if "local_port" in service:
        return host, int(service["local_port"])
    for port in (int(service["port"]), 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return host, int(probe.getsockname()[1])
    return host, int(service["port"])


async def _only_endpoint(http: httpx.AsyncClient, path: str, kind: str) -> tuple[str, ...]:
    items = told(await http.get(f"{path}/endpoints"))["items"]
    names = [each["name"] for each in items if each.get("kind", "tunnel") == kind]
    if len(names) != 1:
        known = ", ".join(names) or "none"
        raise NotOpened(f"Say which endpoint with --type; of the kind {kind} the machine has: {known}.")
    return tuple(names)


async def _until_usable(http: httpx.AsyncClient, path: str, waiting: Callable[[str], None]) -> dict[str, Any]:
    ends, last = time.monotonic() + WAITED_SECONDS, ""
    while time.monotonic() < ends:
        session = told(await http.get(path))
        if session["state"] in WAYS:
            return session
        if session["state"] in ENDED:
            raise NotOpened(f"The session is {session['state']}: {session.get('end_reason')}.")
        if session["state"] != last:
            last = session["state"]
            waiting(last)
        await asyncio.sleep(POLL_SECONDS)
    raise NotOpened("It took too long.")


async def _certify(session: Mapping[str, Any], secret: str, public_key: str) -> tuple[str, str]:
    """Return the certificate of a session, and its ticket; none of a relay that knows no direct way."""
    ways = session["connect"]
    if not ways.get("known_hosts"):
        raise NotOpened("The gateway names no relay (GATEWAY_RELAY, GATEWAY_RELAY_HOST_CA).")
    host, _, port = ways["relay"].rpartition(":")
    try:
        async with asyncssh.connect(
            host.strip("[]"),
            int(port),
            username=f"token-{session['id']}",
            password=secret,
            client_keys=None,
            agent_path=None,
            config=None,
            host_key_alias=HOST_ALIAS,
            known_hosts=asyncssh.import_known_hosts(ways["known_hosts"]),
            proxy_command=proxy_command(session, host.strip("[]"), port),
        ) as relay:
            done = await relay.run("certify", input=f"{public_key}\n", timeout=REQUEST_SECONDS)
            said = str(done.stderr or "")
            ticket = await relay.run("ticket", timeout=REQUEST_SECONDS)
    except (OSError, asyncssh.Error) as error:
        raise NotOpened(f"The relay did not take the token: {error}.") from error
    if done.exit_status:
        raise NotOpened(f"The relay gave no certificate: {said}")
    return str(done.stdout), str(ticket.stdout)


def told(answer: httpx.Response) -> dict[str, Any]:
    """Return what the gateway said.

    Raises:
        NotOpened: it refused.
    """
    body: dict[str, Any] = answer.json()
    if answer.status_code >= httpx.codes.BAD_REQUEST:
        raise NotOpened(f"{body.get('code')}: {body.get('detail')}")
    if answer.status_code == httpx.codes.ACCEPTED:
        raise NotOpened("It is not known in time what became of it; try again.")
    return body


def proxy_command(session: Mapping[str, Any], host: str, port: str) -> Sequence[str] | None:
    """Return what leads to a relay through the proxy that a session was asked with; nothing without one."""
    proxy = next((each["proxy"] for each in session["services"] if each.get("proxy")), None)
    return (sys.executable, proxy_way.__file__, proxy, host, port) if proxy else None


def _key(folder: Path) -> asyncssh.SSHKey:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / KEY
    if not path.exists():
        fresh = asyncssh.generate_private_key("ssh-ed25519")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(fresh.export_private_key())
    return asyncssh.read_private_key(str(path))


def _write_config(folder: Path, session: Mapping[str, Any], certificate: str, ticket: str | None = None) -> Path:
    """Write what `ssh -F` needs; with a ticket it goes the direct way."""
    ways, name = session["connect"], session["id"]
    (folder / f"{KEY}-cert.pub").write_text(certificate)
    (folder / "known_hosts").write_text(f"{ways['known_hosts']}\n")
    common = (
        f"  User {name}\n  IdentityFile {folder}/{KEY}\n  CertificateFile {folder}/{KEY}-cert.pub\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking yes\n"
        "  BatchMode yes\n  ExitOnForwardFailure yes\n  ServerAliveInterval 15\n"
    )
    alias = f"{session['device_id']}.{session['tenant_id']}"
    config = folder / "config"
    relays = ways.get("relays") or [ways["relay"]]
    target = f"  HostName {name}\n  HostKeyAlias {alias}\n{common}"
    if ticket is not None:
        config.write_text(f"Host machine\n{direct_way_of(folder, relays, ticket)}{target}")
        return config
    through = proxy_command(session, "%h", "%p")
    more = f"  ProxyCommand {shlex.join(through)}\n{common}" if through else common
    text = "".join(_relay_entry(number, each, more) for number, each in enumerate(relays, 1))
    config.write_text(f"{text}Host machine\n{_way(config, relays)}{target}")
    return config


def direct_way_of(folder: Path, relays: Sequence[str], ticket: str) -> str:
    """Return how `ssh` comes to the machine by the direct way, over the first of the relays that leads there."""
    path = folder / TICKET
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(ticket)
    before, after = [sys.executable, "-P", direct_way.__file__, str(path)], list(relays)
    words = " %h ".join(shlex.join(each).replace("%", "%%") for each in (before, after))
    return f"  ProxyCommand {words}\n  ProxyUseFdpass yes\n"


def _relay_entry(number: int, relay: str, common: str) -> str:
    host, _, port = relay.rpartition(":")
    names = "relay relay-1" if number == 1 else f"relay-{number}"
    return f"Host {names}\n  HostName {host.strip('[]')}\n  Port {port}\n  HostKeyAlias {HOST_ALIAS}\n{common}"


def _way(config: Path, relays: Sequence[str]) -> str:
    """Return how to come to the machine: over the relay it was at, else over the next."""
    if len(relays) == 1:
        return "  ProxyJump relay\n"
    tries = [f"ssh -q -F {shlex.quote(str(config))} -W %h:22 relay-{number + 1}" for number in range(len(relays))]
    return f"  ProxyCommand sh -c {shlex.quote(' || '.join(tries))}\n"
