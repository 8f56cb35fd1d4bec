"""Remote sessions on the running stack: asked for, consented to and ended over HTTP; who may, and what is audited."""

import asyncio
import getpass
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from pymongo import MongoClient

from deploy.embedded.data_folder import free_port
from deploy.session_access import Access, NotOpened, Wanted, open_session
from deploy.topic_reader import TopicReader
from services.remote_session.relay.authority import Authority
from shared.contracts.ids import fresh_id
from shared.flow.teller import partitioner
from tests.e2e import outsider
from tests.edge_agent import Agent, resident_kib
from tests.integration.test_gateway import Client
from tests.mqtt_device import needs_mosquitto
from tests.stack import PROJECT, RunningStack, StackError, clean_environment, is_alive, wait_until

pytestmark = pytest.mark.integration
HMI = {"name": "hmi", "protocol": "https", "host": "192.168.7.20", "port": 443}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Workflow, the gateway, files, devices and remote sessions."""
    services = ("--only", "workflow,gateway,remote_session,attachment,edge_adapter")
    folder = tmp_path_factory.mktemp("sessions")
    environment = {"GATEWAY_METADATA_REFRESH_SECONDS": "1"}
    with RunningStack(folder, *services, environment=environment) as running:
        set_up = tell(running, "tenant.config.v1", "acme/counterpart/maker", "callout.tenant.config.v1", {"name": "M"})
        asyncio.run(set_up)
        yield running


class People:
    """Everybody who takes part in a case of a machine."""

    def __init__(self, stack: RunningStack, exits: AsyncExitStack) -> None:
        self._stack, self._exits = stack, exits

    async def open(self) -> "People":
        self.ann = await self._one(tenant="acme", user="ann", role="agent")
        self.omar = await self._one(tenant="acme", user="omar", role="operator")
        self.tina = await self._one(tenant="maker", user="tina", role="technician")
        self.eve = await self._one(tenant="stranger", user="eve", role="technician")
        return self

    async def _one(self, **who: Any) -> httpx.AsyncClient:
        return await self._exits.enter_async_context(Client(self._stack, **who))


@pytest.fixture
async def people(stack: RunningStack) -> AsyncIterator[People]:
    async with AsyncExitStack() as exits:
        yield await People(stack, exits).open()


async def tell(stack: RunningStack, topic: str, key: str, type_: str, body: dict[str, Any]) -> None:
    headers = [("ce_type", type_.encode()), ("ce_id", fresh_id().encode()), ("ce_source", b"/tests")]
    headers += [("ce_specversion", b"1.0")]
    servers = stack.values["KAFKA_BOOTSTRAP_SERVERS"]
    async with AIOKafkaProducer(bootstrap_servers=servers, partitioner=partitioner) as producer:
        await producer.send_and_wait(topic, orjson.dumps(body), key=key.encode(), headers=headers)


async def tell_presence(
    stack: RunningStack, device: str, status: str = "online", epoch: int = 1, boot: int | None = None
) -> None:
    at = "2026-03-02T10:15:00.000Z"
    body: dict[str, Any] = {"tenant_id": "acme", "device_id": device, "status": status, "previous": "unknown"}
    body |= {"epoch": epoch, "change": epoch, "since": at, "cause": "birth", "detection_delay_s": 0.0}
    body |= {"evidence": {"kind": "birth"}, "at": at} | ({"boot": boot} if boot else {})
    await tell(stack, "device.presence.v1", f"acme/{device}", "callout.device.presence.v1", body)


async def shared_case(
    stack: RunningStack, people: People, device: str, *, told: bool = True, **presence: int
) -> dict[str, Any]:
    """Return a case of acme's machine, shared with its maker, which is said to be there unless it says so itself."""
    if told:
        await tell_presence(stack, device, **presence)
    defined = await people.omar.put(f"/api/v1/devices/{device}/endpoints", json={"endpoints": [HMI]})
    assert defined.status_code == 200, defined.text
    made = (await people.ann.post("/api/v1/cases", json={"title": "Hot", "device_id": device})).json()
    share = {"counterpart_tenant_id": "maker"}
    shared = await people.ann.post(f"/api/v1/cases/{made['id']}/commands/share", json=share)
    assert shared.status_code == 200, shared.text
    return shared.json()


async def eventually(http: httpx.AsyncClient, path: str, **wanted: Any) -> dict[str, Any]:
    """Return a resource once it is as wanted."""
    answer: httpx.Response | None = None

    async def shown() -> dict[str, Any] | None:
        nonlocal answer
        answer = await http.get(path)
        found: dict[str, Any] = answer.json()
        well = answer.status_code == 200 and all(found.get(name) == value for name, value in wanted.items())
        return found if well else None

    try:
        return dict(await outsider.until(shown))
    except StackError as error:
        raise AssertionError(answer.text if answer is not None else "") from error


async def happenings(http: httpx.AsyncClient, session: str, last: str) -> list[str]:
    """Return what was told of a session once the last of it is, which comes to its history after its state."""

    async def told() -> list[str] | None:
        events = [each["type"].split(".")[2] for each in (await http.get(f"{session}/history")).json()["items"]]
        return events if last in events else None

    return list(await outsider.until(told, what=last))


async def requested(people: People, case_id: str, **body: Any) -> httpx.Response:
    """Ask until the case, the device and its endpoints have come to the service."""
    wanted = {"services": [{"endpoint": "hmi"}], **body}
    for _ in range(600):
        answer = await people.tina.post(f"/api/v1/cases/{case_id}/sessions", json=wanted)
        if answer.status_code not in {404, 409}:
            return answer
        await asyncio.sleep(0.1)
    return answer


@pytest.mark.seed("S1.28", "S1.31")
async def test_a_session_is_asked_for_consented_to_seen_in_the_panel_and_revoked_with_the_case(
    stack: RunningStack, people: People
) -> None:
    case = await shared_case(stack, people, "press-01")
    path = f"/api/v1/cases/{case['id']}"
    asked = await requested(people, case["id"], reason="look at it")
    assert asked.status_code == 201, asked.text
    session = asked.json()
    assert (session["state"], session["active"], len(session["token"])) == ("AWAITING_CONSENT", False, 43)
    assert session["connect"]["relay"] == stack.values["CALLOUT_RELAY"]
    assert f"-J {session['id']}@{stack.values['CALLOUT_RELAY']}" in session["connect"]["ssh"]
    granted = await people.omar.post(f"{path}/consents", json={"session": session["id"]})
    assert granted.status_code == 201, granted.text
    seen = await eventually(people.omar, f"{path}/sessions/{session['id']}", state="OFFERED")
    assert "connect" not in seen
    assert "token" not in (await people.tina.get(f"{path}/sessions/{session['id']}")).json()
    for side in (people.ann, people.tina):  # which is written down a moment after the session
        await outsider.until(lambda side=side: remote_access(side, path), what="granted")
    [listed] = (await people.tina.get(f"{path}/sessions", params={"live": "true"})).json()["items"]
    assert listed["id"] == session["id"]
    assert (await people.tina.get(f"{path}/endpoints")).json()["items"][0]["name"] == "hmi"
    await people.ann.post(f"{path}/commands/close", json={})
    ended = await eventually(people.tina, f"{path}/sessions/{session['id']}", state="REVOKED")
    assert ended["end_reason"] == "case_not_open"
    assert await happenings(people.omar, f"{path}/sessions/{session['id']}", "revoked") == [
        "requested",
        "offered",
        "revoked",
    ]

    async def consent_is_over() -> bool:
        return (await people.omar.get(f"{path}/consents")).json()["items"] == []

    await outsider.until(consent_is_over)


async def remote_access(http: httpx.AsyncClient, path: str) -> bool:
    """Tell whether a case shows that somebody may reach its machine."""
    return bool((await http.get(path)).json()["columns"]["remote_access"] == "granted")


async def test_a_refusal_has_its_code_over_http_and_is_audited(stack: RunningStack, people: People) -> None:
    case = await shared_case(stack, people, "press-02")
    path = f"/api/v1/cases/{case['id']}"
    assert (await requested(people, case["id"])).status_code == 201
    wanted = {"services": [{"endpoint": "nothing"}]}
    refused = await people.tina.post(f"{path}/sessions", json=wanted)
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_undefined")
    override = {"services": [{"endpoint": "hmi", "remote_port": 70_000}]}
    assert (await people.tina.post(f"{path}/sessions", json=override)).json()["code"] == "override_invalid"
    assert (await people.omar.post(f"{path}/sessions", json=wanted)).status_code == 403
    assert (await people.tina.post(f"{path}/consents", json={})).status_code == 403
    unknown = await people.tina.post(f"{path}/sessions", json={**wanted, "device_id": "x"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "invalid_command")
    for answer in (
        await people.eve.get(f"{path}/sessions"),
        await people.eve.post(f"{path}/sessions", json=wanted),
        await people.eve.get(f"{path}/endpoints"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    async def audited() -> bool:  # who is answered may be told before every reader sees the audit
        records = [each for each in await audit_of(stack) if each["object"]["id"] == "acme/press-02"]
        codes = [each.get("code") for each in records if each["result"] == "refused"]
        return codes[-2:] == ["endpoint_undefined", "override_invalid"]

    await outsider.until(audited, what="both audits")


async def test_consent_taken_back_revokes_and_a_repeated_request_counts_once(
    stack: RunningStack, people: People
) -> None:
    case = await shared_case(stack, people, "press-03")
    path = f"/api/v1/cases/{case['id']}"
    await consented(people, path)
    body = {"services": [{"endpoint": "hmi"}], "token_hash": "5e" * 32}
    twice = [
        await people.tina.post(f"{path}/sessions", json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(2)
    ]
    assert [each.status_code for each in twice] == [201, 201], twice[0].text
    assert twice[0].json()["id"] == twice[1].json()["id"]
    assert "token" not in twice[0].json()
    session = f"{path}/sessions/{twice[0].json()['id']}"
    await eventually(people.tina, session, state="OFFERED")
    for each in (await people.omar.get(f"{path}/consents")).json()["items"]:
        assert (await people.omar.delete(f"{path}/consents/{each['id']}")).status_code == 204
    assert (await eventually(people.tina, session, state="REVOKED"))["end_reason"] == "consent_missing"


async def test_endpoints_come_from_the_registry_and_a_boot_but_no_connection_of_the_device_revokes(
    stack: RunningStack, people: People
) -> None:
    case = await shared_case(stack, people, "press-04", epoch=2, boot=1)
    path = f"/api/v1/cases/{case['id']}"
    at = "2026-03-02T10:15:00.000Z"
    known: dict[str, Any] = {"tenant_id": "acme", "device_id": "press-04", "version": 1, "state": "registered"}
    known |= {"registered_at": at, "updated_at": at}
    known |= {"endpoints": [{"name": "Screen", "kind": "tunnel", "protocol": "vnc", "host": "10.0.0.7", "port": 5900}]}
    await tell(stack, "device.registry.v1", "acme/press-04", "callout.device.registered.v1", known)
    screen = [{"endpoint": "screen"}]
    asked = (await requested(people, case["id"], services=screen)).json()
    assert asked["services"][0]["port"] == 5900
    await people.omar.post(f"{path}/consents", json={"session": asked["id"]})
    session = f"{path}/sessions/{asked['id']}"
    await eventually(people.tina, session, state="OFFERED", boot=1)
    await tell_presence(stack, "press-04", epoch=3, boot=1)
    await asyncio.sleep(1)
    assert (await people.tina.get(session)).json()["state"] == "OFFERED"
    await tell_presence(stack, "press-04", epoch=4, boot=2)
    ended = await eventually(people.tina, f"{path}/sessions/{asked['id']}", state="REVOKED")
    assert ended["end_reason"] == "epoch_changed"


@pytest.mark.skipif(shutil.which("ssh") is None and not os.environ.get("CI"), reason="needs openssh-client")
async def test_connect_leads_through_the_relay_to_the_machine_until_the_case_is_closed(
    stack: RunningStack, people: People, tmp_path: Path
) -> None:
    case = await shared_case(stack, people, "press-05")
    path = f"/api/v1/cases/{case['id']}"

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = {"name": "target", "host": "127.0.0.1", "port": port}
    await people.omar.put("/api/v1/devices/press-05/endpoints", json={"endpoints": [endpoint]})
    agent = mounted(stack, tmp_path, "press-05")
    await consented(people, path)
    token = people.tina.headers["Authorization"].removeprefix("Bearer ")
    wanted = Wanted(case=case["id"], endpoints=("target",))
    access = await open_session(stack.http_urls[0], token, wanted, tmp_path / "tina", lambda _: None)
    session = f"{path}/sessions/{access.session['id']}"
    local = free_port()
    forward = f"127.0.0.1:{local}:127.0.0.1:{port}"
    ssh = await asyncio.create_subprocess_exec("ssh", "-F", str(access.config), "-N", "-L", forward, "machine")
    await eventually(people.tina, session, state="ACTIVE", active=True)
    for _ in range(600):
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            break
        await asyncio.sleep(0.1)
    await reader.readexactly(1024 * 1024)
    closing = asyncio.create_task(people.ann.post(f"{path}/commands/close", json={}))
    with suppress(OSError):
        while await asyncio.wait_for(reader.read(1024 * 1024), 60):
            pass
    await closing
    await asyncio.wait_for(ssh.wait(), 60)
    ended = await eventually(people.tina, session, state="REVOKED")
    assert (ended["end_reason"], ended["active"]) == ("case_not_open", False)
    assert ended["active_seconds"] > 0
    writer.close()
    server.close()
    assert resident_kib(agent.process.pid) < 40 * 1024
    assert agent.stop() == 0
    await outsider.until(lambda: not is_alive(carrier_of(agent)), what="what carried the sessions ended with the agent")


@pytest.mark.skipif(shutil.which("ssh") is None and not os.environ.get("CI"), reason="needs openssh-client")
@pytest.mark.skipif(shutil.which("curl") is None and not os.environ.get("CI"), reason="needs curl")
async def test_connect_runs_a_browser_ssh_sftp_and_a_recorded_terminal_and_ends_the_session_with_them(
    stack: RunningStack, people: People, tmp_path: Path
) -> None:
    case = await shared_case(stack, people, "press-07")
    path = f"/api/v1/cases/{case['id']}"
    (tmp_path / "log.txt").write_text("spindle 91.4")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\nthe panel 07")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    web = {"name": "web", "protocol": "http", "host": "127.0.0.1", "port": port}
    folder = {"name": "files", "kind": "file", "protocol": "sftp", "root": str(tmp_path), "direction": "out"}
    endpoints = [web, folder, {"name": "shell", "kind": "terminal", "protocol": "ssh"}]
    await people.omar.put("/api/v1/devices/press-07/endpoints", json={"endpoints": endpoints})
    shell = f'[[terminal]]\nendpoint = "shell"\ncommand = ["/bin/sh"]\nuser = "{getpass.getuser()}"\n'
    agent = mounted(stack, tmp_path, "press-07", f'[[root]]\npath = "{tmp_path}"\n{shell}')
    await consented(people, path)
    environment = {"CALLOUT_TOKEN": people.tina.headers["Authorization"].removeprefix("Bearer ")}
    environment["BROWSER"] = "curl -s -o page.html %s"
    calling = calls(stack, tmp_path, environment, "connect", case["id"], "--run", "browser")
    page = tmp_path / "page.html"
    await until(lambda: page.exists() and page.read_text() == "the panel 07", calling)
    calling.terminate()
    assert await asyncio.to_thread(calling.wait, 60) == 0, calling.communicate()
    config = tmp_path / ".callout" / "session" / "config"
    assert "ProxyUseFdpass yes" in config.read_text(), "the direct way"
    command = ("connect", case["id"], "--jump", "--run", "sftp")
    calling = calls(stack, tmp_path, environment, *command)
    said = await asyncio.to_thread(calling.communicate, b"get log.txt got.txt\nbye\n", 120)
    assert calling.returncode == 0, said
    assert (tmp_path / "got.txt").read_text() == "spindle 91.4"
    assert "ProxyJump relay" in config.read_text()
    (tmp_path / "fetched").mkdir()
    command = ("connect", case["id"], "--jump", "--get", "log.txt", "--json")
    called = await asyncio.to_thread(run_callout, stack, tmp_path / "fetched", environment, *command)
    assert called.returncode == 0, called.stderr
    assert (tmp_path / "fetched" / "log.txt").read_text() == "spindle 91.4"
    near, far = os.openpty()
    calling = calls(stack, tmp_path, environment, "connect", case["id"], "--terminal", "--run", "ssh", stdin=far)
    os.write(near, b"echo it is $((6 * 7))\nexit\n")
    shown, _ = await asyncio.to_thread(calling.communicate, None, 120)
    assert b"it is 42" in shown
    for end in (near, far):
        os.close(end)

    async def closed() -> list[dict[str, Any]] | None:
        items = list((await people.tina.get(f"{path}/sessions")).json()["items"])
        return items if [each["state"] for each in items] == ["CLOSED"] * 4 else None

    ended = await outsider.until(closed, what="four sessions that are closed")
    use = await closed_terminal(people, f"{path}/sessions/{ended[0]['id']}")
    assert use["exit_status"] == 0
    assert "it is 42" in recorded(tmp_path, use["recording"])
    told = await happenings(people.omar, f"{path}/sessions/{ended[0]['id']}", "terminal_closed")
    assert (told.count("terminal_opened"), told.count("terminal_closed")) == (1, 1)
    agent.stop()
    server.close()


async def closed_terminal(people: People, session: str) -> dict[str, Any]:
    """Return what is told of the one terminal of a session, once it is closed."""
    for _ in range(600):
        terminals = (await people.omar.get(session)).json().get("terminals", [])
        if terminals and "closed_at" in terminals[0]:
            return terminals[0]
        await asyncio.sleep(0.1)
    raise AssertionError(terminals)


def recorded(folder: Path, name: str) -> str:
    [recording] = folder.rglob("*.cast")
    assert recording.name == name
    return recording.read_text()


def calls(
    stack: RunningStack, folder: Path, environment: dict[str, str], *arguments: str, stdin: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Begin to run the command as a technician would, in a folder."""
    return subprocess.Popen(
        (sys.executable, "-m", "deploy.cli.main", *arguments),
        cwd=folder, env={**clean_environment(), **stack.values, **environment, "PYTHONPATH": str(PROJECT)},
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


async def until(true: Callable[[], bool], calling: subprocess.Popen[bytes]) -> None:
    """Wait for something that a command does."""
    for _ in range(1200):
        if true():
            return
        assert calling.poll() is None, calling.communicate()
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to that")


@pytest.mark.seed("S1.30", "S1.32")
async def test_files_are_moved_over_a_killed_relay_and_into_the_case_and_done_when_both_ends_have_the_same(
    stack: RunningStack, people: People, tmp_path: Path
) -> None:
    case = await shared_case(stack, people, "press-06")
    path = f"/api/v1/cases/{case['id']}"
    root, mine = tmp_path / "root", tmp_path / "mine"
    root.mkdir()
    mine.mkdir()
    (root / "log.bin").write_bytes(os.urandom(300_000))
    (root / "trace.log").write_bytes(os.urandom(500_000))
    (mine / "up.bin").write_bytes(os.urandom(4_000_000))
    folder = {"name": "files", "kind": "file", "protocol": "sftp", "root": str(root), "bytes_per_minute": 50_000_000}
    await people.omar.put("/api/v1/devices/press-06/endpoints", json={"endpoints": [folder]})
    second = await asyncio.to_thread(second_relay, stack, tmp_path)
    agent = mounted(stack, tmp_path, "press-06", f'[[root]]\npath = "{root}"\nwritable = true\n', second.edge)
    await consented(people, path)
    environment = {"CALLOUT_TOKEN": people.tina.headers["Authorization"].removeprefix("Bearer ")}
    command = ("connect", case["id"], "--out", "keys", "--put", "up.bin", "--get", "log.bin", "--json")
    command = (*command, "--attach", "trace.log")
    calling = asyncio.create_task(asyncio.to_thread(run_callout, stack, mine, environment, *command))
    session = await carried(people, path, calling)
    first = session["relay"] == stack.values["CALLOUT_RELAY"]
    while not ((root / "up.bin").exists() and (root / "up.bin").stat().st_size > 0):
        assert not calling.done(), calling.result().stderr
        await asyncio.sleep(0.02)
    os.kill(stack.pids["relay"][0] if first else second.process.pid, signal.SIGKILL)
    assert (root / "up.bin").stat().st_size < 4_000_000, "the relay was killed in the middle"
    called = await calling
    assert called.returncode == 0, called.stderr
    told = orjson.loads(called.stdout)["transfers"]
    assert [(each["direction"], each["state"]) for each in told] == [("out", "DONE"), ("in", "DONE"), ("out", "DONE")]
    assert (root / "up.bin").read_bytes() == (mine / "up.bin").read_bytes()
    assert (root / "log.bin").read_bytes() == (mine / "log.bin").read_bytes()
    other = (await people.tina.get(f"{path}/sessions/{session['id']}")).json()["relay"]
    assert other == (second.address if first else stack.values["CALLOUT_RELAY"])

    async def audited() -> bool:
        moved = [each["details"] for each in await audit_of(stack) if each["action"] == "session.transferred"]
        names = [each["transfer"]["name"] for each in moved if each["case_id"] == case["id"]]
        return names == ["log.bin", "up.bin", "trace.log"]

    await outsider.until(audited, what="three audits, in order")
    assert not (mine / "trace.log").exists(), "it went past the technician"
    file = f"/api/v1/attachments/{told[2]['attachment_id']}"
    await eventually(people.omar, file, case_id=case["id"], name="trace.log")
    assert (await people.omar.get(f"{file}/content")).content == (root / "trace.log").read_bytes()
    assert (await people.eve.get(file)).status_code == 404
    agent.stop()
    second.process.kill()
    second.process.wait()


async def test_a_file_for_the_case_comes_whole_and_once_though_its_relay_is_killed_in_the_middle(
    stack: RunningStack, people: People, tmp_path: Path
) -> None:
    case = await shared_case(stack, people, "press-08")
    path = f"/api/v1/cases/{case['id']}"
    root = tmp_path / "root"
    root.mkdir()
    (root / "trace.log").write_bytes(os.urandom(5_000_000))
    folder = {"name": "files", "kind": "file", "protocol": "sftp", "root": str(root), "bytes_per_minute": 120_000_000}
    await people.omar.put("/api/v1/devices/press-08/endpoints", json={"endpoints": [folder]})
    agent = mounted(stack, tmp_path, "press-08", f'[[root]]\npath = "{root}"\n')
    await consented(people, path)
    token = people.tina.headers["Authorization"].removeprefix("Bearer ")
    wanted = Wanted(case=case["id"], kind="file", endpoints=("files",))
    access = await open_session(stack.http_urls[0], token, wanted, tmp_path / "tina", lambda _: None)
    session = f"{path}/sessions/{access.session['id']}"
    await eventually(people.tina, session, state="ACTIVE")
    asked = {"direction": "out", "name": "trace.log", "attach": True}
    assert (await people.tina.post(f"{session}/commands/transfer", json=asked)).is_success
    with MongoClient[dict[str, Any]](stack.mongodb_uri) as client:
        uploads = client["callout_attachment"]["uploads"]
        await asyncio.to_thread(wait_until, lambda: uploads.find_one({"length": 5_000_000}) is not None, seconds=60)
    await asyncio.sleep(0.5)  # of two and a half seconds that the machine takes
    killed = stack.kill("relay")
    file = await attached(people, session)
    assert await asyncio.to_thread(stack.wait_for_restart, "relay", killed) != killed
    await eventually(people.omar, f"/api/v1/attachments/{file}", case_id=case["id"], name="trace.log")
    fetched = await people.omar.get(f"/api/v1/attachments/{file}/content")
    assert fetched.content == (root / "trace.log").read_bytes()
    assert await files_of(people, path) == [file]
    moved = [each["details"] for each in await audit_of(stack) if each["action"] == "session.transferred"]
    assert [each["transfer"]["state"] for each in moved if each["case_id"] == case["id"]] == ["DONE"]
    agent.stop()


async def files_of(people: People, path: str) -> list[str]:
    """Return the files of a case once it has any."""
    for _ in range(300):
        items = (await people.omar.get(f"{path}/attachments")).json()["items"]
        if items:
            break
        await asyncio.sleep(0.1)
    return [each["id"] for each in items]


async def attached(people: People, session: str) -> str:
    """Return the file that a session's only transfer became."""
    for _ in range(900):
        answer = await people.tina.get(session)
        [transfer] = answer.json()["transfers"] if answer.is_success else [{"state": ""}]
        if transfer["state"] == "DONE":
            found: str = transfer["attachment_id"]
            return found
        assert transfer["state"] not in {"FAILED", "CANCELLED", "EXPIRED"}, transfer
        await asyncio.sleep(0.1)
    raise AssertionError(transfer)


@pytest.mark.skipif(shutil.which("ssh") is None and not os.environ.get("CI"), reason="needs openssh-client")
async def test_a_machine_that_enrolled_itself_by_a_code_is_reached_by_stock_ssh(
    stack: RunningStack, people: People, tmp_path: Path
) -> None:
    needs_mosquitto()

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    case = await shared_case(stack, people, "press-09", told=False)
    endpoint = {"name": "target", "host": "127.0.0.1", "port": port}
    await people.omar.put("/api/v1/devices/press-09/endpoints", json={"endpoints": [endpoint]})
    agent = await asyncio.to_thread(enrolled_by_code, stack, tmp_path, "press-09")
    [known] = await asyncio.to_thread(known_devices, stack, "press-09")
    assert known["session_key"].startswith("ssh-ed25519 ")
    agent.start()
    path = f"/api/v1/cases/{case['id']}"
    await consented(people, path)
    token = people.tina.headers["Authorization"].removeprefix("Bearer ")
    wanted = Wanted(case=case["id"], endpoints=("target",))
    access = await opened(stack, token, wanted, tmp_path / "tina")
    command = ("ssh", "-F", str(access.config), "-W", f"127.0.0.1:{port}", "machine")
    pipe = asyncio.subprocess.PIPE
    ssh = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    said, wrong = await asyncio.wait_for(ssh.communicate(), 60)
    assert (ssh.returncode, said) == (0, b"220 ready"), wrong
    assert agent.stop() == 0
    server.close()


def enrolled_by_code(stack: RunningStack, folder: Path, device: str) -> Agent:
    """Return an agent that got all it needs for a one-time code; nothing else was brought to it."""
    agent = Agent(folder, stack.values["CALLOUT_MQTT_URL"], device=device)
    names = {"ca": "ca.pem", "certificate": "device.pem", "key": "device.key"}
    secure = f'url = "{stack.values["CALLOUT_MQTTS_URL"]}"\n'
    secure += "".join(f'{name} = "{file}"\n' for name, file in names.items())
    more = f'[enrolment]\nurl = "{stack.values["CALLOUT_MQTT_URL"]}"\n'
    more += f'[sessions]\nallow = "allow.toml"\nrelays = ["{stack.values["CALLOUT_RELAY_EDGE"]}"]\n'
    agent.write(secure + more, device, "")
    agent.config.write_text(agent.config.read_text().replace("interval_s = 1\n", "interval_s = 60\n"))
    (folder / "allow.toml").write_text('endpoints = ["127.0.0.1:*"]\n')
    (folder / "allow.toml").chmod(0o644)
    invited = stack.callout("devices", "enroll", "acme", device, "--code")
    assert invited.code == 0, invited.stderr
    (folder / "code").write_text(invited.stdout)
    enrol = ("enroll", "--code-file", str(folder / "code"))
    wait_until(lambda: agent.command(*enrol).returncode == 0, seconds=60)  # the broker reads fresh codes now and then
    checked = agent.command("check", "--offline")
    assert checked.returncode == 0, checked.stdout
    return agent


def known_devices(stack: RunningStack, device: str) -> list[dict[str, Any]]:
    shown = stack.callout("devices", "show", "acme", device, "--json")
    assert shown.code == 0, shown.stderr
    return [orjson.loads(shown.stdout)]


async def opened(stack: RunningStack, token: str, wanted: Wanted, folder: Path) -> Access:
    """Open a session once the machine is known to be there, which it says itself."""
    for _ in range(120):
        try:
            return await open_session(stack.http_urls[0], token, wanted, folder, lambda _: None)
        except NotOpened as error:
            why = str(error)
        await asyncio.sleep(0.5)
    raise AssertionError(why)


@dataclass
class SecondRelay:
    """One more relay of a stack, by its own process."""

    process: subprocess.Popen[bytes]
    address: str
    edge: str


async def carried(people: People, path: str, calling: asyncio.Task[Any]) -> dict[str, Any]:
    """Return the session that a command asks for, once a relay carries it."""
    for _ in range(600):
        assert not calling.done(), calling.result().stderr
        for session in (await people.tina.get(f"{path}/sessions")).json()["items"]:
            if "relay" in session:
                return session
        await asyncio.sleep(0.1)
    raise AssertionError("no relay carries it")


def second_relay(stack: RunningStack, folder: Path) -> SecondRelay:
    """Run one, with the keys and the servers of the stack."""
    health, port, edge = free_port(), free_port(), free_port()
    environment = {name: stack.values[name] for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI")}
    environment |= {"REMOTE_SESSION_RELAY_FOLDER": stack.values["CALLOUT_RELAY_FOLDER"], "PYTHONPATH": str(PROJECT)}
    environment |= {"REMOTE_SESSION_HTTP_PORT": str(health), "REMOTE_SESSION_RELAY_PORT": str(port)}
    environment |= {"REMOTE_SESSION_RELAY_EDGE_PORT": str(edge)}
    files = orjson.loads((stack.data / "ports.json").read_bytes())["attachment-api"]
    environment |= {"REMOTE_SESSION_ATTACHMENT_URL": f"http://127.0.0.1:{files}"}
    environment |= {"CALLOUT_INTERNAL_KEY": (stack.data / "internal.key").read_text()}
    with (folder / "relay.log").open("wb") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "services.remote_session.relay"),
            cwd=PROJECT, env={**clean_environment(), **environment}, stdout=log, stderr=log,
        )  # fmt: skip
    wait_until(lambda: answers(health))
    return SecondRelay(process, f"127.0.0.1:{port}", f"127.0.0.1:{edge}")


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx.TransportError:
        return False


def run_callout(stack: RunningStack, folder: Path, environment: dict[str, str], *arguments: str) -> Any:
    """Run the command as a technician would, in a folder."""
    return subprocess.run(
        (sys.executable, "-m", "deploy.cli.main", *arguments),
        cwd=folder, env={**clean_environment(), **stack.values, **environment, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def mounted(stack: RunningStack, folder: Path, device: str, more: str = "", *relays: str) -> Agent:
    """Run the agent of a machine as its owner would; no broker is there, which remote sessions do not need."""
    Authority(Path(stack.values["CALLOUT_RELAY_FOLDER"])).enrol_edge("acme", device, folder / "sessions")
    allow = folder / "allow.toml"
    allow.write_text(f'endpoints = ["127.0.0.1:*"]\n{more}')
    allow.chmod(0o644)
    edges = [stack.values["CALLOUT_RELAY_EDGE"], *relays]
    sessions = f'[sessions]\nallow = "allow.toml"\nrelays = {orjson.dumps(edges).decode()}\n'
    agent = Agent(folder, "mqtt://127.0.0.1:1", device=device, more=sessions)
    agent.start()
    return agent


def carrier_of(agent: Agent) -> int:
    return int(agent.log.partition("sessions_carried pid=")[2].split()[0])


async def consented(people: People, path: str) -> None:
    """Have consent to all of a case, and its maker see it."""
    for _ in range(600):
        if (await people.tina.get(path)).status_code == 200:
            break
        await asyncio.sleep(0.1)
    for _ in range(600):
        if (await people.omar.post(f"{path}/consents", json={})).status_code == 201:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("no consent")


async def audit_of(stack: RunningStack) -> list[dict[str, Any]]:
    """Return what was audited by now, in order of time."""
    found: list[Any] = []
    async with TopicReader(stack.values["KAFKA_BOOTSTRAP_SERVERS"], "ops.audit.v1") as reader:
        async for records in reader.read(await reader.ends()):
            found += records
    return [orjson.loads(record.value) for record in sorted(found, key=lambda record: record.timestamp)]
