"""What a relay shows of itself: how many are connected, what passes, what was refused and cut off; and its health."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from services.remote_session.relay import app
from services.remote_session.relay.app import Relay as Program
from services.remote_session.relay.figures import SERVICE, prepare
from services.remote_session.settings import RemoteSessionSettings
from shared.contracts.session_words import SessionState
from shared.errors import TransientError
from shared.health import HealthServer
from tests.unit.remote_session.test_relay import HERE, NEEDS_SSH, Site, greet, port, run, serve, site

__all__ = ["site"]
pytestmark = NEEDS_SSH


def shown(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"callout_relay_{name}", labels) or 0.0


class Since:
    """Figures by how much they are above what they were; other tests of the process counted, too."""

    def __init__(self) -> None:
        self._was: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in REGISTRY.collect():
            for sample in family.samples:
                self._was[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def more(self, name: str, **labels: str) -> float:
        return shown(name, **labels) - self._was.get((f"callout_relay_{name}", tuple(sorted(labels.items()))), 0.0)


async def test_open_connections_tunnels_and_bytes_both_ways_are_shown(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        since = Since()
        ssh, local = await site.tunnel(await site.active(port(number)), number)
        reader, writer = await asyncio.open_connection(HERE, local)
        assert await reader.readexactly(11) == b"220 ready\r\n"
        writer.write(bytes(300_000))
        await reader.readexactly(300_000)
        await site.until(lambda: since.more("connections", side="technicians") == 1, 60)
        await site.until(lambda: since.more("tunnels") == 1, 60)
        assert shown("connections", side="edges") >= 1
        assert since.more("bytes_total", direction="to_device") >= 300_000
        assert since.more("bytes_total", direction="from_device") >= 300_011
        writer.close()
        ssh.terminate()
        await ssh.wait()
        await site.until(lambda: since.more("tunnels") == 0, 30)
        await site.until(lambda: since.more("connections", side="technicians") == 0, 30)


async def test_what_was_refused_is_counted_by_what_was_wrong(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        since = Since()
        session_id = await site.active(port(number))
        assert (await site.certified(session_id))[0] != 0, "used"
        await run("ssh", "-F", site.config(session_id), "-W", f"{HERE}:22", "relay")
        assert since.more("refusals_total", code="token") >= 1, "clients may ask in several ways"
        assert since.more("refusals_total", code="target") == 1
        site.tasks[0].cancel()
        await site.until(lambda: not site.edges.all(), 30)
        assert (await run("ssh", "-F", site.config(session_id), "-N", "machine"))[0] == 255
        assert since.more("refusals_total", code="device_away") == 1


async def test_technicians_who_were_cut_off_are_counted_by_the_reason(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        since = Since()
        ssh, _ = await site.tunnel(await site.active(port(number)), number)
        await site.ledger.say("close", session_id=site.machine.only.session.id)
        await asyncio.wait_for(ssh.wait(), 30)
        assert site.machine.state is SessionState.CLOSED
        await site.until(lambda: since.more("cuts_total", reason="over") == 1, 60)
        assert since.more("cuts_total", reason="lease") == 0


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """A relay that has started nothing: its servers are away."""
    settings = RemoteSessionSettings(
        kafka_bootstrap_servers="127.0.0.1:1", mongodb_uri="mongodb://127.0.0.1:1", relay_folder=str(tmp_path / "keys")
    )
    made = Program(settings)
    yield made
    await made._database.close()


async def test_a_relay_is_ready_only_when_it_has_started_and_reaches_its_servers(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    ports: asyncio.Queue[int] = asyncio.Queue()
    server = HealthServer(
        program._settings, program.ready, service=SERVICE, refresh=program.show, listens=ports.put_nowait
    )
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(base_url=f"http://{HERE}:{await asyncio.wait_for(ports.get(), 30)}") as http:
        assert (await http.get("/healthz")).status_code == 200
        assert ((answer := await http.get("/readyz")).status_code, answer.text) == (503, "starting\n")
        program._started = True

        async def away() -> None:
            raise TransientError("MongoDB does not answer")

        monkeypatch.setattr(program._database, "ping", away)
        assert ((answer := await http.get("/readyz")).status_code, answer.text) == (503, "MongoDB does not answer\n")

        async def here() -> None:
            return None

        monkeypatch.setattr(program._database, "ping", here)
        assert (await http.get("/readyz")).text == "sessions are not followed\n"
        monkeypatch.setattr(program.ledger, "trouble", here)
        assert (await http.get("/readyz")).status_code == 200
        figures = (await http.get("/metrics")).text
    assert 'callout_ready{service="relay"} 1.0' in figures
    assert 'callout_relay_cuts_total{reason="lease"}' in figures
    assert 'callout_build_info{service="relay"' in figures
    server.should_exit = True
    await serving


async def test_a_relay_whose_work_ends_by_what_nobody_foresaw_ends_too_and_says_why(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def renews(_: float) -> None:
        raise ZeroDivisionError

    async def starts() -> None:
        await program.leases.start()

    monkeypatch.setattr(program.leases, "renew", renews)
    monkeypatch.setattr(program, "start", starts)
    monkeypatch.setattr(app, "Relay", lambda _: program)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(app.run(program._settings), 30)
