"""Ways that stock clients take: the lines of the HTTP answer as they are, SOCKS, proxies; fair to all who share one."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy import proxy_way
from deploy.session_access import _write_config
from services.gateway.http.connecting import ways_of
from tests.edge_agent import free_port
from tests.unit.remote_session.test_relay import HERE, NEEDS_SSH, Site, greet, port, run, serve, site, stream

__all__ = ["site"]
pytestmark = NEEDS_SSH
MIB = 1024 * 1024
#: What OpenSSH takes in one message at most.
CLIENTS_PACKET = 32 * 1024


class ConnectProxy:
    """A proxy that lets through by HTTP CONNECT, and notes where to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split()[1].decode()
        self.asked.append(target)
        host, _, number = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(number))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with suppress(OSError):
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let nobody through."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    writer.close()


def told_of(site: Site, session_id: str, number: int, **service: Any) -> dict[str, Any]:
    """Return the session as the HTTP answer has it."""
    services = [{"endpoint": "target", "host": HERE, "port": number, **service}]
    session = {"id": session_id, "kind": "tunnel", "tenant_id": "acme", "device_id": "press-07", "services": services}
    return session | {"connect": ways_of(session, f"{HERE}:{site.port}", site.authority.host_ca)}


@pytest.fixture
def home(site: Site) -> dict[str, str]:
    """The environment of a technician: the key where `ssh` looks by itself, `nc`, and nothing else."""
    place = site.folder / "home"
    (place / ".ssh").mkdir(parents=True)
    for name in ("key", "key.pub"):
        target = place / ".ssh" / name.replace("key", "id_ed25519")
        target.write_bytes((site.folder / name).read_bytes())
        target.chmod(0o600)
    tools = site.folder / "tools"
    tools.mkdir()
    config = place / "config"
    config.write_text(
        f"IdentityFile {place}/.ssh/id_ed25519\nCertificateFile {place}/.ssh/id_ed25519-cert.pub\n"
        f"UserKnownHostsFile {site.folder}/known_hosts\nStrictHostKeyChecking yes\nLogLevel ERROR\n"
    )  # what is in `~/.ssh`: the client asks the system, not the environment, where that is
    # `ssh` begins itself for -J, by its own name; the other stands for OpenBSD's.
    (tools / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    (tools / "nc").write_text(
        f'#!/bin/sh\ntest "$1" = -X -a "$3" = -x || exit 9\ntest "$2" = 5 && kind=socks5://\n'
        f'exec {sys.executable} {proxy_way.__file__} "$kind$4" "$5" "$6"\n'
    )
    for name in ("ssh", "nc"):
        (tools / name).chmod(0o755)
    askpass = {"SSH_ASKPASS": str(site.folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force"}
    return {"HOME": str(place), "PATH": f"{tools}:{os.environ['PATH']}", **askpass}


@asynccontextmanager
async def running(line: str, **environment: str) -> AsyncIterator[Any]:
    """Run a line of a shell as it is until the block ends."""
    process = await asyncio.create_subprocess_exec("sh", "-c", f"exec {line}", env={**os.environ, **environment})
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def greeted(local: int) -> bytes:
    """Return what the machine says at a port here, once there is a way."""
    for _ in range(1200):
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(HERE, local)
            try:
                return await reader.readexactly(11)
            finally:
                writer.close()
        await asyncio.sleep(0.05)
    raise AssertionError("no way")


@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "through a proxy"])
async def test_the_lines_of_the_answer_lead_to_the_machine_as_they_are(
    site: Site, home: dict[str, str], *, proxied: bool
) -> None:
    server, number = await serve(greet)
    proxy = ConnectProxy()
    between, at = await serve(proxy.talk)
    async with server, between:
        session_id = await site.offered(port(number))
        local = free_port()
        given = {"proxy": f"{HERE}:{at}"} if proxied else {}
        ways = told_of(site, session_id, number, local_port=local, **given)["connect"]
        token = f"a-token-of-tinas-{site.sessions}"
        await site.until(lambda: site.machine.state.value == "CONNECTING", 60)
        code, said = await run("sh", "-c", ways["certify"], TOKEN=token, **home)
        assert code == 0, said
        async with running(ways["ssh"], **home):
            assert await greeted(local) == b"220 ready\r\n"
        assert proxy.asked == ([f"{HERE}:{site.port}"] * 2 if proxied else [])


async def test_what_connect_writes_leads_through_the_proxy_that_the_session_was_asked_with(site: Site) -> None:
    server, number = await serve(greet)
    proxy = ConnectProxy()
    between, at = await serve(proxy.talk)
    closed, nowhere = await serve(refuse)
    async with server, between, closed:
        session_id = await site.active(port(number))
        folder = site.folder / "connect"
        folder.mkdir()
        (folder / "id_ed25519").write_bytes((site.folder / "key").read_bytes())
        (folder / "id_ed25519").chmod(0o600)
        certificate = (site.folder / "key-cert.pub").read_text()
        for where, expected in ((at, 0), (nowhere, 255)):
            session = told_of(site, session_id, number, proxy=f"{HERE}:{where}")
            config = _write_config(folder, session, certificate)
            code, said = await run("ssh", "-F", str(config), "-W", f"{HERE}:{number}", "machine")
            assert code == expected, said
        assert proxy.asked == [f"{HERE}:{site.port}"]
        assert "the proxy answered 403" in said


async def test_a_browser_may_go_by_socks_to_the_sessions_targets_alone(site: Site) -> None:
    server, number = await serve(greet)
    other, elsewhere = await serve(greet)
    async with server, other:
        session_id, socks = await site.active(port(number)), free_port()
        async with running(f"ssh -F {site.config(session_id)} -N -D {HERE}:{socks} machine"):
            await site.until(lambda: _listens(socks), 60)
            through = (sys.executable, proxy_way.__file__, f"socks5://{HERE}:{socks}")
            assert (await run(*through, HERE, str(number)))[1].startswith("220 ready")
            assert "220" not in (await run(*through, HERE, str(elsewhere)))[1]


async def test_a_host_whose_name_has_other_letters_is_asked_of_the_proxy_as_names_are_written_there() -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        length = (await reader.readexactly(5))[4]
        asked.append(await reader.readexactly(length) + await reader.readexactly(2))
        writer.write(b"\x05\x00\x00\x01" + bytes(6) + b"through")
        writer.close()

    server, number = await serve(talk)
    async with server:
        said = await run(sys.executable, proxy_way.__file__, f"socks5://{HERE}:{number}", "bücher.example", "22")
    assert (said, asked) == ((0, "through"), [b"xn--bcher-kva.example\x00\x16"])


async def test_a_name_that_nobody_can_have_is_refused_in_one_line() -> None:
    server, number = await serve(refuse)
    async with server:
        proxy = f"socks5://{HERE}:{number}"
        code, said = await run(sys.executable, proxy_way.__file__, "no-proxy", "relay.example", "22")
        assert (code, said.count("\n")) == (1, 1), said
        assert proxy not in said


async def test_nothing_listens_at_the_machine_for_who_comes_through_the_relay(tmp_path: Path) -> None:
    before = _listening()
    site = await Site(tmp_path).open()  # the machine is in this process, too
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        ssh, local = await site.tunnel(session_id, number)
        assert await greeted(local) == b"220 ready\r\n"
        assert _listening() - before == {site.port, site.edge_port, number}
        ssh.terminate()
        await ssh.wait()
    await site.close()


async def test_the_machine_sends_the_relay_fewer_messages_than_it_makes_for_the_client(site: Site) -> None:
    server, number = await serve(stream)
    async with server:
        session_id = await site.active(port(number))
        ssh, local = await site.tunnel(session_id, number)
        connection: Any = site.edges.all()[0].connection
        reader, writer = await asyncio.open_connection(HERE, local)
        await reader.readexactly(MIB)
        before = connection._recv_seq
        await reader.readexactly(32 * MIB)
        messages = 32 * MIB // CLIENTS_PACKET
        assert connection._recv_seq - before < 0.9 * messages
        writer.close()
        ssh.terminate()
        await ssh.wait()


def _listening() -> set[int]:
    """Return the ports at which this process listens."""
    found = psutil.Process().net_connections("tcp")
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


def _listens(number: int) -> bool:
    listening = Path("/proc/net/tcp").read_text().splitlines()
    return any(line.split()[1].endswith(f":{number:04X}") and line.split()[3] == "0A" for line in listening[1:])


async def test_a_certificate_that_has_ended_opens_nothing_at_the_relay(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        command = ("ssh", "-F", site.config(session_id), "-W", f"{HERE}:{number}", "machine")
        now, key = datetime.now(UTC), (site.folder / "key.pub").read_text()
        for until, expected in ((now - timedelta(seconds=5), 255), (now + timedelta(hours=1), 0)):
            text = site.authority.certify_session(key, session_id, until, now)
            (site.folder / "key-cert.pub").write_text(text)
            assert (await run(*command))[0] == expected


async def test_who_does_not_read_holds_nobody_up_and_little_is_kept_for_them(site: Site) -> None:
    server, number = await serve(stream)
    async with server:
        session_id = await site.active(port(number))
        ssh, local = await site.tunnel(session_id, number)
        slow = [await asyncio.open_connection(HERE, local, limit=1024) for _ in range(3)]
        await asyncio.gather(*(reader.readexactly(1) for reader, _ in slow))
        reader, writer = await asyncio.open_connection(HERE, local)
        await asyncio.wait_for(reader.readexactly(40 * MIB), 240)
        taken = site.dialler.holder.find(session_id)
        assert taken is not None
        assert taken.bytes_out < (40 + 3 * 8 + 16) * MIB, "what nobody reads is not fetched"
        for _, each in (*slow, (reader, writer)):
            each.close()
        ssh.terminate()
        await ssh.wait()


async def test_streams_share_a_relay_fairly_and_what_is_short_does_not_wait_for_what_is_long(site: Site) -> None:
    server, number = await serve(stream)
    echoing, other = await serve(greet)
    async with server, echoing:
        session_id = await site.active(port(number), port(other, "echo"))
        pairs = [await site.tunnel(session_id, number) for _ in range(2)]
        talking, local = await site.tunnel(session_id, other)
        counts = [0, 0]

        async def read(at: int, reader: asyncio.StreamReader) -> None:
            while data := await reader.read(MIB):
                counts[at] += len(data)

        long = [await asyncio.open_connection(HERE, each) for _, each in pairs]
        reading = [asyncio.create_task(read(at, reader)) for at, (reader, _) in enumerate(long)]
        await site.until(lambda: min(counts) > MIB, 240)
        began = list(counts)
        reader, writer = await asyncio.open_connection(HERE, local)
        assert await asyncio.wait_for(reader.readexactly(11), 240) == b"220 ready\r\n"
        waited = []
        for _ in range(10):
            before = sum(counts)
            writer.write(b"x")
            await asyncio.wait_for(reader.readexactly(1), 240)
            waited.append(sum(counts) - before)
        assert sorted(waited)[5] < 32 * MIB, waited
        await site.until(lambda: sum(counts) - sum(began) > 40 * MIB, 240)
        moved = [now - then for now, then in zip(counts, began, strict=True)]
        assert min(moved) > 0.1 * sum(moved), moved
        for task in reading:
            task.cancel()
        for _, each in (*long, (reader, writer)):
            each.close()
        for process in (*(ssh for ssh, _ in pairs), talking):
            process.terminate()
            await process.wait()


async def test_what_went_through_is_known_to_the_byte_though_the_session_ended_at_once(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        session_id = await site.active(port(number))
        code, said = await run("ssh", "-F", site.config(session_id), "-W", f"{HERE}:{number}", "machine")
        assert (code, said) == (0, "220 ready\r\nbye\r\n")
        await site.ledger.say("close", session_id=session_id)
        await site.until(lambda: site.machine.only.session.bytes_out == len(said), 60)
        assert site.machine.state.value == "CLOSED"
