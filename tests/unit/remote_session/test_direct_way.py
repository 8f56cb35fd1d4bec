"""The direct way to a session: HTTP CONNECT with its ticket, by `ssh` and `curl`; what holds of a jump holds of it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest

from deploy import direct_way
from deploy.embedded.data_folder import free_port
from deploy.session_access import direct_way_of
from services.remote_session.relay import direct, figures
from shared import digest
from shared.contracts.session_words import SessionState
from tests.unit.remote_session.test_relay import (
    HERE,
    NEEDS_SSH,
    Relay,
    Site,
    folder_of,
    greet,
    many_files,
    port,
    run,
    serve,
    stream,
    test_a_relay_that_cannot_ask_the_store_for_fifteen_seconds_cuts_off,
    test_a_server_that_speaks_first_is_heard_from_its_first_byte_and_ends_are_passed_on,
    test_a_session_goes_on_at_another_relay_when_the_first_is_killed,
    test_files_go_both_ways_by_stock_sftp_and_are_resumed,
    test_many_tunnels_are_open_at_once_and_each_carries_its_own,
    test_revoking_stops_the_last_byte_within_a_second_under_full_stream,
    test_the_switch_at_the_machine_cuts_everything_off,
)
from tests.unit.remote_session.test_relay_figures import Since

__all__ = [
    "many_files",
    "test_a_relay_that_cannot_ask_the_store_for_fifteen_seconds_cuts_off",
    "test_a_server_that_speaks_first_is_heard_from_its_first_byte_and_ends_are_passed_on",
    "test_a_session_goes_on_at_another_relay_when_the_first_is_killed",
    "test_files_go_both_ways_by_stock_sftp_and_are_resumed",
    "test_many_tunnels_are_open_at_once_and_each_carries_its_own",
    "test_revoking_stops_the_last_byte_within_a_second_under_full_stream",
    "test_the_switch_at_the_machine_cuts_everything_off",
]
pytestmark = NEEDS_SSH
MIB = 1024 * 1024
SECONDS = 30
#: No number that anybody could make of it.
LONG = "{session}:" + "9" * 5000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await Site(tmp_path).open()
    opened.direct = True
    yield opened
    await opened.close()


class Asking:
    """A client of the relay's port that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, target: str, proof: str = "") -> tuple[int, str, dict[str, Any]]:
        """Ask for a target; return the status, the challenge and the problem of the answer."""
        line = h11.Connection(h11.CLIENT)
        headers = [("Host", target), *([("Proxy-Authorization", proof)] if proof else [])]
        self.writer.write(line.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b"")
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        line.receive_data(head)
        answer = line.next_event()
        assert isinstance(answer, h11.Response)
        said = {name.decode(): value.decode() for name, value in answer.headers}
        body = await self.reader.readexactly(int(said.get("content-length", "0")))
        problem = json.loads(body) if body else {}
        assert problem.get("status", 200) == answer.status_code
        return answer.status_code, said.get("proxy-authenticate", ""), problem

    async def prove(self, session_id: str, ticket: str, target: str = "") -> tuple[int, dict[str, Any]]:
        """Ask, be challenged, ask with the proof; return the status and the problem."""
        target = target or f"{session_id}:22"
        status, challenge, _ = await self.ask(target)
        assert status == 407
        status, _, problem = await self.ask(target, digest.proof(challenge, session_id, ticket, "CONNECT", target))
        return status, problem


async def asking(site: Site) -> Asking:
    return Asking(*await asyncio.open_connection(HERE, site.port))


async def test_ssh_reaches_the_machine_over_one_connection_that_is_enciphered_once(site: Site) -> None:
    server, number = await serve(greet)
    async with server:
        since = Since()
        ssh, local = await site.tunnel(await site.active(port(number)), number)
        reader, writer = await asyncio.open_connection(HERE, local)
        assert await reader.readexactly(11) == b"220 ready\r\n"
        assert since.more("connections", side="technicians") == 1
        [connections] = site.door.inside.values()
        assert [type(each) for each in connections] == [direct.Direct]
        assert since.more("bytes_total", direction="from_device") > 0
        writer.close()
        ssh.terminate()
        await ssh.wait()
        await site.until(lambda: since.more("connections", side="technicians") == 0)
        await site.until(lambda: since.more("tunnels") == 0)


async def test_files_go_both_ways_by_stock_scp(site: Site) -> None:
    root, mine = site.folder / "root", site.folder / "mine"
    for folder in (root, mine):
        folder.mkdir()
    (root / "log.bin").write_bytes(os.urandom(300_000))
    (mine / "up.bin").write_bytes(os.urandom(200_000))
    command = ("scp", "-q", "-F", site.config(await site.active(folder_of(root), kind="file")))
    assert await run(*command, "machine:log.bin", str(mine)) == (0, "")
    assert await run(*command, str(mine / "up.bin"), "machine:") == (0, "")
    assert (mine / "log.bin").read_bytes() == (root / "log.bin").read_bytes()
    assert (root / "up.bin").read_bytes() == (mine / "up.bin").read_bytes()


async def test_curl_proves_the_ticket_too_and_hears_the_machines_own_ssh(site: Site) -> None:
    session_id = await site.active(port(9))
    proof = ("--proxy-digest", "--proxy-user", f"{session_id}:{site.authority.ticket(session_id)}")
    command = ("curl", "-sS", "-m", "2", "-x", f"http://{HERE}:{site.port}", "-p", *proof)
    _, said = await run(*command, f"telnet://{session_id}:22")
    assert "SSH-2.0-AsyncSSH" in said, said


async def test_a_proof_is_the_one_that_another_library_makes() -> None:
    class Ticket(httpx.DigestAuth):
        def of(self, challenge: str) -> str:
            request = httpx.Request("GET", "http://relay/where")
            flow = self.auth_flow(request)
            asked = next(flow)
            flow.send(httpx.Response(401, headers={"WWW-Authenticate": challenge}, request=asked))
            return asked.headers["Authorization"]

    given = Ticket("tina", "secret").of(digest.challenge("here", "once"))
    assert digest.who_proved(given, "here", "once", "GET", "/where", lambda _: "secret") == "tina"
    assert digest.who_proved(given, "here", "once", "GET", "/where", lambda _: "other") is None
    assert digest.who_proved(given, "here", "again", "GET", "/where", lambda _: "secret") is None


async def test_without_the_ticket_of_just_this_session_nobody_gets_to_the_machine(site: Site) -> None:
    since = Since()
    session_id = await site.active(port(9))
    for ticket in ("", "0" * 64, site.authority.ticket("another")):
        caller = await asking(site)
        status, problem = await caller.prove(session_id, ticket)
        assert (status, problem["code"]) == (407, "ticket")
    assert since.more("refusals_total", code="ticket") == 3
    assert since.more("tunnels") == 0


async def test_what_was_heard_of_another_connection_proves_nothing_on_ones_own(site: Site) -> None:
    session_id = await site.active(port(9))
    target, ticket = f"{session_id}:22", site.authority.ticket(session_id)
    first, second = await asking(site), await asking(site)
    _, challenge, _ = await first.ask(target)
    proof = digest.proof(challenge, session_id, ticket, "CONNECT", target)
    assert (await second.ask(target, proof))[0] == 407
    await second.ask(target)
    assert await second.reader.read() == b"", "who proves nothing is not listened to forever"
    assert (await first.ask(target, proof))[0] == 200


@pytest.mark.parametrize(
    "target", [f"{HERE}:22", "another-session:22", "{session}:23", "{session}:", "{session}", LONG]
)
async def test_a_ticket_leads_to_its_sessions_device_and_nowhere_else(site: Site, target: str) -> None:
    session_id = await site.active(port(9))
    caller = await asking(site)
    wanted = target.format(session=session_id)
    status, problem = await caller.prove(session_id, site.authority.ticket(session_id), wanted)
    assert (status, problem["code"]) == (403, "target")


async def test_a_proof_in_other_letters_than_a_proof_has_is_a_wrong_one(site: Site) -> None:
    caller = await asking(site)
    await caller.ask("x:22")
    given = 'Digest username="a", response="é"'
    caller.writer.write(f"CONNECT x:22 HTTP/1.1\r\nHost: x:22\r\nProxy-Authorization: {given}\r\n\r\n".encode())
    assert (await asyncio.wait_for(caller.reader.readline(), SECONDS)).startswith(b"HTTP/1.1 407 ")


def slowed(site: Site, opens: asyncio.Event) -> None:
    """Have the machine open ways only when it is let."""
    connection: Any = site.edges.all()[0].connection
    create = connection.create_connection

    async def create_connection(*given: Any, **more: Any) -> Any:
        made = await create(*given, **more)
        await opens.wait()
        return made

    connection.create_connection = create_connection


@pytest.mark.parametrize("is_direct", [True, False], ids=["direct", "jump"])
@pytest.mark.parametrize("is_revoked", [True, False], ids=["revoked", "gone"])
async def test_a_way_that_is_just_being_opened_is_cut_and_leaves_nothing(
    site: Site, *, is_direct: bool, is_revoked: bool
) -> None:
    since, opens, site.direct = Since(), asyncio.Event(), is_direct
    session_id = await site.active(port(9))
    slowed(site, opens)
    ssh = await asyncio.create_subprocess_exec("ssh", "-F", site.config(session_id), "-N", "machine")
    taken = site.dialler.holder.find(session_id)
    assert taken is not None
    await site.until(lambda: bool(taken.inside))
    if is_revoked:
        await site.ledger.say("withdraw")
    else:
        ssh.terminate()
    await asyncio.wait_for(ssh.wait(), SECONDS)
    if is_revoked:  # of who waits it is not seen that they left
        await site.until(lambda: since.more("connections", side="technicians") == 0, 5)
    opens.set()
    await site.until(lambda: since.more("connections", side="technicians") == 0, 5)
    await site.until(lambda: since.more("tunnels") == 0, 5)
    await site.until(lambda: not taken.inside, 5)


async def test_a_machine_that_opens_no_way_is_not_waited_for_without_an_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "OPENED_SECONDS", 0.2)
    since, opens = Since(), asyncio.Event()
    session_id = await site.active(port(9))
    slowed(site, opens)
    status, problem = await (await asking(site)).prove(session_id, site.authority.ticket(session_id))
    assert (status, problem["code"]) == (503, "device_away")
    opens.set()
    await site.until(lambda: since.more("tunnels") == 0, 5)


async def test_a_lease_that_lapsed_leaves_nothing_inside_when_it_is_renewed(site: Site) -> None:
    session_id = await site.active(port(9))
    ssh, _ = await site.tunnel(session_id, 9)
    taken = site.dialler.holder.find(session_id)
    assert taken is not None
    assert len(taken.inside) == 1
    taken.renewed_at -= 20
    site.dialler.holder.sweep()
    await asyncio.wait_for(ssh.wait(), SECONDS)
    await site.until(lambda: not taken.inside, 5)


async def test_a_ticket_is_good_as_long_as_its_session(site: Site) -> None:
    session_id = await site.active(port(9))
    ticket = site.authority.ticket(session_id)
    assert (await (await asking(site)).prove(session_id, ticket))[0] == 200
    await site.ledger.say("close", session_id=session_id)
    await site.until(lambda: site.machine.state is SessionState.CLOSED)
    assert (await (await asking(site)).prove(session_id, ticket))[0] == 403


async def test_a_ticket_is_given_to_who_was_given_a_certificate_and_to_nobody_else(site: Site) -> None:
    session_id = await site.offered(port(9))
    await site.until(lambda: site.machine.state is SessionState.CONNECTING)
    given = {
        "SSH_ASKPASS": str(site.folder / "askpass"),
        "SSH_ASKPASS_REQUIRE": "force",
        "TOKEN": f"a-token-of-tinas-{site.sessions}",
    }
    options = ("-o", "PubkeyAuthentication=no", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    where = ("-F", "none", "-p", str(site.port), "-o", "LogLevel=ERROR", f"token-{session_id}@{HERE}")
    code, said = await run("ssh", *options, *where, "ticket", **given)
    assert (code, site.authority.ticket(session_id) in said) == (1, False)


async def test_a_relay_at_which_the_device_is_not_is_passed_over_for_the_next(site: Site) -> None:
    second = Relay(site.authority, site.ledger)
    await second.start()
    nobody = free_port()
    session_id = await site.active(port(9))
    status, problem = await Asking(*await asyncio.open_connection(HERE, second.port)).prove(
        session_id, site.authority.ticket(session_id)
    )
    assert (status, problem["code"]) == (503, "device_away")
    found = await asyncio.to_thread(_first_that_leads, site, session_id, [nobody, second.port, site.port])
    assert found == site.port
    await second.leases.stop()
    await second.door.stop()
    await second.edges.stop()


def _first_that_leads(site: Site, session_id: str, ports: list[int]) -> int:
    for number in ports:
        try:
            with direct_way.open_way(f"{HERE}:{number}", session_id, site.authority.ticket(session_id)) as way:
                assert way.recv(4) == b"SSH-"
                return number
        except (OSError, direct_way.NoWay):
            pass
    return 0


async def test_who_is_refused_reads_why_in_a_line_for_each_relay(site: Site) -> None:
    session_id = await site.active(port(9))
    (site.folder / "ticket").write_text("wrong")
    nobody = free_port()
    relays = (f"{HERE}:{nobody}", f"{HERE}:{site.port}")
    command = (sys.executable, "-P", direct_way.__file__, str(site.folder / "ticket"), session_id, *relays)
    code, said = await run(*command)
    assert (code, len(said.splitlines())) == (1, 2), said
    assert "Connection refused" in said.splitlines()[0]
    assert "the ticket is not of this session" in said.splitlines()[1]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 407 No\r\nContent-Length: 9999999999999\r\n\r\n", b"SSH-2.0-other\r\n\r\n"],
)
async def test_what_answers_as_no_relay_does_is_passed_over_in_a_line(tmp_path: Path, answer: bytes) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    server, number = await serve(talk)
    async with server:
        (tmp_path / "ticket").write_text("any")
        relays = (f"{HERE}:{number}", f"{HERE}:{number}")
        code, said = await run(sys.executable, "-P", direct_way.__file__, str(tmp_path / "ticket"), "session", *relays)
    assert (code, said.count("it answered")) == (1, said.count("407"))
    assert (len(said.splitlines()), "Traceback" in said) == (2, False), said


async def test_a_client_of_ssh_that_waits_for_the_relay_to_begin_is_served(site: Site) -> None:
    reader, writer = await asyncio.open_connection(HERE, site.port)
    assert (await asyncio.wait_for(reader.readexactly(4), SECONDS)) == b"SSH-"
    writer.close()


@pytest.mark.parametrize(
    "said",
    [b"CONNECT \0\0\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n", b"CONNECT " + b"x" * 20_000, b"CONNECTION\r\n\r\n"],
)
async def test_what_is_no_request_ends_its_own_connection_alone(site: Site, said: bytes) -> None:
    session_id = await site.active(port(9))
    other = await asking(site)
    assert (await other.prove(session_id, site.authority.ticket(session_id)))[0] == 200
    reader, writer = await asyncio.open_connection(HERE, site.port)
    writer.write(said)
    answer = await asyncio.wait_for(reader.read(), SECONDS)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    writer.close()
    assert (await other.reader.read(4)) == b"SSH-"


async def test_who_does_not_end_what_they_ask_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "HEAD_SECONDS", 0.5)
    reader, writer = await asyncio.open_connection(HERE, site.port)
    writer.write(b"CONNECT relay:22 HTTP/1.1\r\nHost:")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    writer.close()


async def test_a_technician_who_stops_reading_costs_the_relay_little_and_others_nothing(site: Site) -> None:
    server, number = await serve(stream)
    async with server:
        session_id = await site.active(port(number))
        stopped, at = await site.tunnel(session_id, number)
        first, held = await asyncio.open_connection(HERE, at)
        await first.readexactly(MIB)
        [slow] = site.door.inside[session_id]
        stopped.send_signal(signal.SIGSTOP)
        ssh, local = await site.tunnel(session_id, number)
        reader, writer = await asyncio.open_connection(HERE, local)
        await asyncio.wait_for(reader.readexactly(64 * MIB), 240)
        assert slow._transport.get_write_buffer_size() < 4 * MIB
        stopped.send_signal(signal.SIGCONT)
        await asyncio.wait_for(first.readexactly(16 * MIB), 240)
        for each, process in ((held, stopped), (writer, ssh)):
            each.close()
            process.terminate()
            await process.wait()


def test_the_ticket_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    line = direct_way_of(tmp_path, ["[fe80::1%eth0]:22"], "secret")
    assert "secret" not in line
    assert "%%eth0" in line, "a sign of its own to ssh"
    assert (tmp_path / "ticket").stat().st_mode & 0o777 == 0o600
