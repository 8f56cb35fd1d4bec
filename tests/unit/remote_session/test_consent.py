"""Consent: who gives it, what it covers, and that taking it back cuts off what rested on it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.remote_session.domain.consent import covered_until
from shared.contracts.case import Actor
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import Consent, ConsentHours, ConsentScope
from shared.contracts.words import Role
from tests.builders import CASE_ID
from tests.unit.remote_session.machine import OMAR, START, TINA, Machine

S = SessionState


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("scope", "wanted", "covered"),
    [
        ({}, {"endpoint": "hmi"}, True),
        ({"endpoints": ["hmi"]}, {"endpoint": "hmi"}, True),
        ({"endpoints": ["screen"]}, {"endpoint": "hmi"}, False),
        ({"ports": [443]}, {"endpoint": "hmi"}, True),
        ({"ports": [5900]}, {"endpoint": "hmi"}, False),
        ({"persons": ["tina", "theo"]}, {"endpoint": "hmi"}, True),
        ({"persons": ["theo"]}, {"endpoint": "hmi"}, False),
        ({"endpoints": ["hmi"]}, {"endpoint": "hmi", "remote_port": 22}, False),
        ({"endpoints": ["hmi"], "ports": [22]}, {"endpoint": "hmi", "remote_port": 22}, True),
        ({"endpoints": ["hmi"], "ports": [443]}, {"endpoint": "hmi", "remote_host": "10.0.0.1"}, False),
        ({}, {"endpoint": "hmi", "remote_host": "10.0.0.1"}, True),
        ({"starts_at": "2026-03-02T10:00:00.000Z"}, {"endpoint": "hmi"}, True),
        ({"starts_at": "2026-03-02T10:00:00.001Z"}, {"endpoint": "hmi"}, False),
        ({"until": "2026-03-02T10:00:00.000Z"}, {"endpoint": "hmi"}, False),
        ({"until": "2026-03-02T10:00:00.001Z"}, {"endpoint": "hmi"}, True),
        ({"hours": {"hours": ["10:00-12:00"]}}, {"endpoint": "hmi"}, True),
        ({"hours": {"hours": ["08:00-10:00"]}}, {"endpoint": "hmi"}, False),
        ({"hours": {"hours": ["11:00-12:00"], "timezone": "Europe/Berlin"}}, {"endpoint": "hmi"}, True),
        ({"hours": {"days": [2, 3]}}, {"endpoint": "hmi"}, False),
    ],
)
def test_consent_covers_what_is_in_its_scope_and_nothing_else(
    scope: dict[str, Any], wanted: dict[str, Any], covered: bool
) -> None:
    machine = Machine().set_up()
    machine.say("grant", scope=scope)
    machine.say("request", services=[wanted])
    assert machine.state is (S.OFFERED if covered else S.AWAITING_CONSENT)


@pytest.mark.parametrize(
    ("consented", "wanted", "covered"),
    [("both", None, True), ("out", None, True), ("in", None, False), ("in", "out", False), ("out", "out", True)],
)
def test_files_go_only_the_ways_that_were_consented_to(consented: str, wanted: str | None, covered: bool) -> None:
    machine = Machine().set_up()
    machine.say("grant", scope={"direction": consented})
    direction = {"direction": wanted} if wanted else {}
    machine.say("request", kind="file", services=[{"endpoint": "logs", **direction}])
    assert machine.state is (S.OFFERED if covered else S.AWAITING_CONSENT)


@pytest.mark.parametrize("name", ["grant", "refuse", "withdraw"])
def test_only_an_operator_of_the_machines_owner_consents(name: str) -> None:
    for actor in (Actor(id="olga", role=Role.OPERATOR, tenant_id="maker"), TINA):
        machine = Machine().brought_to(S.AWAITING_CONSENT)
        assert machine.say(name, actor).code == "forbidden"
        assert machine.state is S.AWAITING_CONSENT


def test_consent_to_one_session_lets_no_other_in() -> None:
    machine = Machine().brought_to(S.AWAITING_CONSENT)
    machine.say("grant", session_id=machine.only.session.id)
    assert machine.state is S.OFFERED
    machine.later(seconds=1)
    machine.say("request")
    assert machine.state is S.AWAITING_CONSENT


def test_consent_that_does_not_cover_the_session_it_names_is_refused() -> None:
    machine = Machine().brought_to(S.AWAITING_CONSENT)
    result = machine.say("grant", session_id=machine.only.session.id, scope={"endpoints": ["screen"]})
    assert (result.code, machine.state) == ("consent_missing", S.AWAITING_CONSENT)
    assert machine.say("grant", session_id="nothing").code == "not_found"


def test_consent_taken_back_cuts_off_what_rests_on_it_alone() -> None:
    machine = Machine().brought_to(S.ACTIVE)
    first = machine.only.session.consent_id
    machine.say("grant")
    machine.say("withdraw", consent_id=first)
    assert machine.state is S.ACTIVE
    assert machine.only.session.consent_id not in {None, first}
    machine.say("withdraw")
    assert (machine.state, machine.only.session.end_reason) == (S.REVOKED, "consent_missing")
    assert machine.say("withdraw").code == "not_found"


def test_consent_that_runs_out_cuts_off_what_rests_on_it_at_that_moment() -> None:
    machine = Machine().set_up()
    machine.say("grant", scope={"until": "2026-03-02T10:00:30.000Z"})
    machine.say("request")
    machine.say("answer", accepted=True)
    machine.say("report", news="source_up")
    assert machine.device is not None
    assert machine.device.due_at == at("2026-03-02T10:00:30")
    machine.later(seconds=30)
    machine.say("wake")
    assert (machine.state, machine.only.session.end_reason) == (S.REVOKED, "consent_missing")


def test_a_session_that_waits_for_consent_of_later_hours_is_offered_when_they_begin() -> None:
    machine = Machine().set_up()
    machine.say("request")
    machine.say("grant", scope={"hours": {"hours": ["10:05-12:00"]}})
    assert machine.state is S.AWAITING_CONSENT
    machine.later(minutes=5)
    machine.say("wake")
    assert machine.state is S.OFFERED


def test_an_offer_comes_with_the_consent_it_rests_on_and_the_owners_signature() -> None:
    machine = Machine().set_up()
    machine.say("grant", signature="aGVhZA.Ym9keQ.c2ln")
    machine.say("request")
    told = machine.events[-1]
    assert (told.name, told.consent.signature, told.consent.by) == ("offered", "aGVhZA.Ym9keQ.c2ln", OMAR)


def test_a_device_keeps_so_many_consents_and_those_that_are_over_make_room() -> None:
    machine = Machine().set_up()
    for _ in range(50):
        assert machine.say("grant", scope={"until": "2026-03-02T10:00:30.000Z"}).code is None
    assert machine.say("grant").code == "limit_exceeded"
    machine.later(seconds=30)
    assert machine.say("grant").code is None
    assert machine.device is not None
    assert len(machine.device.consents) == 1


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-27T08:00:00", "2026-03-27T16:00:00"),
        ("2026-03-30T08:00:00", "2026-03-30T15:00:00"),
        ("2026-03-27T16:00:00", "2026-03-27T16:00:00"),
        ("2026-03-28T08:00:00", "2026-03-28T08:00:00"),
    ],
)
def test_hours_of_consent_follow_the_wall_clock_over_a_change_of_it(now: str, until: str) -> None:
    hours = ConsentHours(days=(1, 2, 3, 4, 5), hours=("08:00-17:00",), timezone="Europe/Berlin")
    consent = Consent(id="c", case_id=CASE_ID, scope=ConsentScope(hours=hours), by=OMAR, at=START)
    assert covered_until(consent, at(now)) == at(until)


def test_consent_without_an_end_has_none() -> None:
    assert covered_until(Consent(id="c", case_id=CASE_ID, by=OMAR, at=START), START) is None
