"""From a one-time code to a certificate, in with it over TLS, and from one certificate to the next."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from callout_agent.identity import certificate, make_key, request

from deploy.embedded.data_folder import free_port
from shared.authority import Authority, utc_now
from tests.edge_agent import HOT, STDIN, Adapter, Agent, Closing, mosquitto
from tests.mqtt_device import needs_mosquitto
from tests.stack import wait_until

pytestmark = pytest.mark.integration


class Door(NamedTuple):
    """A plain and a TLS listener, and who signs for them."""

    plain: int
    tls: int
    authority: Authority
    folder: Path


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    needs_mosquitto()
    folder, tls = tmp_path_factory.mktemp("door"), free_port()
    authority = Authority(folder)
    authority.prepare(utc_now())
    authority.issue_server(folder, ("127.0.0.1", "localhost"), now=utc_now())
    listener = "\n".join(
        (
            f"listener {tls} 127.0.0.1",
            "use_username_as_clientid true",
            f"cafile {folder}/ca.pem",
            f"certfile {folder}/server.pem",
            f"keyfile {folder}/server.key",
            "require_certificate true",
            "use_identity_as_username true\n",
        )
    )
    with mosquitto(folder, more=listener) as plain:
        yield Door(plain, tls, authority, folder)


@pytest.fixture
def closing() -> Iterator[Closing]:
    with Closing() as closing:
        yield closing


def agent_of(closing: Closing, folder: Path, door: Door, device: str, more: str = "") -> Agent:
    agent = closing.add(Agent(folder, f"mqtt://127.0.0.1:{door.plain}", device=device))
    secure = f'url = "mqtts://127.0.0.1:{door.tls}"\nca = "ca.pem"\ncertificate = "device.pem"\nkey = "device.key"\n'
    enrolment = f'[enrolment]\nurl = "mqtt://127.0.0.1:{door.plain}"\n{more}\n'
    agent.write(secure + enrolment, device, STDIN + HOT)
    return agent


def test_a_code_becomes_a_certificate_and_the_certificate_lets_the_device_in(
    closing: Closing, door: Door, tmp_path: Path
) -> None:
    adapter = closing.add(Adapter(door.plain))
    agent = agent_of(closing, tmp_path, door, "press-07")
    refused = agent.command("enroll", given="wrong\n")
    assert (refused.returncode, "not_invited" in refused.stderr) == (4, True)
    assert "callout-agent enroll gets one" in agent.command("check", "--offline").stdout
    adapter.authority = door.authority
    enrolled = agent.command("enroll", given="code\n")
    assert (enrolled.returncode, enrolled.stderr) == (0, "")
    assert (tmp_path / "ca.pem").read_text() == door.authority.pem, "whom to trust came with it"
    checked = agent.command("check")
    assert checked.returncode == 0, checked.stdout
    assert "certificate: good for 90.0 more days" in checked.stdout
    agent.start()
    agent.wait_for_log("connected")
    agent.feed("temp_1=95")
    wait_until(lambda: adapter.stored)


def test_a_certificate_is_renewed_in_time_and_the_key_stays(closing: Closing, door: Door, tmp_path: Path) -> None:
    adapter = closing.add(Adapter(door.plain))
    adapter.authority = door.authority
    agent = agent_of(closing, tmp_path, door, "press-08")
    make_key(tmp_path / "device.key")
    asked = request(tmp_path / "device.key", "acme/press-08").encode()
    old = door.authority.issue(asked, "acme/press-08", now=utc_now() - timedelta(days=80), days=90)
    (tmp_path / "device.pem").write_text(old.pem)
    (tmp_path / "ca.pem").write_text(door.authority.pem)
    key = (tmp_path / "device.key").read_bytes()
    agent.start()
    agent.wait_for_log("certificate_renewed")
    renewed = certificate(tmp_path / "device.pem", tmp_path / "device.key")
    assert renewed.ends > (utc_now() + timedelta(days=80)).timestamp()
    assert (tmp_path / "device.key").read_bytes() == key
    assert "connection_lost" not in agent.log
    assert agent.stop() == 0
    agent.start()
    agent.wait_for_log("connected")


def test_a_broker_of_another_authority_is_not_believed(closing: Closing, door: Door, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.prepare(utc_now())
    agent = agent_of(closing, tmp_path, door, "press-09")
    make_key(tmp_path / "device.key")
    asked = request(tmp_path / "device.key", "acme/press-09").encode()
    (tmp_path / "device.pem").write_text(door.authority.issue(asked, "acme/press-09", now=utc_now(), days=9).pem)
    (tmp_path / "ca.pem").write_text(other.pem)
    checked = agent.command("check")
    assert (checked.returncode, "the broker's certificate: " in checked.stdout) == (1, True)
