"""Endpoints that the registry has: what of them sessions can use, and what comes of a change."""

from typing import Any

import pytest

from services.remote_session.registered import name_of, session_endpoints
from services.remote_session.store import from_document, to_document
from shared.contracts.devices import Endpoint
from shared.contracts.session_words import SessionState
from tests.unit.remote_session.machine import HMI, VNC, Machine

S = SessionState
PORT: dict[str, Any] = {"name": "HMI panel", "kind": "tunnel", "protocol": "HTTPS", "host": "192.168.7.20", "port": 443}
FOLDER: dict[str, Any] = {"name": "logs", "kind": "file", "path": "/var/log", "direction": "out", "quota_bytes": 1000}


def read(*endpoints: dict[str, Any]) -> list[dict[str, Any]]:
    found = session_endpoints(Endpoint(**each) for each in endpoints)
    return [{name: getattr(each, name) for name in ("name", "kind", "protocol", "host", "port")} for each in found]


def test_ports_and_folders_are_named_as_clients_can_say_it() -> None:
    assert read(PORT) == [
        {"name": "hmi-panel", "kind": "tunnel", "protocol": "https", "host": "192.168.7.20", "port": 443}
    ]
    [folder] = session_endpoints([Endpoint(**FOLDER)])
    assert (folder.root, folder.direction, folder.file_bytes_max, folder.protocol) == ("/var/log", "out", 1000, "sftp")
    assert read(PORT | {"host": "[fd00::7]", "protocol": "modbus"})[0] | {"name": ""} == {
        "name": "", "kind": "tunnel", "protocol": "tcp", "host": "fd00::7", "port": 443
    }  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [{"host": None}, {"port": None}, {"name": "---"}, {"host": "a b"}, {"kind": "file", "path": None}],
)
def test_what_sessions_cannot_reach_is_left_out_and_costs_the_others_nothing(odd: dict[str, Any]) -> None:
    assert [each["name"] for each in read(PORT | odd, FOLDER)] == ["logs"]


def test_of_two_that_would_have_one_name_the_first_counts() -> None:
    assert [each["port"] for each in read(PORT, PORT | {"name": "hmi PANEL", "port": 80})] == [443]
    assert name_of("-Ärger & Öl-") == "rger-l"


def test_what_people_defined_goes_over_what_the_registry_says() -> None:
    machine = Machine()
    machine.say("observe_presence", state="online", epoch=1)
    machine.say("observe_registry", endpoints=[HMI | {"port": 8443}, VNC], version=2)
    machine.say("define", endpoints=[HMI])
    assert machine.device is not None
    assert [(each.name, each.port) for each in machine.device.endpoints] == [("hmi", 443), ("screen", 5900)]
    machine.say("define", endpoints=[])
    assert [(each.name, each.port) for each in machine.device.endpoints] == [("hmi", 8443), ("screen", 5900)]
    assert machine.told == ["defined"] * 3
    assert from_document({"_id": "acme/press-07", **to_document(machine.device)}) == machine.device


def test_a_session_to_what_the_registry_has_no_more_is_revoked_and_older_news_is_passed_over() -> None:
    machine = Machine()
    machine.say("observe_registry", endpoints=[HMI], version=5)
    machine.say("observe_presence", state="online", epoch=1)
    machine.say("grant")
    machine.say("request")
    machine.say("observe_registry", endpoints=[], version=4)
    assert machine.state is S.OFFERED
    machine.say("observe_registry", endpoints=[], version=6)
    assert (machine.state, machine.only.session.end_reason) == (S.REVOKED, "endpoint_undefined")


def test_a_device_without_endpoints_is_not_written_down() -> None:
    machine = Machine()
    assert machine.say("observe_registry", endpoints=[], version=1).device is None
    assert machine.device is None


def test_a_device_with_a_key_of_its_own_is_known_by_it_until_the_registry_has_it_no_more() -> None:
    machine, key = Machine(), f"ssh-ed25519 {'A' * 68}"
    machine.say("observe_registry", version=1, session_key=key)
    assert machine.device is not None
    assert machine.device.session_key == key
    assert from_document({"_id": "acme/press-07", **to_document(machine.device)}) == machine.device
    machine.say("observe_registry", version=3)
    machine.say("observe_registry", version=2, session_key=key)
    assert machine.device.session_key is None
    assert machine.told == []
