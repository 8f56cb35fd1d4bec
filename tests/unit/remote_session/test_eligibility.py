"""RA1 to RA9: each rule has its own code, and is looked at again at every move."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.remote_session.domain.targets import is_allowed, is_host
from shared.contracts.case import Actor
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import SessionService
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role
from tests.unit.remote_session.machine import HMI, LOGS, SHARED, SYSTEM, TINA, Machine

S = SessionState
ON_THE_WAY = [S.AWAITING_CONSENT, S.OFFERED, S.CONNECTING, S.ACTIVE, S.INACTIVE]
MAKERS_OWN = replace(SHARED, tenant_id="maker", counterpart_tenant_id=None, shared=False)


def requested(code: str | None, *, machine: Machine | None = None, actor: Actor = TINA, **arguments: Any) -> Machine:
    machine = machine or Machine().set_up()
    before = len(machine.events)
    assert machine.say("request", actor, **arguments).code == code
    if code is not None:
        assert len(machine.events) == before
    return machine


@pytest.mark.seed("S1.15")
def test_ra1_an_internal_case_has_no_sessions() -> None:
    requested("case_not_shared", machine=Machine(replace(SHARED, shared=False)).set_up(), actor=_of("acme"))
    requested("case_not_shared", machine=Machine(MAKERS_OWN).set_up())


def test_ra1_a_case_that_is_shared_without_the_owner_of_the_machine_has_no_sessions() -> None:
    others = replace(SHARED, tenant_id="maker", counterpart_tenant_id="third")
    requested("case_not_shared", machine=Machine(others).set_up())


def test_ra2_a_case_that_has_ended_has_no_sessions() -> None:
    requested("case_not_open", machine=Machine(replace(SHARED, open=False)).set_up())


def test_ra3_without_consent_a_session_waits_and_is_no_way_in() -> None:
    machine = requested(None)
    assert (machine.state, machine.told[-1]) == (S.AWAITING_CONSENT, "requested")
    assert machine.only.session.attempt == 0


def test_ra4_a_device_that_is_not_online_has_no_sessions() -> None:
    for state in ("offline", "unknown"):
        machine = Machine().set_up()
        machine.say("observe_presence", state=state, epoch=1)
        requested("device_offline", machine=machine)
    slow = Machine().set_up()
    slow.say("observe_presence", state="degraded", epoch=1)
    requested(None, machine=slow)


def test_ra4_consent_to_a_session_of_a_device_that_went_offline_waits_for_it() -> None:
    machine = requested(None)
    machine.say("observe_presence", state="offline", epoch=1)
    machine.say("grant")
    assert machine.state is S.AWAITING_CONSENT
    machine.say("observe_presence", state="online", epoch=1)
    assert machine.state is S.OFFERED


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.AGENT, Role.TECHNICIAN}])
def test_ra5_only_agents_and_technicians_ask_for_sessions(role: Role) -> None:
    requested("forbidden", actor=Actor(id="x", role=role, tenant_id="maker"))


def test_ra5_strangers_are_told_that_there_is_no_such_case() -> None:
    requested("not_found", actor=_of("stranger"))
    requested("not_found", machine=Machine(None).set_up())
    requested("not_found", machine=Machine(replace(SHARED, device_id="press-08")).set_up())


@pytest.mark.parametrize(
    "user",
    [
        {"roles": ["agent"]},
        {"roles": ["technician"], "active": False},
        {"roles": ["technician"], "scopes": ["device:lathe-*"]},
        None,
    ],
)
def test_ra5_a_person_whom_the_tenant_does_not_let_is_out_of_scope(user: dict[str, Any] | None) -> None:
    machine = Machine().set_up()
    machine.has_people("maker", **({"tina": user} if user else {"theo": {"roles": ["technician"]}}))
    requested("not_in_scope", machine=machine)


def test_ra5_a_tenant_may_leave_sessions_to_assignees() -> None:
    machine = Machine().set_up()
    rule = orjson.dumps({"remote_access_by_assignee_only": True})
    machine.tenants["maker"] = TenantData({"settings": {"default": rule}})
    requested("not_in_scope", machine=machine)
    machine.has_case(assignees=("tina",))
    requested(None, machine=machine)


def test_ra6_only_what_the_machine_has_can_be_reached() -> None:
    requested("endpoint_undefined", services=[{"endpoint": "nothing"}])
    requested("endpoint_undefined", services=[{"endpoint": "logs"}])
    requested("endpoint_undefined", services=[{"endpoint": "hmi"}], kind="file")
    requested(None, services=[{"endpoint": "logs"}], kind="file")


def test_ra7_what_the_device_itself_does_not_allow_is_denied() -> None:
    machine = Machine().set_up()
    machine.say("define", SYSTEM, endpoints=[HMI], allowed=["192.168.7.0/24:443"])
    requested(None, machine=machine)
    requested("target_denied", machine=machine, services=[{"endpoint": "hmi", "remote_port": 22}])
    requested("target_denied", machine=machine, services=[{"endpoint": "hmi", "remote_host": "10.0.0.1"}])


def test_ra8_a_device_has_three_sessions_and_a_session_eight_services() -> None:
    machine = Machine().set_up()
    requested("session_limit", machine=machine, services=[{"endpoint": "hmi"}] * 9)
    requested(None, machine=machine, services=[{"endpoint": "hmi"}] * 8)
    for _ in range(2):
        machine.later(seconds=1)
        requested(None, machine=machine)
    requested("session_limit", machine=machine)
    machine.say("close")
    machine.later(seconds=1)
    requested(None, machine=machine)


@pytest.mark.seed("S1.30")
@pytest.mark.parametrize(
    "override",
    [
        {"local_port": 0},
        {"local_port": 65_536},
        {"remote_port": -1},
        {"remote_host": "-oProxyCommand=x"},
        {"remote_host": "a b"},
        {"local_host": "300.1.1.1"},
        {"proxy": "proxy"},
        {"proxy": "user:secret@proxy:3128"},
        {"proxy": "http://proxy:3128"},
        {"proxy": "proxy:99999"},
        {"direction": "in"},
    ],
)
def test_ra9_an_override_that_makes_no_sense_is_refused(override: dict[str, Any]) -> None:
    machine = requested("override_invalid", services=[{"endpoint": "hmi"}, {"endpoint": "screen", **override}])
    assert machine.device is not None
    assert machine.device.sessions == ()


@pytest.mark.seed("S1.29")
def test_ra9_an_override_holds_for_the_session_and_never_for_the_endpoint() -> None:
    machine = Machine().set_up()
    assert machine.device is not None
    before = machine.device.endpoints
    wanted = {"endpoint": "hmi", "remote_host": "192.168.7.21", "remote_port": 8443, "local_port": 9000}
    requested(None, machine=machine, services=[wanted | {"local_host": "127.0.0.2", "proxy": "[::1]:3128"}])
    service = machine.only.session.services[0]
    assert (service.host, service.port, service.overridden) == ("192.168.7.21", 8443, ("host", "port"))
    assert (service.local_host, service.local_port, service.proxy) == ("127.0.0.2", 9000, "[::1]:3128")
    assert machine.device.endpoints == before


def lose_role(machine: Machine) -> None:
    machine.has_people("maker", tina={"roles": ["agent"]})
    machine.say("wake")


LOSSES: dict[str, tuple[str, Callable[[Machine], Any]]] = {
    "the case turns internal": ("case_not_shared", lambda m: m.has_case(shared=False)),
    "the case goes to another tenant": (
        "case_not_shared",
        lambda m: m.has_case(counterpart_tenant_id="x", tenant_id="y"),
    ),
    "the case is of another device": ("case_not_shared", lambda m: m.has_case(device_id="press-08")),
    "the case ends": ("case_not_open", lambda m: m.has_case(open=False)),
    "the person loses the role": (
        "not_in_scope",
        lambda m: (m.has_people("maker", tina={"roles": ["agent"]}), m.say("wake")),
    ),
    "the endpoint goes": ("endpoint_undefined", lambda m: m.say("define", endpoints=[LOGS])),
    "the endpoint moves": ("endpoint_undefined", lambda m: m.say("define", endpoints=[HMI | {"port": 444}, LOGS])),
    "the device allows it no more": (
        "target_denied",
        lambda m: m.say("define", endpoints=[HMI], allowed=["10.0.0.1:1"]),
    ),
}


@pytest.mark.parametrize("state", ON_THE_WAY)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_session_rests_on_is_lost_and_it_is_revoked_in_every_live_state(loss: str, state: SessionState) -> None:
    machine = Machine().brought_to(state)
    code, lose = LOSSES[loss]
    lose(machine)
    assert (machine.state, machine.only.session.end_reason) == (S.REVOKED, code)
    assert machine.only.session.ended_by == SYSTEM


MOVES: dict[SessionState, tuple[str, dict[str, Any]]] = {
    S.OFFERED: ("answer", {"accepted": True}),
    S.CONNECTING: ("report", {"news": "source_up"}),
    S.INACTIVE: ("activate", {}),
}


@pytest.mark.parametrize("state", MOVES)
def test_a_person_who_lost_the_role_a_moment_ago_moves_nothing(state: SessionState) -> None:
    machine = Machine().brought_to(state)
    machine.has_people("maker", tina={"roles": ["agent"]})
    name, arguments = MOVES[state]
    result = machine.say(name, **arguments)
    assert (machine.state, machine.only.session.end_reason) == (S.REVOKED, "not_in_scope")
    assert result.code == ("not_in_scope" if name == "activate" else None)


def test_a_case_that_ended_a_moment_ago_is_noticed_by_the_one_who_asks_before_it_is_heard() -> None:
    machine = Machine().brought_to(S.INACTIVE)
    machine.case = replace(SHARED, open=False, seq=9)
    assert machine.say("activate").code == "case_not_open"
    assert machine.state is S.REVOKED


def test_an_older_word_on_the_case_does_not_undo_a_newer_one() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.has_case(assignees=("tina",))
    newer = machine.only.case
    machine.case = replace(SHARED, seq=0, open=False)
    machine.has_case()
    assert (machine.only.case, machine.state) == (newer, S.ACTIVE)


def test_consent_ends_with_the_case() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.has_case(open=False)
    assert machine.told[-2:] == ["revoked", "withdrawn"]
    machine.has_case(open=True)
    machine.later(seconds=1)
    assert requested(None, machine=machine).state is S.AWAITING_CONSENT


@pytest.mark.parametrize(
    ("allowed", "host", "port", "expected"),
    [
        (["192.168.7.20:443"], "192.168.7.20", 443, True),
        (["192.168.7.20:443"], "192.168.7.20", 444, False),
        (["192.168.7.0/24:1-1024"], "192.168.7.255", 1024, True),
        (["192.168.7.0/24:1-1024"], "192.168.8.1", 22, False),
        (["[fd00::]/8:*"], "fd00::1", 22, False),
        (["fd00::/8:*"], "fd00::1", 22, True),
        (["*:22"], "plc.example", 22, True),
        (["plc.example:*"], "plc.example.evil", 22, False),
        (["rubbish", ":", "10.0.0.1:x-y"], "10.0.0.1", 22, False),
        ([], "10.0.0.1", 22, False),
    ],
)
def test_an_allow_list_is_taken_at_its_word(allowed: list[str], host: str, port: int, expected: bool) -> None:
    assert is_allowed(allowed, SessionService(endpoint="x", host=host, port=port)) is expected


def test_addresses_and_names_of_hosts_are_told_from_anything_else() -> None:
    assert all(map(is_host, ("10.0.0.1", "fd00::1", "plc", "plc-7.example.org", "a_b")))
    assert not any(map(is_host, ("", "-x", "a b", "1.2.3", "10.0.0.256", "a..b", "a" * 64, "x;y", "a/b")))


def _of(tenant_id: str) -> Actor:
    return Actor(id="tina", role=Role.TECHNICIAN, tenant_id=tenant_id)
