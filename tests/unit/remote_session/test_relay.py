"""The relay and the machine's side of it with stock OpenSSH clients; decisions are the service's, Kafka is left out."""

import asyncio
import hashlib
import os
import resource
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from callout_agent.domain.allow import AllowList, Root, endpoint_of
from callout_agent.sessions.dialler import Dialler, Identity

from deploy.embedded.data_folder import free_port
from deploy.session_access import direct_way_of
from services.remote_session.relay.authority import HOST_ALIAS, Authority
from services.remote_session.relay.door import Door
from services.remote_session.relay.edges import Edges
from services.remote_session.relay.figures import OVER, STOPPED
from services.remote_session.relay.leases import Leases
from services.remote_session.relay.ledger import SessionLedger
from services.remote_session.store import to_document
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import RemoteSession, SessionEvent
from shared.storage import Write
from shared.testing import MemoryDocuments
from tests.unit.remote_session.machine import Machine

HERE = "127.0.0.1"
TOKEN = "a-token-of-tinas"
#: What comes about by itself comes at once; a crowded machine needs longer, and only what is promised is bounded.
SOON = 60.0
#: So many at once.
TUNNELS = int(os.environ.get("SESSION_TUNNELS", "500"))
NEEDS_SSH = pytest.mark.skipif(shutil.which("ssh") is None and not os.environ.get("CI"), reason="needs openssh-client")
pytestmark = NEEDS_SSH


class Ledger(SessionLedger):
    """The relay's ledger, fed by the service's decisions instead of topics."""

    def __init__(self, machine: Machine) -> None:
        self.documents = MemoryDocuments()
        super().__init__("", self.documents, MemoryDocuments(), self._nothing)
        self.machine = machine
        self.on_change: Callable[[SessionEvent], Awaitable[None]] = self._nothing
        self.told = 0
        self.away = False

    async def _nothing(self, _: SessionEvent) -> None:
        return None

    async def say(self, name: str, /, **arguments: Any) -> None:
        """Let the service decide, write down and tell."""
        self.machine.now = max(self.machine.now, datetime.now(UTC))
        self.machine.say(name, **arguments)
        await self.publish()

    async def publish(self) -> None:
        device = self.machine.device
        assert device is not None
        [stored] = await self.documents.find(["acme/press-07"]) or [{"revision": 0}]
        document = to_document(device) | {"_id": "acme/press-07", "revision": stored["revision"] + 1}
        await self.documents.replace([Write("acme/press-07", stored["revision"], document)])
        fresh, self.told = self.machine.events[self.told :], len(self.machine.events)
        for event in fresh:
            if event.session is not None:
                self._take(event.session)
                body = SessionEvent.model_construct(session=event.session, consent=event.consent)
                await self.on_change(body)

    async def send(self, session: RemoteSession, name: str, /, **arguments: Any) -> None:
        given = {key: value for key, value in arguments.items() if value is not None}
        await self.say(name, session_id=session.id, attempt=session.attempt, **given)

    async def leases(self, key: str) -> Any:
        if self.away:
            await asyncio.sleep(3600)
        return await super().leases(key)


class Relay:
    """One more relay: the same authority and the same service."""

    def __init__(self, authority: Authority, ledger: Ledger) -> None:
        self.authority = authority
        self.edges = Edges(authority, ledger)
        self.door = Door(authority, ledger, self.edges)
        self.leases = Leases(ledger, self.door, self.edges)

    async def heard(self, event: SessionEvent) -> None:
        session = event.session
        assert session is not None
        edge = self.edges.find(session)
        if session.state is SessionState.OFFERED and edge is not None:
            edge.offer(event)
        elif session.state not in {SessionState.CONNECTING, SessionState.ACTIVE}:
            self.door.cut(session.id, OVER)
            if edge is not None:
                edge.tell({"do": "revoke", "session": session.id})

    async def start(self) -> None:
        """Listen, as a relay does."""
        await self.leases.start()
        self.port = await self.door.start(HERE, 0)
        self.edges.relay = f"{HERE}:{self.port}"
        self.edge_port = await self.edges.start(HERE, 0)

    async def die(self) -> None:
        """Be gone as a killed process is: every connection breaks, and nothing is told."""
        await self.leases.stop()
        self.edges._lost = nothing_more  # type: ignore[method-assign]
        for listener in (self.edges._listener, self.door._server):
            assert listener is not None
            listener.close()
        for edge in self.edges.all():
            edge.connection.abort()
        for session_id in list(self.door.inside):
            self.door.cut(session_id, STOPPED)


async def nothing_more(_: Any) -> None:
    return None


class Site(Relay):
    """A relay, a machine that dials it, something behind the machine, and a technician with stock clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = Machine()
        self.machine.now = datetime.now(UTC)
        self.ledger = Ledger(self.machine)
        super().__init__(Authority(folder / "relay"), self.ledger)
        self.rules = AllowList(
            forbid_all=False, endpoints=(endpoint_of(f"{HERE}:*"),), roots=(Root(str(folder), writable=True),)
        )
        self.tasks: list[asyncio.Task[None]] = []
        self.sessions = 0
        self.others: list[Relay] = []
        #: Whether to go the direct way instead of by a jump.
        self.direct = False

    async def open(self) -> "Site":
        await self.prepare()
        identity = Identity("acme", "press-07", self.folder / "edge")
        self.dialler = Dialler(identity, [(HERE, self.edge_port)], lambda: self.rules)
        self.tasks.append(asyncio.create_task(self.dialler.run()))
        await self.until(lambda: bool(self.edges.all()))
        return self

    async def prepare(self) -> None:
        """Listen, and have keys for the machine and the technician."""
        self.ledger.on_change = self.changed
        await self.start()
        self.authority.enrol_edge("acme", "press-07", self.folder / "edge")
        (self.folder / "known_hosts").write_text(f"@cert-authority * {self.authority.host_ca}\n")
        await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key"))
        askpass = self.folder / "askpass"
        askpass.write_text('#!/bin/sh\necho "$TOKEN"\n')
        askpass.chmod(0o700)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.leases.stop()
        await self.door.stop()
        await self.edges.stop()

    async def changed(self, event: SessionEvent) -> None:
        for relay in (self, *self.others):
            await relay.heard(event)

    @property
    def transfers(self) -> list[tuple[str, int]]:
        """Where the files of the newest session stand."""
        return [(each.state.value, each.offset) for each in self.machine.only.session.transfers]

    async def until(self, true: Callable[[], bool], seconds: float = SOON) -> None:
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends, "it did not come to that"
            await asyncio.sleep(0.01)

    async def offered(self, *endpoints: dict[str, Any], **request: Any) -> str:
        """Ask for a session to some endpoints, with consent; return its id."""
        self.sessions += 1
        token = f"{TOKEN}-{self.sessions}"
        await self.ledger.say("observe_presence", state="online", epoch=1)
        await self.ledger.say("define", endpoints=list(endpoints))
        await self.ledger.say("grant")
        wanted = {"services": [{"endpoint": each["name"]} for each in endpoints], **request}
        await self.ledger.say("request", token_hash=hashlib.sha256(token.encode()).hexdigest(), **wanted)
        return self.machine.only.session.id

    async def certified(self, session_id: str, token: str = "", key: str = "key") -> tuple[int, str]:
        """Buy a certificate with stock ssh; return its exit code and what it said."""
        code, out = await run(
            *("ssh", "-F", "none", "-p", str(self.port), "-o", "PubkeyAuthentication=no"),
            *("-o", f"UserKnownHostsFile={self.folder}/known_hosts", "-o", f"HostKeyAlias={HOST_ALIAS}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "NumberOfPasswordPrompts=1", "-o", "LogLevel=ERROR"),
            *(f"token-{session_id}@{HERE}", "certify"),
            stdin=(self.folder / f"{key}.pub").read_bytes(),
            TOKEN=token or f"{TOKEN}-{self.sessions}",
            SSH_ASKPASS=str(self.folder / "askpass"),
            SSH_ASKPASS_REQUIRE="force",
        )
        if code == 0:
            (self.folder / f"{key}-cert.pub").write_text(out)
        return code, out

    def config(self, session_id: str, *, user: str = "") -> str:
        """Write an ssh configuration of a session; return where."""
        common = f"""
  User {user or session_id}
  IdentityFile {self.folder}/key
  CertificateFile {self.folder}/key-cert.pub
  IdentitiesOnly yes
  UserKnownHostsFile {self.folder}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
"""
        path = self.folder / "config"
        jump = f"Host relay\n  HostName {HERE}\n  Port {self.port}\n  HostKeyAlias {HOST_ALIAS}{common}"
        target = f"Host machine\n  HostName {session_id}\n{self._way(session_id)}  HostKeyAlias press-07.acme{common}"
        path.write_text(jump + target)
        return str(path)

    def _way(self, session_id: str) -> str:
        if not self.direct:
            return "  ProxyJump relay\n"
        return direct_way_of(self.folder, [f"{HERE}:{self.port}"], self.authority.ticket(session_id))

    async def active(self, *endpoints: dict[str, Any], **request: Any) -> str:
        """Bring a session to where stock clients can use it."""
        session_id = await self.offered(*endpoints, **request)
        await self.until(lambda: self.machine.state is SessionState.CONNECTING)
        code, said = await self.certified(session_id)
        assert code == 0, said
        await self.until(lambda: self.machine.state is SessionState.ACTIVE)
        return session_id

    async def tunnel(self, session_id: str, target: int) -> tuple[Any, int]:
        """Open `ssh -L` to a port of the machine; return the process and the local port."""
        local = free_port()
        ssh = await asyncio.create_subprocess_exec(
            *("ssh", "-F", self.config(session_id), "-N", "-o", "ExitOnForwardFailure=yes"),
            *("-L", f"{HERE}:{local}:{HERE}:{target}", "machine"),
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3000):
            with socket.socket() as probe:
                if probe.connect_ex((HERE, local)) == 0:
                    return ssh, local
            if ssh.returncode is not None:
                break
            await asyncio.sleep(0.02)
        assert ssh.stderr is not None
        raise AssertionError((await ssh.stderr.read()).decode())


async def run(*command: str, stdin: bytes = b"", **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    out, _ = await asyncio.wait_for(process.communicate(stdin), 2 * SOON)
    return process.returncode or 0, out.decode(errors="replace")


async def serve(talk: Callable[[Any, Any], Awaitable[None]]) -> tuple[asyncio.Server, int]:
    """Serve on a free port of the loopback."""
    server = await asyncio.start_server(talk, HERE, 0)
    return server, server.sockets[0].getsockname()[1]


async def greet(reader: Any, writer: Any) -> None:
    """Speak first, then echo until the other has ended."""
    writer.write(b"220 ready\r\n")
    while data := await reader.read(65536):
        writer.write(data)
    writer.write(b"bye\r\n")
    await writer.drain()
    writer.close()


async def stream(reader: Any, writer: Any) -> None:
    """Send without an end."""
    while True:
        writer.write(bytes(65536))
        await writer.drain()


def allowing(*endpoints: str) -> AllowList:
    return AllowList(forbid_all=False, endpoints=tuple(map(endpoint_of, endpoints)))


def port(number: int, name: str = "target") -> dict[str, Any]:
    return {"name": name, "host": HERE, "port": number}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await Site(tmp_path).open()
    yield opened
    await opened.close()


async def test_a_server_that_speaks_first_is_heard_from_its_first_byte_and_ends_are_passed_on(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        ssh, local = await site.tunnel(session_id, number)
        for _ in range(20):
            reader, writer = await asyncio.open_connection(HERE, local)
            assert await reader.readexactly(11) == b"220 ready\r\n"
            writer.write(b"x" * 100_000)
            writer.write_eof()
            assert await reader.read() == b"x" * 100_000 + b"bye\r\n"
            writer.close()
        taken = site.dialler.holder.find(session_id)
        assert taken is not None
        assert taken.bytes_in >= 20 * 100_000
        assert taken.bytes_out >= 20 * 100_016
        ssh.terminate()
        await ssh.wait()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process, and those that it starts, have as many files open as the test needs."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(before, 8 * TUNNELS)), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.usefixtures("many_files")
async def test_many_tunnels_are_open_at_once_and_each_carries_its_own(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        ssh, local = await site.tunnel(await site.active(port(number)), number)
        ends = [await asyncio.open_connection(HERE, local) for _ in range(TUNNELS)]
        for at, (reader, writer) in enumerate(ends):
            assert await reader.readexactly(11) == b"220 ready\r\n"
            writer.write(b"%06d" % at)
        assert [await reader.readexactly(6) for reader, _ in ends] == [b"%06d" % at for at in range(TUNNELS)]
        for _, writer in ends:
            writer.close()
        ssh.terminate()
        await ssh.wait()


async def test_revoking_stops_the_last_byte_within_a_second_under_full_stream(site: Site) -> None:
    for _ in range(3):  # a machine that stood still for once is not what is looked at
        if (took := await seconds_to_the_last_byte(site)) < 1.0:
            break
    assert took < 1.0


async def seconds_to_the_last_byte(site: Site) -> float:
    """Revoke a session under full stream; return how long something came through it after that."""
    server, number = await serve(stream)
    session_id = await site.active(port(number))
    ssh, local = await site.tunnel(session_id, number)
    reader, writer = await asyncio.open_connection(HERE, local)
    await reader.readexactly(4 * 1024 * 1024)
    last = time.monotonic()

    async def drink() -> None:
        nonlocal last
        while await reader.read(65536):
            last = time.monotonic()

    drinking = asyncio.create_task(drink())
    await asyncio.sleep(0.2)
    revoked = time.monotonic()
    await site.ledger.say("withdraw")
    await asyncio.wait([drinking], timeout=SOON)
    assert drinking.done()
    await asyncio.wait_for(ssh.wait(), SOON)
    code, _ = await run("ssh", "-F", site.config(session_id), "-N", "machine")
    assert code == 255
    writer.close()
    server.close()
    return last - revoked


async def test_a_session_goes_on_at_another_relay_when_the_first_is_killed(site: Site) -> None:
    second = Relay(site.authority, site.ledger)
    await second.start()
    site.others.append(second)
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        site.dialler.relays[:] = [(HERE, second.edge_port), (HERE, site.edge_port)]
        ssh, _ = await site.tunnel(session_id, number)
        killed = time.monotonic()
        await site.die()
        await asyncio.wait_for(ssh.wait(), SOON)
        await site.until(lambda: site.machine.only.session.relay == second.edges.relay)
        await second.leases.renew(time.monotonic())
        site.port = second.port
        ssh, local = await site.tunnel(session_id, number)
        reader, writer = await asyncio.open_connection(HERE, local)
        assert await reader.readexactly(11) == b"220 ready\r\n"
        assert time.monotonic() - killed < 60
        assert (site.machine.state, site.machine.only.session.attempt) == (SessionState.ACTIVE, 1)
        writer.close()
        ssh.terminate()
        await ssh.wait()
    await second.leases.stop()
    await second.door.stop()
    await second.edges.stop()


async def test_a_token_buys_one_certificate_and_no_second_and_a_wrong_one_buys_none(site: Site) -> None:
    session_id = await site.offered(port(9))
    await site.until(lambda: site.machine.state is SessionState.CONNECTING)
    assert (await site.certified(session_id, token="wrong"))[0] == 255
    assert (await site.certified(session_id))[0] == 0
    assert (await site.certified(session_id))[0] == 255


async def test_a_token_of_another_session_or_of_one_that_is_not_offered_buys_nothing(site: Site) -> None:
    first = await site.offered(port(9))
    await site.until(lambda: site.machine.state is SessionState.CONNECTING)
    await asyncio.sleep(0.01)
    second = await site.offered(port(9))
    await site.until(lambda: site.machine.state is SessionState.CONNECTING)
    assert (await site.certified(first))[0] == 255
    assert (await site.certified("no-such-session"))[0] == 255
    assert (await site.certified(second))[0] == 0


async def test_a_session_that_names_a_key_is_good_for_that_key_alone(site: Site) -> None:
    await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(site.folder / "other"))
    mine = (site.folder / "key.pub").read_text().strip()
    session_id = await site.offered(port(9), public_key=mine)
    await site.until(lambda: site.machine.state is SessionState.CONNECTING)
    code, said = await site.certified(session_id, key="other")
    assert (code, "another key" in said) == (1, True)


async def test_a_certificate_opens_its_own_session_and_no_other(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        first = await site.active(port(number))
        await asyncio.sleep(0.01)
        second = await site.offered(port(number))
        await site.until(lambda: site.machine.state is SessionState.CONNECTING)
        code, _ = await run("ssh", "-F", site.config(second), "-N", "machine")
        assert code == 255
        code, _ = await run("ssh", "-F", site.config(second, user=first), "-N", "machine")
        assert code == 255


async def test_the_way_leads_to_the_sessions_device_and_its_targets_alone(site: Site) -> None:
    server, number = await serve(greet)
    other, elsewhere = await serve(greet)
    async with server, other:
        session_id = await site.active(port(number))
        config = site.config(session_id)
        for target in (f"{HERE}:{site.port}", f"{HERE}:22", "another-session:22", f"{session_id}:23"):
            code, said = await run("ssh", "-F", config, "-W", target, "relay")
            assert (code, "forwarding failed" in said) == (255, True), said
        code, said = await run("ssh", "-F", config, "-W", f"{HERE}:{elsewhere}", "machine")
        assert (code, "forwarding failed" in said) == (255, True), said
        code, said = await run("ssh", "-F", config, "-W", f"{HERE}:{number}", "machine")
        assert (code, said) == (0, "220 ready\r\nbye\r\n")
        for host in ("relay", "machine"):
            assert (await run("ssh", "-F", config, host, "id"))[0] != 0


async def test_what_the_machine_does_not_allow_is_denied_whatever_the_broker_says(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        site.rules = allowing(f"{HERE}:{number}")
        session_id = await site.active(port(number))
        site.rules = allowing()
        code, said = await run("ssh", "-F", site.config(session_id), "-W", f"{HERE}:{number}", "machine")
        assert (code, "forwarding failed" in said) == (255, True)
        await asyncio.sleep(0.01)
        await site.offered(port(number))
        await site.until(lambda: site.machine.state is SessionState.REJECTED)
        assert site.machine.only.session.end_reason == "target_denied"


async def test_the_switch_at_the_machine_cuts_everything_off(site: Site) -> None:
    server, number = await serve(stream)
    session_id = await site.active(port(number))
    ssh, local = await site.tunnel(session_id, number)
    reader, writer = await asyncio.open_connection(HERE, local)
    await reader.readexactly(65536)
    site.rules = AllowList()
    while await asyncio.wait_for(reader.read(1024 * 1024), SOON):
        pass
    await asyncio.wait_for(ssh.wait(), SOON)
    writer.close()
    server.close()


async def test_a_machine_whose_leases_are_not_renewed_cuts_off_by_itself(site: Site) -> None:
    server, number = await serve(stream)
    session_id = await site.active(port(number))
    ssh, local = await site.tunnel(session_id, number)
    taken = site.dialler.holder.find(session_id)
    assert taken is not None
    await site.leases.stop()
    await site.leases.renew(time.monotonic())
    await asyncio.sleep(0.3)
    assert site.dialler.holder.find(session_id) is taken
    taken.renewed_at -= 16
    await asyncio.wait_for(ssh.wait(), SOON)
    assert site.dialler.holder.find(session_id) is None
    assert local
    server.close()


async def test_a_relay_that_cannot_ask_the_store_for_fifteen_seconds_cuts_off(site: Site) -> None:
    server, number = await serve(stream)
    session_id = await site.active(port(number))
    ssh, _ = await site.tunnel(session_id, number)
    await site.leases.stop()
    now = time.monotonic()
    await site.leases.renew(now)
    site.ledger.documents = site.ledger._sessions = Unreachable()  # type: ignore[assignment]
    await site.leases.renew(now + 9)
    assert ssh.returncode is None
    await site.leases.renew(now + 15)
    await asyncio.wait_for(ssh.wait(), SOON)
    server.close()


async def test_an_edge_that_is_not_enrolled_or_names_another_device_is_not_admitted(site: Site) -> None:
    Authority(site.folder / "rogue").enrol_edge("acme", "press-08", site.folder / "rogue-edge")
    shutil.copy(site.folder / "edge" / "user_ca.pub", site.folder / "rogue-edge" / "user_ca.pub")
    for name, folder in (("press-08", "rogue-edge"), ("press-08", "edge")):
        identity = Identity("acme", name, site.folder / folder)
        dialler = Dialler(identity, [(HERE, site.edge_port)], lambda: site.rules)
        task = asyncio.create_task(dialler.run())
        await asyncio.sleep(1)
        assert [edge.key for edge in site.edges.all()] == ["acme/press-07"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_connection_that_is_lost_comes_back_and_the_session_goes_on(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        site.edges.all()[0].connection.abort()
        await site.until(lambda: site.machine.state is SessionState.CONNECTING)
        await site.until(lambda: site.machine.state is SessionState.ACTIVE)
        code, said = await run("ssh", "-F", site.config(session_id), "-W", f"{HERE}:{number}", "machine")
        assert (code, said) == (0, "220 ready\r\nbye\r\n")


class Unreachable(MemoryDocuments):
    """A store that does not answer."""

    async def find(self, ids: Any) -> Any:
        from shared.errors import TransientError

        raise TransientError("no answer")


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folder_of(root: Path, **bounds: Any) -> dict[str, Any]:
    return {"name": "files", "kind": "file", "protocol": "sftp", "root": str(root), **bounds}


async def sftp(site: Site, session_id: str, *lines: str) -> tuple[int, str]:
    """Do something with stock sftp."""
    command = ("sftp", "-F", site.config(session_id), "-b", "-", "machine")
    return await run(*command, stdin="\n".join(lines).encode() + b"\n")


async def test_files_go_both_ways_by_stock_sftp_and_are_resumed(site: Site) -> None:
    root = site.folder / "root"
    root.mkdir()
    (root / "log.bin").write_bytes(os.urandom(3_000_000))
    (site.folder / "up.bin").write_bytes(os.urandom(2_000_000))
    session_id = await site.active(folder_of(root), kind="file")
    got = site.folder / "got.bin"
    got.write_bytes((root / "log.bin").read_bytes()[:1_000_000])
    code, said = await sftp(site, session_id, f"reget log.bin {got}", f"put {site.folder}/up.bin up.bin", "ls")
    assert code == 0, said
    assert got.read_bytes() == (root / "log.bin").read_bytes()
    assert (root / "up.bin").read_bytes() == (site.folder / "up.bin").read_bytes()
    taken = site.dialler.holder.find(session_id)
    assert taken is not None
    assert (taken.bytes_in, taken.bytes_out) == (2_000_000, 2_000_000)


async def test_files_that_were_queued_are_done_when_the_machine_found_the_same_digest(site: Site) -> None:
    root = site.folder / "root"
    root.mkdir()
    (root / "log.bin").write_bytes(os.urandom(1_000_000))
    (site.folder / "up.bin").write_bytes(os.urandom(700_000))
    session_id = await site.active(folder_of(root), kind="file")
    up = {"size": 700_000, "sha256": digest_of(site.folder / "up.bin")}
    await site.ledger.say("transfer", direction="in", name="up.bin", **up)
    await site.ledger.say("transfer", direction="out", name="log.bin")
    (site.folder / "half").write_bytes((site.folder / "up.bin").read_bytes()[:300_000])
    assert (await sftp(site, session_id, f"put {site.folder}/half up.bin"))[0] == 0
    await site.until(lambda: site.transfers[0] == ("PAUSED", 300_000))
    code, said = await sftp(site, session_id, f"reput {site.folder}/up.bin up.bin", f"get log.bin {site.folder}/got")
    assert code == 0, said
    await site.until(lambda: site.transfers == [("DONE", 700_000), ("VERIFYING", 1_000_000)])
    got = {"size": 1_000_000, "sha256": digest_of(site.folder / "got")}
    asked = site.machine.only.session.transfers[1].id
    await site.ledger.say("verify_transfer", transfer_id=asked, **got)
    assert site.transfers[1] == ("DONE", 1_000_000)
    assert site.machine.told.count("transferred") == 2


async def test_a_file_that_was_changed_on_its_way_has_failed(site: Site) -> None:
    root = site.folder / "root"
    root.mkdir()
    (site.folder / "up.bin").write_bytes(b"x" * 1000)
    session_id = await site.active(folder_of(root), kind="file")
    other = hashlib.sha256(b"y" * 1000).hexdigest()
    await site.ledger.say("transfer", direction="in", name="up.bin", size=1000, sha256=other)
    assert (await sftp(site, session_id, f"put {site.folder}/up.bin up.bin"))[0] == 0
    await site.until(lambda: site.transfers == [("FAILED", 1000)])
    assert site.machine.only.session.transfers[0].reason == "digest_differs"


@pytest.mark.parametrize(
    "line",
    [
        "get /../../{folder}/secret",
        "get ../secret",
        "get link-to-secret",
        "get out/secret",
        "ls out",
        "get {folder}/secret",
        "symlink {folder}/secret here",
        "ln -s ../secret here",
        "ln kept here",
        "put {folder}/secret out/new",
        "put {folder}/secret kept",
        "rename kept other",
        "rm kept",
        "chmod 777 kept",
    ],
)
async def test_nothing_leaves_the_folder_nor_is_anything_in_it_changed(site: Site, line: str) -> None:
    root = site.folder / "root"
    root.mkdir()
    (site.folder / "secret").write_text("hush")
    (root / "kept").write_text("as it was")
    (root / "link-to-secret").symlink_to(site.folder / "secret")
    (root / "out").symlink_to(site.folder)
    session_id = await site.active(folder_of(root), kind="file")
    work = site.folder / "work"
    work.mkdir()
    code, _ = await sftp(site, session_id, f"lcd {work}", line.format(folder=site.folder))
    assert code == 1
    assert [path for path in work.iterdir() if path.read_bytes()] == []
    assert sorted(path.name for path in root.iterdir()) == ["kept", "link-to-secret", "out"]
    assert (root / "kept").read_text() == "as it was"
    assert not (site.folder / "new").exists()


async def test_direction_and_size_of_files_are_bounded(site: Site) -> None:
    root = site.folder / "root"
    root.mkdir()
    (root / "log").write_text("hello")
    (site.folder / "big").write_bytes(bytes(200_000))
    out = await site.active(folder_of(root, direction="out"), kind="file")
    code, _ = await sftp(site, out, f"put {site.folder}/big big")
    assert (code, (root / "big").exists()) == (1, False)
    assert (await sftp(site, out, f"get log {site.folder}/got"))[0] == 0
    await site.ledger.say("close", session_id=out)
    await asyncio.sleep(0.01)
    into = await site.active(folder_of(root, direction="in", file_bytes_max=100_000), kind="file")
    assert (await sftp(site, into, f"get log {site.folder}/got2"))[0] == 1
    assert (await sftp(site, into, f"put {site.folder}/big big"))[0] == 1
    assert (root / "big").stat().st_size <= 100_000


async def test_a_jump_ends_with_the_machines_side_though_nobody_ends_its_input(site: Site) -> None:
    session_id = await site.active(port(9))
    jump = await asyncio.create_subprocess_exec(
        *("ssh", "-F", site.config(session_id), "-W", f"{session_id}:22", "relay"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert jump.stdin is not None
    assert jump.stdout is not None
    assert (await asyncio.wait_for(jump.stdout.readline(), SOON)).startswith(b"SSH-2.0-")
    jump.stdin.write(b"this is no SSH\r\n" * 100)
    await asyncio.wait_for(jump.wait(), SOON)


async def test_a_session_for_ports_has_no_files_and_one_for_files_no_ports(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        assert (await sftp(site, session_id, "ls"))[0] == 255
        await site.ledger.say("close", session_id=session_id)
        await asyncio.sleep(0.01)
        files = await site.active(folder_of(site.folder), kind="file")
        assert (await sftp(site, files, "ls"))[0] == 0
        code, said = await run("ssh", "-F", site.config(files), "-W", f"{HERE}:{number}", "machine")
        assert (code, "forwarding failed" in said) == (255, True)
