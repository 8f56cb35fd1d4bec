"""The small parts of the HTTP door: bodies, flags, rates, places in the stream, and who is told of which event."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any

import httpx
import orjson
import pytest

from services.gateway.domain.access import COMMANDS as GIVEN
from services.gateway.domain.access import Identity, visible
from services.gateway.domain.flags import flags_of
from services.gateway.domain.following import Selection, event_of, parse_position, position_text
from services.gateway.domain.profiles.plans import arguments_of
from services.gateway.http.app import action_of, make_app, routes
from services.gateway.http.arguments import command_data
from services.gateway.http.doors import Rates
from services.gateway.http.examples import ARGUMENTS, CASE_ID, EVENT, STATE
from services.gateway.http.follower import QUEUED_MAX, Stream
from services.gateway.http.problems import Problem
from services.workflow.domain import Tenant, allowed
from services.workflow.domain import flags as decided
from shared.contracts.commands import COMMANDS
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role
from tests.unit.gateway.cases import body_of
from tests.unit.gateway.rooms import MemoryRooms
from tests.unit.workflow.builders import AGENT, actor, after, by_operator

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
    told = flags_of({**STATE, "state": state, **fields}, who(role, user), NOW, TenantData())
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


FRIDAY = datetime(2026, 1, 2, 15, tzinfo=UTC)
WEEK = {day: ["08:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
BERLIN = {"time_zone": "Europe/Berlin", "week": WEEK}
HOLIDAYS = BERLIN | {"holidays": {"country": "DE", "subdivision": "BW"}}


def having_set(calendar: dict[str, Any] | None = None, **settings: Any) -> TenantData:
    named = {} if calendar is None else {"calendar": {"plant": orjson.dumps(calendar)}}
    return TenantData({"settings": {"default": orjson.dumps({"calendar": "plant", **settings})}, **named})


@pytest.mark.seed("S3.14")
@pytest.mark.parametrize(
    ("owner", "last"),
    [
        (TenantData(), "2026-01-22T23:59:59.999+00:00"),
        (having_set(BERLIN), "2026-01-22T23:59:59.999+01:00"),
        (having_set(HOLIDAYS), "2026-01-23T23:59:59.999+01:00"),
        (having_set(BERLIN, reopen_working_days=1), "2026-01-05T23:59:59.999+01:00"),
    ],
)
def test_the_window_ends_with_its_last_working_day_by_the_calendar_of_the_owner(owner: TenantData, last: str) -> None:
    closed = {**STATE, "state": "CLOSED", "closed_at": FRIDAY.isoformat()}
    moment = datetime.fromisoformat(last)
    for at, open_ in ((moment, True), (moment + timedelta(milliseconds=1), False)):
        told = flags_of(closed, who(), at, owner)
        assert (told["reopen"], told["modifiable"]) == (open_, open_)


OWNERS = [
    TenantData(),
    having_set(HOLIDAYS),
    having_set(reopen_working_days=0),
    having_set(agents_bypass_reopen_window=True),
]
WAYS: tuple[tuple[str, ...], ...] = (
    *((), ("start",), ("hold",), ("request_action",), ("resolve",), ("close",), ("cancel",)),
    *(("close", "archive"), ("delete",)),
)
PEOPLE = [actor(role, user, tenant) for role in Role for user in ("operator-1", "x") for tenant in ("acme", "maker")]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way) or "new")
def test_flags_of_a_read_are_those_that_workflow_tells_with_an_outcome(way: tuple[str, ...]) -> None:
    case = by_operator(counterpart_tenant_id="maker")
    for name in way:
        by = actor("dispatcher") if name in {"archive", "delete"} else AGENT
        case = after(case, name, by, now=FRIDAY, **arguments_of(name, "why"))
    for person in PEOPLE:
        for days in (0, 1, 20, 21, 30):
            at = FRIDAY + timedelta(days=days)
            for owner in OWNERS:
                names = allowed(case, person, at, Tenant(owner))
                seen = Identity(person.tenant_id, person.id, person.role)
                told = flags_of(body_of(case), seen, at, owner)
                assert told == decided(case, names), (person, at)


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


LIMITED = {"/api/v1/cases": 429, "/compat/django-crm/api/cases/": 429, "/compat/equinix/v2/cases/10000001": 409}


@pytest.mark.parametrize(("path", "status"), LIMITED.items())
async def test_who_asks_too_often_is_told_so_over_http_and_others_are_not(path: str, status: int) -> None:
    doors = MemoryRooms().doors()
    doors.rates = Rates(0.5, 1, now=lambda: 0.0)
    transport = httpx.ASGITransport(make_app(doors))
    async with httpx.AsyncClient(transport=transport, base_url="http://callout") as client:
        ann, bob = ({"Authorization": f"Bearer acme/{name}/agent"} for name in ("ann", "bob"))
        first = (await client.get(path, headers=ann)).status_code
        answer = await client.get(path, headers=ann)
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "2")
        assert b'"rate_limited"' in answer.content
        assert (await client.get(path, headers=bob)).status_code == first


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


def dependencies(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from dependencies(each)


def test_nothing_of_a_request_is_run_in_a_thread() -> None:
    calls = {call for route in routes() for call in (route.endpoint, *dependencies(route.dependant))}
    waited = [call for call in calls if not (iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__))]
    assert not waited


def test_every_route_has_a_guard_and_an_action() -> None:
    make_app()
    assert {action_of(route) for route in routes()} - {None}
    assert all(action_of(route) for route in routes())
