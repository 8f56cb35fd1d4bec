"""How a case begins."""

import json

import pytest

from services.workflow.domain import Refused
from shared.contracts.case import Link, Machine, StatusChange
from shared.contracts.words import (
    Channel,
    Condition,
    LinkKind,
    Origin,
    RefusalCode,
    Role,
    Severity,
    State,
    Visibility,
)
from tests.unit.workflow.builders import (
    CASE_ID,
    DEVICE,
    START,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    minute,
    signal,
    state_of,
    told,
)


def test_when_a_device_opens_a_case_then_it_begins_new_with_all_it_was_given():
    machine, link = Machine(serial="SN-1"), Link(kind=LinkKind.RECURRENCE_OF, id=CASE_ID)
    case = by_device(
        machine=machine,
        links=(link,),
        severity=Severity.MAJOR,
        device_id="press-07",
        assignees=("erin", "omar", "erin"),
        tags=("hot", "hot"),
    )
    state = state_of(case)
    assert (state.id, state.number, state.tenant_id, state.state) == (CASE_ID, "10000001", "acme", State.NEW)
    assert (state.machine, state.links, state.severity) == (machine, (link,), Severity.MAJOR)
    assert (state.assignees, state.tags) == (("erin", "omar"), ("hot",))
    assert (state.origin, state.channel, state.visibility) == (Origin.DEVICE, Channel.DEVICE, Visibility.INTERNAL)
    assert (state.created_at, state.updated_at) == (START, START)
    assert (state.created_by, state.updated_by) == (DEVICE, DEVICE)
    assert (state.version, state.seq) == (1, 1)
    assert state.status_history == (StatusChange(state=State.NEW, at=START),)
    assert state.signal.count == 1
    assert state.signal.condition == Condition.ACTIVE
    assert (case.touched, case.hash) == (False, "0" * 64)


def test_when_a_case_is_created_then_the_event_tells_what_was_given_and_what_never_enters_the_state():
    given = {"title": "Hot", "severity": Severity.MAJOR, "signal": signal(), "machine": Machine(serial="1")}
    extras = {"raw": {"a.b": {"$x": 1}}, "measurements": {"temp_c": 91.4}, "clock_skew": True}
    decision = accepted(told(None, "create", DEVICE, case=given, **extras))
    change = decision.events[0].change
    assert change == {
        "title": "Hot",
        "severity": "major",
        "machine": {"serial": "1"},
        "signal": {
            "dedup_key": "press-07:E417",
            "count": 1,
            "first_at": "2026-01-02T09:00:00.000Z",
            "last_at": "2026-01-02T09:00:00.000Z",
        },
        **extras,
    }
    assert json.loads(json.dumps(change)) == change


@pytest.mark.parametrize(
    ("role", "origin", "channel"),
    [
        (Role.DEVICE, Origin.DEVICE, Channel.DEVICE),
        (Role.OPERATOR, Origin.OPERATOR, Channel.PORTAL),
        (Role.CONTACT, Origin.PORTAL, Channel.PORTAL),
        (Role.AGENT, Origin.AGENT, Channel.API),
        (Role.TECHNICIAN, Origin.AGENT, Channel.API),
        (Role.SYSTEM, Origin.TRIGGER, Channel.API),
    ],
)
def test_when_nothing_is_said_then_origin_and_channel_follow_the_role(role, origin, channel):
    state = state_of(after(None, "create", actor(role)))
    assert (state.origin, state.channel) == (origin, channel)


def test_when_origin_and_channel_are_said_then_they_hold():
    state = state_of(by_operator(origin=Origin.IMPORT, channel=Channel.OFFLINE))
    assert (state.origin, state.channel) == (Origin.IMPORT, Channel.OFFLINE)


@pytest.mark.parametrize(
    ("role", "counterpart", "visibility"),
    [
        ("operator", "maker", Visibility.SHARED),
        ("contact", "maker", Visibility.SHARED),
        ("operator", None, Visibility.INTERNAL),
        ("agent", "maker", Visibility.INTERNAL),
        ("technician", "maker", Visibility.INTERNAL),
        ("device", "maker", Visibility.INTERNAL),
        ("system", None, Visibility.INTERNAL),
    ],
)
def test_when_nothing_is_said_then_visibility_follows_the_role(role, counterpart, visibility):
    case = after(None, "create", actor(role), case={"title": "Hot", "counterpart_tenant_id": counterpart})
    assert state_of(case).visibility == visibility
    assert state_of(case).counterpart_tenant_id == counterpart


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": Visibility.SHARED},
        {"visibility": Visibility.SHARED, "counterpart_tenant_id": "acme"},
        {"counterpart_tenant_id": "acme"},
    ],
)
def test_when_there_is_nobody_to_share_with_then_the_case_is_refused(fields):
    decision = told(None, "create", actor("agent"), case={"title": "Hot"} | fields)
    assert isinstance(decision, Refused)
    assert decision.code == RefusalCode.INVALID_COMMAND
    assert decision.fields == ("case.counterpart_tenant_id",)


@pytest.mark.parametrize("role", Role)
def test_when_a_person_opens_a_case_then_it_counts_as_touched(role):
    if role in {Role.DISPATCHER, Role.SUBSCRIBER, Role.AUDITOR}:
        return
    assert after(None, "create", actor(role)).touched == (role not in {Role.DEVICE, Role.SYSTEM})


def test_when_the_condition_has_cleared_already_then_the_case_is_resolved_at_once():
    given = {"title": "Hot", "signal": signal(condition=Condition.CLEARED, last_at=minute(-5), first_at=START)}
    decision = accepted(told(None, "create", DEVICE, case=given))
    assert [event.name for event in decision.events] == ["created", "resolved"]
    state = state_of(decision.case)
    assert (state.version, state.seq, state.resolved_at) == (1, 2, minute(-5))
    assert state.signal.first_at == state.signal.last_at == minute(-5)
    recurred = state_of(after(decision.case, "occur", DEVICE, last_at=minute(-4)))
    assert (recurred.state, recurred.signal.condition) == (State.IN_PROGRESS, Condition.ACTIVE)
