"""Terminals: what the owner lets run, with a stock client, recorded at the machine, told; and nothing else."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from callout_agent.domain.allow import AllowList, Terminal
from callout_agent.sessions.dialler import Dialler, Identity

from services.remote_session.telling import audited
from shared.contracts.session_words import SessionState
from tests.builders import CASE_ID
from tests.stack import is_alive
from tests.unit.remote_session.machine import SHELL, Machine
from tests.unit.remote_session.test_relay import HERE, SOON, Site, pytestmark, run

__all__ = ["pytestmark"]
AT = "2026-03-02T10:15:00.000Z"
USE = {"id": "t-1", "endpoint": "shell", "opened_at": AT, "columns": 80, "rows": 24}
CLOSED = USE | {"closed_at": AT, "exit_status": 0, "recording": "a.cast", "recording_bytes": 10}


def opened() -> Machine:
    machine = Machine()
    machine.say("observe_presence", state="online", epoch=1)
    machine.say("define", endpoints=[SHELL])
    machine.say("grant")
    machine.say("request", kind="terminal", services=[{"endpoint": "shell"}])
    machine.say("answer", accepted=True)
    machine.say("report", news="source_up")
    return machine


def test_each_use_of_a_terminal_is_told_and_audited_once_also_when_its_session_has_ended() -> None:
    machine = opened()
    for _ in range(2):
        machine.say("report_terminal", terminal=USE)
    machine.say("close")
    for _ in range(2):
        machine.say("report_terminal", terminal=CLOSED)
    machine.say("report_terminal", terminal=USE)
    told = [(event.name, event.terminal.exit_status) for event in machine.events if event.terminal]
    assert told == [("terminal_opened", None), ("terminal_closed", 0)]
    [kept] = machine.only.session.terminals
    assert (kept.recording, kept.recording_bytes) == ("a.cast", 10)
    assert machine.state is SessionState.CLOSED


def test_auditors_are_told_who_used_which_terminal_and_where_its_recording_is() -> None:
    machine = opened()
    result = machine.say("report_terminal", terminal=CLOSED)
    assert result.device is not None
    place: Any = SimpleNamespace(id="c-1", place="session.commands.v1-3-41", now=machine.now, traceparent=None)
    _, [told] = audited(result, result.device, place)
    record = json.loads(told.value or b"")
    assert (record["action"], record["object"]["id"]) == ("session.terminal_closed", machine.only.session.id)
    assert (record["details"]["targets"], record["details"]["requested_by"]) == (["shell"], "maker/tina")
    assert record["details"]["terminal"]["recording"] == "a.cast"


def test_auditors_are_told_who_reached_what_for_which_case_how_long_and_how_much_went_through() -> None:
    machine = Machine().brought_to(SessionState.ACTIVE)
    machine.later(seconds=20)
    machine.say("report", news="progress", bytes_in=500, bytes_out=40)
    found = []
    for said in (("withdraw", {}), ("report", {"news": "progress", "bytes_in": 700, "bytes_out": 41})):
        result = machine.say(said[0], **said[1])
        assert result.device is not None
        place: Any = SimpleNamespace(id="c-1", place="session.commands.v1-3-41", now=machine.now, traceparent=None)
        found += [json.loads(each.value or b"") for each in audited(result, result.device, place)[1]]
    told = {record["action"]: record for record in found}
    ended, summed_up = told["session.revoked"], told["session.progressed"]
    assert (ended["reason"], ended["object"]["id"]) == ("consent_missing", machine.only.session.id)
    assert {name: ended["details"][name] for name in ("requested_by", "bytes_in", "bytes_out", "active_seconds")} == {
        "requested_by": "maker/tina",
        "bytes_in": 500,
        "bytes_out": 40,
        "active_seconds": 20.0,
    }
    assert ended["details"]["case_id"] == CASE_ID
    assert ended["details"]["targets"] == ["hmi=192.168.7.20:443"]
    assert (summed_up["details"]["bytes_in"], summed_up["details"]["bytes_out"]) == (700, 41)


def test_a_terminal_has_one_service_and_no_target_of_its_own() -> None:
    machine = opened()
    two = [{"endpoint": "shell"}, {"endpoint": "shell"}]
    assert machine.say("request", kind="terminal", services=two).code == "session_limit"
    other = [{"endpoint": "shell", "remote_port": 22}]
    assert machine.say("request", kind="terminal", services=other).code == "override_invalid"
    assert machine.say("request", services=[{"endpoint": "shell"}]).code == "endpoint_undefined"


def test_consent_to_ports_is_none_to_a_terminal() -> None:
    machine = Machine()
    machine.say("observe_presence", state="online", epoch=1)
    machine.say("define", endpoints=[SHELL])
    machine.say("grant", scope={"ports": [22]})
    machine.say("request", kind="terminal", services=[{"endpoint": "shell"}])
    assert machine.state is SessionState.AWAITING_CONSENT


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    await site.prepare()
    site.rules = allowing()
    identity = Identity("acme", "press-07", tmp_path / "edge")
    site.dialler = Dialler(identity, [(HERE, site.edge_port)], lambda: site.rules, tmp_path / "recordings")
    site.tasks.append(asyncio.create_task(site.dialler.run()))
    await site.until(lambda: bool(site.edges.all()))
    yield site
    await site.close()


def allowing(*command: str, **more: Any) -> AllowList:
    terminal = Terminal("shell", command or (shutil.which("sh") or "", "-i"), **more)
    return AllowList(forbid_all=False, terminals=(terminal,))


async def typed(site: Site, session_id: str, *lines: str) -> tuple[int, str]:
    """Type lines in a terminal of a stock client, which itself has none."""
    command = ("ssh", "-F", site.config(session_id), "-tt", "machine")
    return await run(*command, stdin="".join(f"{line}\n" for line in lines).encode())


def uses(site: Site) -> list[Any]:
    return [each for each in site.machine.only.session.terminals if each.closed_at is not None]


def recorded(site: Site) -> list[Any]:
    [file] = (site.folder / "recordings").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_what_a_terminal_shows_is_recorded_at_the_machine_and_told_with_its_digest(site: Site) -> None:
    session_id = await site.active(SHELL, kind="terminal")
    code, shown = await typed(site, session_id, "echo it is $((6 * 7)) ü", "stty size", "exit 3")
    assert (code, "it is 42 ü" in shown) == (3, True), shown
    await site.until(lambda: len(uses(site)) == 1)
    [use] = uses(site)
    head, *events = recorded(site)
    assert (head["version"], head["width"], head["height"]) == (2, use.columns, use.rows)
    assert "by tina (maker)" in head["title"]
    assert "it is 42 ü" in "".join(text for _, kind, text in events if kind == "o")
    assert [moment for moment, _, _ in events] == sorted(moment for moment, _, _ in events)
    file = site.folder / "recordings" / use.recording
    assert use.recording_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (use.recording_bytes, use.exit_status) == (file.stat().st_size, 3)
    assert use.bytes_in > 20
    assert use.bytes_out >= len("it is 42")
    assert site.machine.told.count("terminal_opened") == site.machine.told.count("terminal_closed") == 1


async def test_what_is_not_shown_is_not_recorded(site: Site) -> None:
    site.rules = allowing(shutil.which("sh") or "", "-c", "stty -echo; echo ask; read secret; echo got ${#secret}")
    session_id = await site.active(SHELL, kind="terminal")
    ssh = await asyncio.create_subprocess_exec(
        *("ssh", "-F", site.config(session_id), "-tt", "machine"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert ssh.stdin is not None
    assert ssh.stdout is not None
    await asyncio.wait_for(ssh.stdout.readuntil(b"ask"), SOON)
    ssh.stdin.write(b"hush-hush\n")
    assert b"got 9" in await asyncio.wait_for(ssh.stdout.read(), SOON)
    await ssh.wait()
    await site.until(lambda: len(uses(site)) == 1)
    shown = "".join(text for _, kind, text in recorded(site)[1:])
    assert ("got 9" in shown, "hush" in shown) == (True, False)


async def test_a_terminal_that_can_no_longer_be_recorded_ends(site: Site) -> None:
    site.rules = allowing(record_bytes_max=4000)
    session_id = await site.active(SHELL, kind="terminal")
    await asyncio.wait_for(typed(site, session_id, "yes"), SOON)
    await site.until(lambda: len(uses(site)) == 1)
    assert (uses(site)[0].reason, uses(site)[0].recording_bytes <= 4000) == ("recording_full", True)


async def test_a_terminal_that_has_to_be_recorded_and_cannot_be_is_not_opened(site: Site) -> None:
    (site.folder / "recordings").write_text("in the way")
    session_id = await site.active(SHELL, kind="terminal")
    code, shown = await typed(site, session_id, "echo hello")
    assert (code, "cannot be" in shown, "hello" in shown) == (1, True, False)


async def test_without_recording_its_use_is_told_all_the_same(site: Site) -> None:
    site.rules = allowing(record=False)
    session_id = await site.active(SHELL, kind="terminal")
    assert (await typed(site, session_id, "exit"))[0] == 0
    await site.until(lambda: len(uses(site)) == 1)
    assert (uses(site)[0].recording, (site.folder / "recordings").exists()) == (None, False)


async def test_a_revoked_terminal_is_gone_with_all_that_ran_in_it(site: Site) -> None:
    session_id = await site.active(SHELL, kind="terminal")
    typing = asyncio.create_task(typed(site, session_id, f"sleep 600 & echo $! > {site.folder}/pid; wait"))
    await site.until(lambda: (site.folder / "pid").exists() and (site.folder / "pid").read_text().strip() != "")
    await site.ledger.say("withdraw")
    await asyncio.wait_for(typing, SOON)
    pid = int((site.folder / "pid").read_text())
    await site.until(lambda: not is_alive(pid))
    await site.until(lambda: len(uses(site)) == 1)
    assert "sleep 600" in json.dumps(recorded(site))


async def test_a_session_has_four_terminals_at_once(site: Site) -> None:
    session_id = await site.active(SHELL, kind="terminal")
    config = site.config(session_id)
    common = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.DEVNULL}
    opened = [await asyncio.create_subprocess_exec("ssh", "-F", config, "-tt", "machine", **common) for _ in range(4)]
    await site.until(lambda: len(site.machine.only.session.terminals) == 4)
    assert (await typed(site, session_id, "exit"))[0] == 255
    for each in opened:
        each.terminate()
        await each.wait()
    await site.until(lambda: len(uses(site)) == 4)


async def test_a_terminal_runs_no_command_of_the_clients_and_reaches_nothing(site: Site) -> None:
    session_id = await site.active(SHELL, kind="terminal")
    config = site.config(session_id)
    for command in (("ssh", "-F", config, "-tt", "machine", "id"), ("ssh", "-F", config, "-T", "machine")):
        code, said = await run(*command)
        assert (code, "uid=" in said) == (1, False), said
    assert (await run("sftp", "-F", config, "-b", "-", "machine", stdin=b"ls\n"))[0] == 255
    code, _ = await run("ssh", "-F", config, "-W", f"{HERE}:{site.port}", "machine")
    assert code == 255
    assert site.machine.only.session.terminals == ()


async def test_what_the_machine_does_not_allow_is_no_terminal(site: Site) -> None:
    site.rules = AllowList(forbid_all=False)
    await site.offered(SHELL, kind="terminal")
    await site.until(lambda: site.machine.state is SessionState.REJECTED)
    assert site.machine.only.session.end_reason == "target_denied"
    site.rules = allowing()
    await asyncio.sleep(0.01)
    session_id = await site.active(SHELL, kind="terminal")
    site.rules = AllowList(forbid_all=False)
    assert (await typed(site, session_id, "echo hello"))[0] == 255
