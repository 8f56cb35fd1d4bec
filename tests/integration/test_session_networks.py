"""Remote sessions between networks of their own: technician and relay here, the device there, the machine behind it.

Nobody here has a way to the machine, nor to a listener of the device: it dials out. Decisions are the service's.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.data_folder import free_port
from shared.contracts.session_words import SessionState
from tests.edge_agent import environment
from tests.places import Place, why_no_places
from tests.unit.remote_session.test_relay import HERE, Site, run

NO_PLACES = why_no_places()
MISSING = [
    name for name in ("ssh", "ssh-keygen", "sshd") if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(NO_PLACES) and not os.environ.get("CI"), reason=f"no networks of their own: {NO_PLACES}"),
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("CI"), reason=f"needs {MISSING} (openssh-client, openssh-server)"
    ),
]
#: So soon a session goes on when its device is back.
RETURN_SECONDS = 2
MACHINE = "10.214.7.2"
ENDPOINTS = [
    {"name": "shell", "protocol": "ssh", "host": MACHINE, "port": 22},
    {"name": "hmi", "protocol": "http", "host": MACHINE, "port": 8080},
    {"name": "screen", "protocol": "vnc", "host": MACHINE, "port": 5900},
]
#: A web page, and a server that speaks first, as VNC does.
SERVERS = """
import asyncio, http.server, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"the panel")
    def log_message(self, *_): pass
threading.Thread(target=http.server.HTTPServer((sys.argv[1], 8080), Page).serve_forever, daemon=True).start()
async def screen(reader, writer):
    writer.write(b"RFB 003.008\\n")
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def main():
    async with await asyncio.start_server(screen, sys.argv[1], 5900) as server:
        await server.serve_forever()
asyncio.run(main())
"""


class Plant(Site):
    """The site with the device in a place of its own, by the agent's own process, and a machine behind that."""

    def __init__(self, folder: Path, place: Place) -> None:
        super().__init__(folder)
        self.place = place
        self.agent: subprocess.Popen[bytes] | None = None

    async def open(self) -> "Plant":
        self.ledger.on_change = self.changed
        self.port = await self.door.start(HERE, 0)
        self.edges.relay = f"{HERE}:{self.port}"
        self.edge_port = await self.edges.start(self.place.here, 0)
        await self.leases.start()
        self.authority.enrol_edge("acme", "press-07", self.folder / "sessions")
        (self.folder / "token").write_text("secret")
        (self.folder / "agent.toml").write_text(
            '[device]\ntenant = "acme"\nid = "press-07"\n'
            '[connection]\nurl = "mqtt://127.0.0.1:1"\ntoken_file = "token"\n'
            f'[sessions]\nallow = "allow.toml"\nrelays = ["{self.place.here}:{self.edge_port}"]\n'
        )
        (self.folder / "allow.toml").write_text(f'endpoints = ["{MACHINE}:*"]\n')
        (self.folder / "allow.toml").chmod(0o644)
        (self.folder / "known_hosts").write_text(f"@cert-authority * {self.authority.host_ca}\n")
        await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key"))
        askpass = self.folder / "askpass"
        askpass.write_text('#!/bin/sh\necho "$TOKEN"\n')
        askpass.chmod(0o700)
        self.carry()
        await self.until(lambda: bool(self.edges.all()), 60)
        return self

    def carry(self) -> None:
        """Begin what carries sessions on the device."""
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                ("ip", "netns", "exec", self.place.name, sys.executable, "-m", "callout_agent.sessions",
                 str(self.folder / "agent.toml")),
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment(),
            )  # fmt: skip

    def kill(self) -> None:
        """Kill it: `ip` has become the program."""
        assert self.agent is not None
        self.agent.send_signal(signal.SIGKILL)
        self.agent.wait()

    async def close(self) -> None:
        self.kill()
        await self.leases.stop()
        await super().close()


@contextmanager
def machine_behind(place: Place, folder: Path) -> Iterator[None]:
    """Run a machine in a place of its own, which only the device's place has a wire to."""
    name = f"{place.name}-m"
    for words in (
        f"netns add {name}",
        f"-n {place.name} link set lo up",
        f"-n {place.name} link add m0 type veth peer name eth0 netns {name}",
        f"-n {place.name} addr add 10.214.7.1/30 dev m0",
        f"-n {place.name} link set m0 up",
        f"-n {name} addr add {MACHINE}/30 dev eth0",
        f"-n {name} link set eth0 up",
    ):
        subprocess.run(("ip", *words.split()), check=True, capture_output=True)
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "machine_key")), check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress {MACHINE}\nHostKey {folder}/machine_key\nAuthorizedKeysFile {folder}/key.pub\nUsePAM no\n"
        f"StrictModes no\nPermitRootLogin prohibit-password\nPidFile none\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    inside = ("ip", "netns", "exec", name)
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert sshd is not None
    commands = ((*inside, sshd, "-D", "-e", "-f", str(config)), (*inside, sys.executable, "-c", SERVERS, MACHINE))
    with (folder / "machine.log").open("wb") as log:
        processes = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        subprocess.run(("ip", "netns", "del", name), check=True, capture_output=True)


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    with Place() as place, machine_behind(place, tmp_path):
        opened = await Plant(tmp_path, place).open()
        try:
            yield opened
        finally:
            await opened.close()


class Ways:
    """One stock `ssh` with a port here for each endpoint; the ports stay the same whenever it is begun again."""

    def __init__(self, plant: Plant, session_id: str) -> None:
        self.plant, self.session_id = plant, session_id
        self.ports = {str(endpoint["name"]): free_port() for endpoint in ENDPOINTS}
        self.ssh: Any = None

    async def __aenter__(self) -> "Ways":
        forwards = [f"{HERE}:{self.ports[str(each['name'])]}:{each['host']}:{each['port']}" for each in ENDPOINTS]
        options = [word for each in forwards for word in ("-L", each)]
        self.ssh = await asyncio.create_subprocess_exec(
            "ssh", "-F", self.plant.config(self.session_id), "-N", "-o", "ExitOnForwardFailure=yes", *options, "machine"
        )
        for _ in range(3000):
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HERE, self.ports["hmi"])
                writer.close()
                return self
            assert self.ssh.returncode is None
            await asyncio.sleep(0.02)
        raise AssertionError("no way")

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.ssh.kill()
        await self.ssh.wait()

    async def page(self) -> bytes:
        reader, writer = await asyncio.open_connection(HERE, self.ports["hmi"])
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return (await asyncio.wait_for(reader.read(), 60)).rpartition(b"\r\n")[2]
        finally:
            writer.close()

    async def greeting(self) -> bytes:
        reader, writer = await asyncio.open_connection(HERE, self.ports["screen"])
        try:
            return await asyncio.wait_for(reader.readexactly(12), 60)
        finally:
            writer.close()

    async def shell(self) -> str:
        options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
        key = ("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", str(self.plant.folder / "key"))
        place = ("-F", "none", "-p", str(self.ports["shell"]), f"root@{HERE}")
        return (await run("ssh", *options, *key, *place, "echo on the machine"))[1].strip()


async def active_soon_after_return(plant: Plant) -> None:
    """Hold that a session goes on, on the ports it had, within two seconds of its device's return to a relay."""
    await plant.until(lambda: bool(plant.edges.all()), 60)
    returned = time.monotonic()
    await plant.until(lambda: plant.machine.state is SessionState.ACTIVE, 60)
    assert time.monotonic() - returned < RETURN_SECONDS


async def test_stock_clients_reach_servers_behind_a_device_that_only_dials_out_and_again_after_kill_and_cut(
    plant: Plant,
) -> None:
    session_id = await plant.active(*ENDPOINTS)
    way = (await run("ip", "route", "get", MACHINE))[1]
    assert plant.place.wire not in way, "nobody here has a way to the machine through the device"
    async with Ways(plant, session_id) as ways:
        assert await ways.page() == b"the panel"
        assert await ways.greeting() == b"RFB 003.008\n"
        assert await ways.shell() == "on the machine"

        plant.kill()
        await plant.until(lambda: plant.machine.state is SessionState.CONNECTING, 60)
        killed = time.monotonic()
        plant.carry()
        await active_soon_after_return(plant)
        await asyncio.wait_for(ways.ssh.wait(), 60)
        async with ways:
            assert await ways.page() == b"the panel"
            assert time.monotonic() - killed < 60

            plant.place.cut()
            await plant.until(lambda: plant.machine.state is SessionState.CONNECTING, 60)
            plant.place.mend()
            mended = time.monotonic()
            await active_soon_after_return(plant)
            await asyncio.wait_for(ways.ssh.wait(), 60)
        async with ways:
            assert await ways.greeting() == b"RFB 003.008\n"
            assert time.monotonic() - mended < 60
    assert (plant.machine.only.session.attempt, plant.machine.told.count("offered")) == (1, 1), "it was one session"
