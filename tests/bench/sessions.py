"""Remote sessions beside OpenSSH alone: streams, new connections and files end to end, memory of an idle tunnel.

The relay runs in this process (decisions are the service's, without Kafka); agent, machine, clients are others. The
floor is `ssh -J` through a relay sshd to an sshd, the same ciphers, the same machine, in turns. Ours is what
`callout connect` writes, the direct way; and by a jump, for who goes without it.
"""

import asyncio
import gc
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from tests.bench.backlog import Servers
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.edge_agent import AGENT, environment
from tests.stack import wait_until

sys.path.append(str(AGENT))  # a distribution of its own, of which nothing is installed here

from tests.unit.remote_session.test_relay import HERE, Site, run

TURNS: Final = 3
CIPHER: Final = ("-o", "Ciphers=aes128-gcm@openssh.com")
#: What stands behind the machine: a stream without an end on one port, an echo on the other.
MACHINE: Final = """
import asyncio, sys
async def stream(reader, writer):
    try:
        while True:
            writer.write(bytes(65536)); await writer.drain()
    except OSError:
        pass
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def main():
    servers = [await asyncio.start_server(talk, "127.0.0.1", 0) for talk in (stream, echo)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
#: The client: MiB/s of a stream, or the median milliseconds of a new connection with an echo.
CLIENT: Final = """
import socket, statistics, sys, time
what, port, amount = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if what == "stream":
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.recv(65536)
        began, left = time.monotonic(), amount
        while left > 0:
            left -= len(one.recv(262144)) or sys.exit("the stream ended")
        print(amount / 1048576 / (time.monotonic() - began))
else:
    took = []
    for _ in range(amount):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(b"x")
            one.recv(1)
        took.append((time.monotonic() - began) * 1000)
    print(statistics.median(took))
"""


async def sessions(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure ours and OpenSSH in turns; the best of each counts."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh") is None:
        raise AssertionError("needs sshd and ssh: apt-get install openssh-server openssh-client")
    folder = servers.logs / "sessions"
    folder.mkdir()
    with _started((sys.executable, "-c", MACHINE), folder) as machine:
        assert machine.stdout is not None
        stream, echo = map(int, machine.stdout.readline().split())
        async with _site(folder) as site:
            with _openssh(sshd, folder) as floor:
                streams = await _in_turns(site, floor, folder, ("stream", stream), sizes)
                echoes = await _in_turns(site, floor, folder, ("echo", echo), sizes)
                files = await _files(site, floor, folder, sizes)
            idle = await _idle(site, echo, sizes)
    rates = {f"{name}_mib_per_second": round(max(each), 1) for name, each in streams.items()}
    latency = {f"{name}_ms": round(min(each), 2) for name, each in echoes.items()}
    moved = {"mib": sizes.sftp_mib} | {f"{name}_mib_per_second": round(max(each), 1) for name, each in files.items()}
    return [
        _finding("stream / ssh -J", max(streams["direct"]) / max(streams["openssh"]), 1.1, rates),
        _finding("stream by a jump / ssh -J", max(streams["jump"]) / max(streams["openssh"]), 1.1, rates),
        _finding("new connection, ms", min(echoes["direct"]), 5, latency, limit=True),
        _finding("KiB per idle tunnel", idle, 64, {"tunnels": sizes.tunnels}, limit=True),
        _finding("sftp / OpenSSH sftp", max(files["direct"]) / max(files["openssh"]), 1.0, moved),
        _finding("sftp by a jump / OpenSSH sftp", max(files["jump"]) / max(files["openssh"]), 1.0, moved),
    ]


def _finding(what: str, ratio: float, target: float, figures: dict[str, Any], *, limit: bool = False) -> Finding:
    return Finding(measure="sessions", what=what, ratio=ratio, target=target, limit=limit, figures=figures)


async def _in_turns(
    site: Site, floor: list[str], folder: Path, target: tuple[str, int], sizes: Sizes
) -> dict[str, list[float]]:
    """Measure each way in turns, all of them open; return what was found, by way."""
    name, port = target
    await asyncio.sleep(0.01)
    session_id = await site.active({"name": name, "host": HERE, "port": port})
    clients, ports = [], {}
    for way in ("direct", "jump"):
        site.direct = way == "direct"
        ssh, ports[way] = await site.tunnel(session_id, port)
        clients.append(ssh)
    found: dict[str, list[float]] = {"direct": [], "jump": [], "openssh": []}
    ports["openssh"] = _free_port()
    forward = f"{HERE}:{ports['openssh']}:{HERE}:{port}"
    with _started(("ssh", *floor, "-N", "-L", forward, "target"), folder):
        await asyncio.to_thread(wait_until, lambda: _listens(ports["openssh"]), seconds=20)
        for _ in range(TURNS):
            for way, figures in found.items():
                figures.append(await _measured(name, ports[way], sizes))
    for ssh in clients:
        ssh.terminate()
        await ssh.wait()
    await site.ledger.say("close", session_id=session_id)
    return found


async def _measured(name: str, port: int, sizes: Sizes) -> float:
    amount = sizes.stream_mib * 1024 * 1024 if name == "stream" else sizes.connections
    code, out = await run(sys.executable, "-c", CLIENT, name, str(port), str(amount))
    assert code == 0, out
    return float(out)


async def _files(site: Site, floor: list[str], folder: Path, sizes: Sizes) -> dict[str, list[float]]:
    """Return MiB/s of a file by stock sftp, by way."""
    root = folder / "root"
    root.mkdir()
    with (root / "big").open("wb") as file:
        for _ in range(sizes.sftp_mib):
            file.write(os.urandom(1024 * 1024))
    await asyncio.sleep(0.01)
    session_id = await site.active(
        {"name": "files", "kind": "file", "protocol": "sftp", "root": str(root)}, kind="file"
    )
    found: dict[str, list[float]] = {"direct": [], "jump": [], "openssh": []}
    for _ in range(TURNS):
        for way, figures in found.items():
            site.direct = way == "direct"
            words = (
                (*floor, f"target:{root}/big") if way == "openssh" else ("-F", site.config(session_id), "machine:big")
            )
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec("sftp", "-q", *words, str(folder / "got"))
            assert await process.wait() == 0
            figures.append(sizes.sftp_mib / (time.monotonic() - began))
    await site.ledger.say("close", session_id=session_id)
    return found


async def _idle(site: Site, echo: int, sizes: Sizes) -> float:
    """Return how many KiB the relay's process grows by for each tunnel that is open and says nothing."""
    await asyncio.sleep(0.01)
    session_id = await site.active({"name": "echo", "host": HERE, "port": echo})
    ssh, local = await site.tunnel(session_id, echo)
    gc.collect()
    before = psutil.Process().memory_info().rss
    holder = f"import socket,sys;s=[socket.create_connection(('127.0.0.1',{local})) for _ in range({sizes.tunnels})];"
    held = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{holder}[x.sendall(b'x') or x.recv(1) for x in s];print(1,flush=True);sys.stdin.read()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert held.stdout is not None
    assert await held.stdout.readline() == b"1\n"
    grown = psutil.Process().memory_info().rss - before
    held.kill()
    await held.wait()
    ssh.terminate()
    await ssh.wait()
    return grown / 1024 / sizes.tunnels


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[Site]:
    """A relay here, and the agent as a process of its own."""
    site = Site(folder)
    await site.prepare()
    (folder / "token").write_text("secret")
    (folder / "agent.toml").write_text(
        '[device]\ntenant = "acme"\nid = "press-07"\n[connection]\nurl = "mqtt://127.0.0.1:1"\ntoken_file = "token"\n'
        f'[sessions]\nidentity = "edge"\nallow = "allow.toml"\nrelays = ["{HERE}:{site.edge_port}"]\n'
    )
    (folder / "allow.toml").write_text(f'endpoints = ["{HERE}:*"]\n[[root]]\npath = "{folder}"\n')
    (folder / "allow.toml").chmod(0o644)
    command = (sys.executable, "-m", "callout_agent.sessions", str(folder / "agent.toml"))
    with _started(command, folder, environment()):
        await site.until(lambda: bool(site.edges.all()), 60)
        await site.leases.start()
        yield site
    await site.leases.stop()
    await site.close()


@contextmanager
def _openssh(sshd: str, folder: Path) -> Iterator[list[str]]:
    """Two sshd, the one a relay to the other; yields the options that lead to `target`."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")), check=True)
    ports = _free_port(), _free_port()
    text = "".join(
        f"Host {name}\n  HostName {HERE}\n  Port {port}\n  User root\n"
        f"  IdentityFile {folder}/key\n  IdentitiesOnly yes\n"
        f"  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  BatchMode yes\n"
        + ("  ProxyJump relay\n" if name == "target" else "")
        for name, port in zip(("relay", "target"), ports, strict=True)
    )
    (folder / "floor").write_text(text)
    commands = []
    for port in ports:
        config = folder / f"sshd-{port}"
        config.write_text(
            f"ListenAddress {HERE}\nPort {port}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/key.pub\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin prohibit-password\nPidFile none\nSubsystem sftp internal-sftp\n"
        )
        commands.append((sshd, "-D", "-e", "-f", str(config)))
    with _started(commands[0], folder), _started(commands[1], folder):
        for port in ports:
            wait_until(lambda at=port: _listens(at), seconds=20)  # type: ignore[misc]
        yield ["-F", str(folder / "floor"), *CIPHER]


@contextmanager
def _started(
    command: tuple[str, ...], folder: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "processes.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        port: int = free.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0
