"""The device, the downstream system and the people of the proof: how they come in to what compose has up."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import httpx

PROJECT: Final = Path(__file__).parents[2]
TENANT, DEVICE = "acme", "press-07"
OURS: Final = 10001
API: Final = "/api/v1"
URL: Final = "http://127.0.0.1:8000"
PATIENCE_SECONDS: Final = 120
PARTITIONS: Final = 12
T = TypeVar("T")


def say(text: str) -> None:
    """Tell what was seen, and when."""
    print(f"[{time.strftime('%H:%M:%S', time.gmtime())}] {text}", flush=True)


def until(ask: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Return what `ask` answers once it answers anything.

    Raises:
        TimeoutError: it never did.
    """
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            found = ask()
        except httpx.TransportError:
            found = None
        if found:
            return found
        time.sleep(0.2)
    raise TimeoutError(what)


def run(*command: str, **more: Any) -> str:
    """Return what a command says.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **more)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-1500:]}")
    return str(done.stdout)


class Stack:
    """The stack that compose has up, and where the proof keeps its things."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._compose = [*os.environ.get("COMPOSE", "docker compose").split(), "--project-directory", str(PROJECT)]

    def inside(self, service: str, *command: str, volume: str = "") -> str:
        """Run a command in a container of its own, as a service is."""
        mounted = ["--volume", volume] if volume else []
        return run(*self._compose, "run", "--rm", "--no-TTY", "--no-deps", *mounted, service, *command)

    def person(self, user: str, role: str, tenant: str = TENANT) -> httpx.Client:
        """Return a client of the gateway, as a person."""
        token = self.inside("callout", "token", "--tenant", tenant, "--user", user, "--role", role).split()[-1]
        return httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def own_folder(self, name: str) -> Path:
        """Return an empty folder that programs in containers may write to."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, OURS, OURS)
        return folder


@contextmanager
def kafka_events(stack: Stack) -> Iterator[Callable[[], tuple[str, str, float]]]:
    """Follow case events with kcat; yields what waits for the next: the case's id, the type, when it was shown."""
    password = (stack.folder / "secrets" / "callout-operator" / "kafka_password").read_text()
    options = {"bootstrap.servers": "127.0.0.1:9094", "security.protocol": "SASL_PLAINTEXT"}
    options |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "callout-operator", "sasl.password": password}
    config = stack.folder / "kcat.conf"
    config.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
    config.chmod(0o600)
    image = os.environ.get("KCAT_IMAGE", "callout-proof/mosquitto")
    inside = ("docker", "run", "--rm", "--network", "host", "--volume", f"{config}:/kcat.conf:ro", image)
    asked = ("kcat", "-F", "/kcat.conf", "-C", "-t", "case.events.v1", "-o", "end", "-u", "-f", "event %k %h\n")
    process = subprocess.Popen((*inside, *asked), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = process.stdout
    try:
        ready = 0
        while ready < PARTITIONS:
            line = lines.readline()
            assert line, "kcat ended"
            ready += "Reached end" in line

        def heard() -> tuple[str, str, float]:
            for line in lines:
                if line.startswith("event "):
                    _, key, headers = line.split(" ", 2)
                    told = dict(each.split("=", 1) for each in headers.strip().split(","))
                    return key, told["ce_type"], time.monotonic()
            raise TimeoutError("kcat ended")

        yield heard
    finally:
        process.terminate()
        process.wait(30)
        config.unlink()


def publisher(papers: Path) -> tuple[str, ...]:
    """Return how `mosquitto_pub` speaks as the device; its topic comes last."""
    where = ("mosquitto_pub", "-h", "localhost", "-p", "8883", "-V", "5", "-q", "1", "-d")
    names = {"--cafile": "ca.pem", "--cert": "certificate.pem", "--key": "key.pem"}
    own = tuple(word for option, name in names.items() for word in (option, str(papers / name)))
    return (*where, *own, "-t", f"callout/v1/{TENANT}/{DEVICE}/signal")


@contextmanager
def agent(stack: Stack, papers: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the program of the device, over TLS with the device's certificate; it carries sessions too."""
    home = stack.own_folder("agent")
    identity = stack.own_folder("agent/sessions")
    if not any(identity.iterdir()):
        enrol = ("python", "-m", "services.remote_session.relay", "enrol", TENANT, DEVICE, "/edge")
        stack.inside("relay", *enrol, volume=f"{identity}:/edge")
    for path in (home, identity, *identity.iterdir()):
        os.chown(path, 0, 0)
    machine = stack.folder / "machine"
    machine.mkdir(exist_ok=True)
    (machine / "log.bin").write_bytes(os.urandom(300_000))
    (home / "allow.toml").write_text(f'[[root]]\npath = "{machine}"\n')
    connection = "".join(
        f'{name} = "{papers / file}"\n'
        for name, file in {"ca": "ca.pem", "certificate": "certificate.pem", "key": "key.pem"}.items()
    )
    (home / "agent.toml").write_text(
        f'[device]\ntenant = "{TENANT}"\nid = "{DEVICE}"\ninterval_s = 2\n'
        f'[connection]\nurl = "mqtts://localhost:8883"\n{connection}'
        '[sessions]\nallow = "allow.toml"\nrelays = ["127.0.0.1:2223"]\n'
        '[[feed]]\nkind = "stdin"\n'
    )
    command = (sys.executable, "-m", "callout_agent", "run", "--config", str(home / "agent.toml"))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "services" / "edge_agent")}
    with (stack.folder / "agent.log").open("a") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def body(answer: httpx.Response) -> dict[str, Any] | None:
    """Return what was answered, if it was answered well."""
    return dict(answer.json()) if answer.status_code == httpx.codes.OK else None


def accepted(person: httpx.Client, method: str, path: str, wanted: dict[str, Any]) -> None:
    """Ask for something until it is taken; asked again, it counts once. A busy machine may not answer in time.

    Raises:
        TimeoutError: it was refused.
    """
    once = {"Idempotency-Key": str(uuid4())}
    last: list[str] = []

    def taken() -> bool:
        answer = person.request(method, f"{API}{path}", json=wanted, headers=once)
        last[:] = [answer.text]
        return answer.status_code == httpx.codes.OK

    try:
        until(taken, path)
    except TimeoutError as error:
        raise TimeoutError(f"{path}: {last}") from error


def notices_of(person: httpx.Client, case_id: str) -> dict[str, Any] | None:
    """Return a notice about this case, if the person was told."""
    found = (body(person.get(f"{API}/notices")) or {"items": []})["items"]
    return next((each for each in found if case_id in json.dumps(each)), None)


def uploaded(person: httpx.Client, data: bytes) -> str | None:
    """Store a file; return its id if the gateway says that it is stored."""
    answer = person.post(f"{API}/attachments", files={"file": ("log.txt", data, "text/plain")})
    return str(answer.json()["items"][0]["id"]) if answer.status_code == httpx.codes.CREATED else None


def has_file(person: httpx.Client, case_id: str, file_id: str) -> bool:
    """Tell whether a case has a file."""
    found = (body(person.get(f"{API}/cases/{case_id}/attachments")) or {"items": []})["items"]
    return any(file_id in json.dumps(each) for each in found)


def file_of(person: httpx.Client, file_id: str) -> bytes | None:
    """Return a file, if it is given out."""
    answer = person.get(f"{API}/attachments/{file_id}/content")
    return answer.content if answer.status_code == httpx.codes.OK else None
