"""Every state, every command and every role: what is possible, and what comes of it."""

from itertools import product
from typing import Any

import pytest

from services.remote_session.domain import LIVE, MOVES
from services.remote_session.domain.moves import WHO
from shared.contracts.case import Actor
from shared.contracts.session_commands import SESSION_COMMANDS
from shared.contracts.session_words import SessionState
from shared.contracts.words import Role
from tests.unit.remote_session.machine import OMAR, TINA, Machine

S = SessionState
#: From the description of the domain, apart from the service's own table: where a command leads from where.
PEOPLE: dict[str, dict[SessionState, SessionState]] = {
    "grant": {S.AWAITING_CONSENT: S.OFFERED},
    "refuse": {S.AWAITING_CONSENT: S.REJECTED},
    "activate": {S.INACTIVE: S.OFFERED},
    "deactivate": {S.ACTIVE: S.INACTIVE},
    "close": dict.fromkeys((S.AWAITING_CONSENT, S.OFFERED, S.CONNECTING, S.ACTIVE, S.INACTIVE), S.CLOSED),
}
HAPPENS: dict[str, tuple[str, dict[str, Any], dict[SessionState, SessionState]]] = {
    "accept": ("answer", {"accepted": True}, {S.OFFERED: S.CONNECTING}),
    "decline": ("answer", {"accepted": False}, {S.OFFERED: S.REJECTED}),
    "source up": ("report", {"news": "source_up"}, {S.CONNECTING: S.ACTIVE}),
    "leg lost": ("report", {"news": "destination_lost"}, {S.ACTIVE: S.CONNECTING}),
    "error": ("report", {"news": "failed"}, {S.CONNECTING: S.FAILED}),
}
REST = [state for state in S if state is not S.REQUESTED]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "define": {"endpoints": []},
    "answer": {"accepted": True},
    "report": {"news": "source_up"},
    "observe_presence": {"state": "online", "epoch": 1},
    "observe_registry": {"endpoints": [], "version": 1},
    "transfer": {"direction": "out", "name": "a.log"},
    "verify_transfer": {"transfer_id": "t", "size": 1, "sha256": "5e" * 32},
    "cancel_transfer": {"transfer_id": "t"},
    "report_file": {"direction": "out", "name": "a.log", "offset": 1},
    "report_terminal": {"terminal": {"id": "t-1", "endpoint": "shell", "opened_at": "2026-03-02T10:15:00.000Z"}},
    "report_stored": {"transfer_id": "t-1", "reason": "too_large"},
    "observe_case": {"case_id": "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11", "case_tenant_id": "acme", "seq": 9}
    | {"counterpart_tenant_id": "maker", "shared": True, "open": True, "case_device_id": "press-07"},
}
ACTORS = {
    role: Actor(id={Role.TECHNICIAN: "tina", Role.OPERATOR: "omar"}.get(role, role.value), role=role, tenant_id=tenant)
    for role, tenant in (
        *((role, "maker") for role in (Role.AGENT, Role.TECHNICIAN)),
        *((role, "acme") for role in Role if role not in {Role.AGENT, Role.TECHNICIAN}),
    )
}


@pytest.mark.parametrize(("name", "start"), list(product(PEOPLE, REST)))
def test_a_command_of_people_leads_where_the_domain_says_or_is_refused(name: str, start: SessionState) -> None:
    machine = Machine().brought_to(start)
    events = len(machine.events)
    session = {"session_id": machine.only.session.id} if name == "grant" else {}
    result = machine.say(name, **session)
    expected = PEOPLE[name].get(start)
    if expected is not None:
        assert (result.code, machine.state) == (None, expected)
    else:
        assert (result.code, machine.state) == ("invalid_transition", start)
        assert len(machine.events) == events


@pytest.mark.parametrize(("name", "start"), list(product(HAPPENS, REST)))
def test_what_happens_leads_where_the_domain_says_or_nowhere(name: str, start: SessionState) -> None:
    machine = Machine().brought_to(start)
    said, arguments, leads = HAPPENS[name]
    machine.say(said, **arguments)
    assert machine.state is leads.get(start, start)


@pytest.mark.parametrize("start", REST)
def test_whatever_ends_a_live_session_ends_it_in_every_live_state_and_no_other(start: SessionState) -> None:
    live = start in LIVE
    ended = Machine().brought_to(start)
    ended.later(hours=2, minutes=1)
    ended.say("wake")
    assert ended.state is (S.EXPIRED if live else start)
    closed = Machine().brought_to(start)
    closed.has_case(open=False)
    assert closed.state is (S.REVOKED if live else start)
    booted = Machine().brought_to(start)
    booted.say("observe_presence", state="online", epoch=2)
    bound = live and start is not S.AWAITING_CONSENT
    assert booted.state is (S.REVOKED if bound else start)


@pytest.mark.parametrize(
    ("name", "role", "start"), list(product(SESSION_COMMANDS, Role, (S.AWAITING_CONSENT, S.ACTIVE)))
)
def test_a_role_that_may_not_is_refused_and_changes_nothing(name: str, role: Role, start: SessionState) -> None:
    machine = Machine().brought_to(start)
    before = machine.device
    result = machine.say(name, ACTORS[role], **ARGUMENTS.get(name, {}))
    if role not in WHO[name]:
        assert result.code == "forbidden"
        assert machine.device is before
    else:
        assert result.code != "forbidden" or name in {
            "activate",
            "deactivate",
            "close",
            "transfer",
            "verify_transfer",
            "cancel_transfer",
        }


def test_the_table_names_each_move_once_and_only_ends_are_final() -> None:
    names = [move.name for move in MOVES]
    assert len(names) == len(set(names))
    left = {state for move in MOVES for state in move.start}
    assert left == set(LIVE)
    assert {move.to for move in MOVES} | {S.REQUESTED} == set(S)


@pytest.mark.parametrize("name", ["activate", "deactivate"])
def test_another_technician_may_not_move_a_session(name: str) -> None:
    machine = Machine().brought_to(S.INACTIVE if name == "activate" else S.ACTIVE)
    other = Actor(id="theo", role=Role.TECHNICIAN, tenant_id="maker")
    assert machine.say(name, other).code == "forbidden"


@pytest.mark.parametrize(
    ("actor", "code"),
    [
        (TINA, None),
        (OMAR, None),
        (Actor(id="dora", role=Role.DISPATCHER, tenant_id="maker"), None),
        (Actor(id="dirk", role=Role.DISPATCHER, tenant_id="acme"), None),
        (Actor(id="theo", role=Role.TECHNICIAN, tenant_id="maker"), "forbidden"),
        (Actor(id="olga", role=Role.OPERATOR, tenant_id="maker"), "forbidden"),
        (Actor(id="eve", role=Role.DISPATCHER, tenant_id="stranger"), "not_found"),
    ],
)
def test_who_asked_the_owner_and_dispatchers_may_close_a_session(actor: Actor, code: str | None) -> None:
    assert Machine().brought_to(S.ACTIVE).say("close", actor).code == code


def test_a_command_sent_twice_counts_once() -> None:
    machine = Machine().set_up()
    first = machine.say("request", id_="same")
    again = machine.say("request", id_="same")
    assert (again.session_id, again.seq, again.events) == (first.session_id, first.seq, ())
    assert machine.told.count("requested") == 1


def test_an_answer_to_an_older_offer_changes_nothing() -> None:
    machine = Machine().brought_to(S.INACTIVE)
    machine.say("activate")
    machine.say("answer", attempt=1, accepted=False)
    assert (machine.state, machine.only.session.attempt) == (S.OFFERED, 2)


def test_a_lost_leg_that_comes_back_goes_on_and_one_that_does_not_fails() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.say("report", news="destination_lost")
    machine.later(seconds=59)
    machine.say("report", news="destination_up")
    assert machine.state is S.ACTIVE
    machine.say("report", news="destination_lost")
    machine.later(seconds=60)
    machine.say("wake")
    assert (machine.state, machine.only.session.end_reason) == (S.FAILED, "resume_timeout")


def test_a_device_that_goes_offline_and_comes_back_in_the_same_epoch_resumes() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.say("observe_presence", state="offline", epoch=1)
    assert machine.state is S.CONNECTING
    machine.say("observe_presence", state="online", epoch=1)
    machine.say("report", news="destination_up")
    assert machine.state is S.ACTIVE


def test_a_device_that_tells_its_boots_keeps_its_sessions_over_another_connection_and_loses_them_with_a_start() -> None:
    machine = Machine()
    machine.say("observe_presence", state="online", epoch=1, boot=7)
    machine.brought_to(S.ACTIVE, epoch=1, boot=7)
    machine.say("observe_presence", state="offline", epoch=1, boot=7)
    machine.later(seconds=50)
    machine.say("observe_presence", state="online", epoch=2, boot=7)
    assert machine.state is S.ACTIVE, "the way through the relay had never been lost"
    machine.say("observe_presence", state="online", epoch=3, boot=8)
    assert (machine.state, machine.only.session.end_reason) == (S.REVOKED, "epoch_changed")


def test_a_device_that_tells_its_boots_no_more_is_taken_for_one_that_started_anew() -> None:
    machine = Machine()
    machine.brought_to(S.ACTIVE, epoch=1, boot=7)
    machine.say("observe_presence", state="online", epoch=2)
    assert machine.state is S.REVOKED


def test_a_way_that_the_relay_lost_is_open_again_only_when_the_relay_says_so() -> None:
    machine = Machine().brought_to(S.ACTIVE, epoch=1, boot=7)
    machine.say("report", news="destination_lost")
    machine.say("observe_presence", state="online", epoch=2, boot=7)
    assert machine.state is S.CONNECTING
    machine.say("report", news="destination_up")
    assert machine.state is S.ACTIVE


def test_a_device_that_comes_to_another_relay_is_known_to_be_there_and_the_first_ones_late_word_is_old_news() -> None:
    one, two = "relay-1:2200", "relay-2:2200"
    machine = Machine().brought_to(S.OFFERED)
    machine.say("answer", accepted=True, relay=one)
    machine.say("report", news="source_up")
    machine.say("report", news="destination_up", relay=two)
    assert (machine.state, machine.only.session.relay, machine.told[-1]) == (S.ACTIVE, two, "progressed")
    machine.say("report", news="destination_lost", relay=one)
    assert machine.state is S.ACTIVE
    machine.say("report", news="destination_lost", relay=two)
    assert machine.state is S.CONNECTING
    machine.say("report", news="destination_up", relay=one)
    assert (machine.state, machine.only.session.relay) == (S.ACTIVE, one)


def test_a_way_to_a_device_that_is_away_opens_when_it_is_known_to_be_there() -> None:
    machine = Machine().brought_to(S.CONNECTING)
    machine.say("observe_presence", state="offline", epoch=1)
    machine.say("report", news="source_up")
    assert machine.state is S.CONNECTING
    machine.say("observe_presence", state="degraded", epoch=1)
    assert machine.state is S.ACTIVE


def test_presence_of_an_older_epoch_is_old_news() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.say("observe_presence", state="offline", epoch=0)
    assert machine.state is S.ACTIVE


def test_the_time_of_each_state_ends_it() -> None:
    for state, seconds, end, reason in (
        (S.AWAITING_CONSENT, 900, S.EXPIRED, "consent_timeout"),
        (S.OFFERED, 30, S.EXPIRED, "offer_timeout"),
        (S.CONNECTING, 30, S.FAILED, "connect_timeout"),
        (S.ACTIVE, 600, S.EXPIRED, "idle_limit"),
        (S.INACTIVE, 600, S.EXPIRED, "idle_limit"),
    ):
        machine = Machine().brought_to(state)
        machine.later(seconds=seconds - 1)
        machine.say("wake")
        assert machine.state is state
        machine.later(seconds=1)
        machine.say("wake")
        assert (machine.state, machine.only.session.end_reason) == (end, reason)


def test_what_goes_through_a_session_keeps_it_from_being_idle_but_not_from_its_lifetime() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    for _ in range(11):
        machine.later(minutes=9)
        machine.say("report", news="progress", bytes_in=1, active_at=machine.now.isoformat())
        machine.say("wake")
        assert machine.state is S.ACTIVE
    machine.later(minutes=22)
    machine.say("wake")
    assert (machine.state, machine.only.session.end_reason) == (S.EXPIRED, "lifetime_limit")


def test_totals_of_bytes_never_shrink_and_time_at_work_is_summed() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.later(seconds=20)
    machine.say("report", news="progress", bytes_in=500, bytes_out=40)
    machine.say("report", news="progress", bytes_in=300, bytes_out=60)
    machine.say("deactivate")
    session = machine.only.session
    assert (session.bytes_in, session.bytes_out, session.active_seconds) == (500, 60, 20.0)


def test_the_token_is_forgotten_once_used_and_a_new_offer_brings_a_new_one() -> None:
    machine = Machine().set_up()
    machine.say("grant")
    machine.say("request", token_hash="aa" * 32)
    assert machine.only.token_hash == "aa" * 32
    machine.say("answer", accepted=True)
    machine.say("report", news="source_up")
    assert machine.only.token_hash is None
    machine.say("deactivate")
    machine.say("activate", token_hash="bb" * 32)
    assert machine.only.token_hash == "bb" * 32
    machine.say("close", TINA)
    assert machine.only.token_hash is None


def test_what_went_through_until_the_end_is_summed_up_after_it_and_audited_within_a_minute() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    machine.say("report", news="progress", bytes_in=10, bytes_out=1)
    machine.say("close")
    ended = machine.only.session
    machine.later(seconds=59)
    machine.say("report", news="progress", bytes_in=500, bytes_out=40, active_at=machine.now.isoformat())
    machine.say("report", news="progress", bytes_in=500, bytes_out=40)
    session = machine.only.session
    assert (session.state, session.bytes_in, session.bytes_out) == (S.CLOSED, 500, 40)
    assert (session.ended_at, session.active_seconds) == (ended.ended_at, ended.active_seconds)
    assert machine.told[-2:] == ["closed", "progressed"], "once"
    machine.later(seconds=2)
    machine.say("report", news="progress", bytes_in=900)
    assert machine.only.session.bytes_in == 500, "late"
