"""The small parts of the HTTP door: bodies, flags, rates, places in the stream, and who is told of which event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.gateway.domain.access import COMMANDS as GIVEN
from services.gateway.domain.access import Identity, visible
from services.gateway.domain.flags import flags_of, is_in_window
from services.gateway.domain.following import Selection, event_of, parse_position, position_text
from services.gateway.http.app import action_of, make_app, routes
from services.gateway.http.arguments import command_data
from services.gateway.http.doors import Rates
from services.gateway.http.events import QUEUED_MAX, Stream
from services.gateway.http.examples import ARGUMENTS, CASE_ID, EVENT, STATE
from services.gateway.http.problems import Problem
from shared.contracts.commands import COMMANDS
from shared.contracts.words import Role

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def who(role: Role = Role.AGENT, user: str = "ann", tenant: str = "acme") -> Identity:
    return Identity(tenant, user, role)


def data(command: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(command_data(who(), "acme", CASE_ID, command, arguments, **more))
    return found


@pytest.mark.parametrize("command", sorted(ARGUMENTS))
def test_the_examples_of_the_description_are_commands(command: str) -> None:
    sent = data(command, dict(ARGUMENTS[command]), expected_version=3)
    assert sent["actor"] == {"id": "ann", "role": "agent", "tenant_id": "acme"}
    assert (sent["case_id"], sent["tenant_id"], sent["expected_version"]) == (CASE_ID, "acme", 3)
    assert COMMANDS[command].model_validate_json(orjson.dumps(sent))


def test_every_command_that_people_give_has_an_example() -> None:
    assert set(ARGUMENTS) == {name for name in GIVEN if name in COMMANDS} - {"create"}


@pytest.mark.parametrize(
    ("command", "arguments", "field"),
    [
        ("start", {"x": 1}, "x"),
        ("start", {"tenant_id": "other"}, "tenant_id"),
        ("start", {"actor": {"id": "eve", "role": "system", "tenant_id": "acme"}}, "actor"),
        ("create", {"case": {"title": "x", "machine": {"serial": "1", "colour": "red"}}}, "machine.colour"),
        ("create", {"case": {"title": "x", "contacts": [{"user": "u", "nick": "n"}]}}, "contacts.nick"),
        ("create", {"case": {"title": "x", "signal": {"dedup_key": "k"}}}, "signal.first_at"),
        ("create", {"case": {"title": 5}}, "title"),
        ("create", {"case": {"title": "x"}, "raw": {}}, "raw"),
        ("tag", {"tags": []}, "tags"),
        ("link", {"kind": "parent", "id": CASE_ID, "attempt": 1}, "attempt"),
        ("update", {"fields": {"machine": {"serial": "1", "colour": "red"}}}, "fields.machine.colour"),
        ("update", {"fields": {"colour": "red"}}, "fields.colour"),
    ],
)
def test_an_unknown_or_wrong_field_is_named(command: str, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as problem:
        data(command, arguments)
    assert (problem.value.status, problem.value.code) == (400, "invalid_command")
    assert field in [fault["field"] for fault in problem.value.facts["fields"]]


def test_names_that_are_the_senders_own_are_taken_as_they_are() -> None:
    fields = {"title": "x", "details": {"any": {"thing": 1}}, "classification": {"area": "north"}}
    assert data("create", {"case": fields})["case"] == fields


def test_a_command_larger_than_anybody_takes_is_not_sent() -> None:
    with pytest.raises(Problem) as problem:
        data("create", {"case": {"title": "x", "watchers": [f"{n:0200d}" for n in range(2000)]}})
    assert problem.value.code in {"too_large", "invalid_command"}


def flags(role: Role, state: str, user: str = "ann", **fields: Any) -> set[str]:
    told = flags_of({**STATE, "state": state, **fields}, who(role, user), NOW)
    return {name for name, is_so in told.items() if is_so}


def test_flags_say_what_the_asker_can_do() -> None:
    closed = {"closed_at": "2026-02-20T10:00:00.000Z"}
    long_ago = {"closed_at": "2026-01-20T10:00:00.000Z"}
    assert flags(Role.AGENT, "NEW") == {"modifiable", "cancellable"}
    assert flags(Role.TECHNICIAN, "NEW") == {"modifiable"}
    assert flags(Role.AGENT, "ACTION_REQUIRED") == {"modifiable", "cancellable", "respond"}
    assert flags(Role.OPERATOR, "NEW", "somebody") == {"modifiable"}
    assert flags(Role.OPERATOR, "NEW") == {"modifiable", "cancellable"}
    assert flags(Role.AGENT, "CLOSED", **closed) == {"modifiable", "reopen"}
    assert flags(Role.AGENT, "CLOSED", **long_ago) == set()
    assert flags(Role.AUDITOR, "NEW") == set()
    assert flags(Role.AGENT, "NEW", deleted_at="2026-03-01T00:00:00.000Z") == set()


def test_the_window_ends_with_the_fourteenth_working_day() -> None:
    friday = "2026-01-02T12:00:00.000Z"
    assert is_in_window(friday, datetime(2026, 1, 22, 23, 59, tzinfo=UTC))
    assert not is_in_window(friday, datetime(2026, 1, 23, 0, 0, tzinfo=UTC))


def test_a_person_may_ask_so_often_and_is_told_how_long_to_wait() -> None:
    clock = [0.0]
    rates = Rates(2, 4, now=lambda: clock[0])
    for _ in range(4):
        rates.take(who())
    with pytest.raises(Problem) as problem:
        rates.take(who())
    assert (problem.value.status, problem.value.headers["Retry-After"]) == (429, "1")
    rates.take(who(user="bob"))
    rates.take(who(tenant="other"))
    clock[0] = 0.5
    rates.take(who())
    with pytest.raises(Problem):
        rates.take(who())
    clock[0] = 60
    rates.take(who(), 100)  # more than a bucket holds counts as a full one
    with pytest.raises(Problem) as problem:
        rates.take(who())
    assert int(problem.value.headers["Retry-After"]) == 49


@pytest.mark.parametrize("text", ["", "x", "0", "0:", "0:1,", "-1:5", "0:1;1:2", "0:99999999999999999999", "0:1 "])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="place"):
        parse_position(text)


def test_a_place_is_told_and_read_again() -> None:
    assert parse_position(position_text({0: 42, 11: 7})) == {0: 42, 11: 7}


def seen(person: Identity, event: dict[str, Any], selection: Selection | None = None) -> bool:
    value = orjson.dumps({**EVENT, **event})
    return event_of(value, "callout.case.created.v1", visible(person), selection or Selection()) is not None


def test_an_event_is_told_to_those_who_may_see_its_case() -> None:
    assert seen(who(), {})
    assert not seen(who(tenant="other"), {})
    assert seen(who(Role.CONTACT, "ann"), {})
    assert not seen(who(Role.CONTACT, "carla"), {})
    assert seen(who(Role.CONTACT, "carla"), {"case": {**STATE, "contacts": [{"user": "carla"}]}})
    internal = {"change": {"note": {"id": "n", "visibility": "internal"}}}
    assert [seen(who(role), internal) for role in (Role.AGENT, Role.AUDITOR, Role.OPERATOR)] == [True, True, False]


def test_an_event_is_told_to_those_who_asked_for_its_case_and_name() -> None:
    assert seen(who(), {}, Selection(cases=frozenset({CASE_ID}), names=frozenset({"created"})))
    assert seen(who(), {}, Selection(cases=frozenset({"10000001"})))
    assert not seen(who(), {}, Selection(cases=frozenset({"10000002"})))
    assert not seen(who(), {}, Selection(names=frozenset({"closed"})))


async def test_who_is_too_slow_is_cut_off_and_costs_no_more_memory() -> None:
    stream = Stream(who(), Selection())
    for number in range(QUEUED_MAX + 50):
        stream.put(b"%d" % number)
    assert stream.ended
    assert [stream.waiting.get_nowait() for _ in range(stream.waiting.qsize())] == [None]


def test_every_route_has_a_guard_and_an_action() -> None:
    make_app()
    assert {action_of(route) for route in routes()} - {None}
    assert all(action_of(route) for route in routes())


def test_a_window_needs_a_time_of_closing() -> None:
    assert not is_in_window(None, NOW)
    assert is_in_window((NOW - timedelta(days=1)).isoformat(), NOW)
