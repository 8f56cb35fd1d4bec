"""How a case begins."""

import json

import pytest
from pydantic import ValidationError

from services.workflow.domain import Refused, Tenant, decide
from services.workflow.domain.tenant import UNSET
from shared.contracts import limits
from shared.contracts.case import Contact, ContactDetail, Link, Machine, StatusChange
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import (
    Channel,
    Condition,
    ContactWay,
    LinkKind,
    Origin,
    RefusalCode,
    Role,
    Severity,
    State,
    Visibility,
)
from tests.unit.workflow.builders import (
    AGENT,
    CASE_ID,
    DEVICE,
    OTHER_ID,
    START,
    accepted,
    actor,
    after,
    by_device,
    by_operator,
    cause,
    command,
    minute,
    signal,
    state_of,
    told,
)


@pytest.mark.seed("S0.1", "S0.12", "S0.13", "S0.14", "S1.24", "S1.26", "S3.1")
def test_when_a_device_opens_a_case_then_it_begins_new_with_all_it_was_given():
    machine, link = Machine(serial="SN-1"), Link(kind=LinkKind.RECURRENCE_OF, id=OTHER_ID)
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


@pytest.mark.seed("S0.24")
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


@pytest.mark.seed("S1.12", "S1.14")
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


@pytest.mark.seed("S1.37")
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


TEMPLATE = {
    "version": 3,
    "title": "Spindle runs hot",
    "description": "The spindle is above 90 degrees.",
    "case_type": "damage",
    "case_code": "0004-0001",
    "priority": "high",
    "severity": "critical",
    "solution_suggestion": "Replace the bearing.",
    "tags": ["hot", "spindle"],
}
TENANT = Tenant(TenantData({"template": {"spindle": json.dumps(TEMPLATE).encode()}}))


def created(by, tenant, /, **case):
    given = command("create", by, case=case)
    return decide(None, "create", given, cause=cause(), now=START, number="10000001", tenant=tenant)


@pytest.mark.seed("S0.16", "S0.21")
def test_when_a_case_is_created_from_a_template_then_what_was_left_open_comes_from_there():
    decision = accepted(created(AGENT, TENANT, template_id="spindle", tags=("mine", "hot")))
    state = state_of(decision.case)
    assert (state.title, state.description) == ("Spindle runs hot", "The spindle is above 90 degrees.")
    assert (state.case_type, state.case_code, state.priority) == ("damage", "0004-0001", "high")
    assert (state.severity, state.solution_suggestion) == ("critical", "Replace the bearing.")
    assert (state.tags, state.template_id) == (("mine", "hot", "spindle"), "spindle")
    assert decision.events[0].change == {
        "template_id": "spindle",
        "template_version": 3,
        "title": "Spindle runs hot",
        "description": "The spindle is above 90 degrees.",
        "case_type": "damage",
        "case_code": "0004-0001",
        "priority": "high",
        "severity": "critical",
        "solution_suggestion": "Replace the bearing.",
        "tags": ["mine", "hot", "spindle"],
    }


def test_when_the_creator_says_something_then_it_counts_more_than_the_template():
    said = {"title": "Mine", "severity": Severity.INFO, "solution_suggestion": "Wait"}
    state = state_of(accepted(created(AGENT, TENANT, template_id="spindle", **said)).case)
    assert (state.title, state.severity, state.solution_suggestion) == ("Mine", Severity.INFO, "Wait")
    assert state.description == "The spindle is above 90 degrees."


def test_when_a_template_has_more_tags_than_a_case_can_have_then_the_creators_come_first():
    tags = tuple(f"t{number}" for number in range(limits.TAGS_MAX - 1))
    state = state_of(accepted(created(AGENT, TENANT, template_id="spindle", tags=tags)).case)
    assert state.tags == (*tags, "hot")


def test_when_a_person_names_a_template_that_is_not_there_then_the_case_is_refused():
    decision = created(AGENT, TENANT, template_id="motor", title="Hot")
    assert isinstance(decision, Refused)
    assert (decision.code, decision.fields) == (RefusalCode.INVALID_COMMAND, ("case.template_id",))


@pytest.mark.parametrize("tenant", [TENANT, UNSET])
def test_when_a_machine_names_a_template_that_is_not_there_then_its_case_begins_all_the_same(tenant):
    decision = accepted(created(DEVICE, tenant, template_id="motor", fallback_title="E417 on press-07"))
    assert (state_of(decision.case).title, state_of(decision.case).template_id) == ("E417 on press-07", "motor")
    assert decision.events[0].change == {"template_id": "motor", "title": "E417 on press-07"}


@pytest.mark.seed("S0.26", "S1.16")
def test_when_nobody_knows_a_title_then_the_case_is_refused():
    untitled = Tenant(TenantData({"template": {"bare": b'{"version": 1}'}}))
    decision = created(AGENT, untitled, template_id="bare")
    assert isinstance(decision, Refused)
    assert (decision.code, decision.fields) == (RefusalCode.INVALID_COMMAND, ("case.title",))


def test_when_a_title_is_given_then_the_fallback_is_not_told():
    decision = accepted(created(DEVICE, UNSET, title="Hot", fallback_title="E417 on press-07"))
    assert decision.events[0].change == {"title": "Hot"}


@pytest.mark.seed("S0.25", "S1.16", "S1.25", "S3.4", "S3.21")
def test_when_people_and_classes_are_given_then_the_case_has_them():
    given = {
        "contacts": (Contact(last_name="Meyer", details=(ContactDetail(type=ContactWay.PHONE, value="+49 30 1"),)),),
        "cc": ("a@example.org", "a@example.org"),
        "teams": ("night",),
        "watchers": ("erin", "erin"),
        "classification": {"Application": "MES"},
        "details": {"documents": {"type": "DETAILED"}},
    }
    state = state_of(accepted(created(AGENT, UNSET, title="Hot", **given)).case)
    assert (state.contacts, state.cc, state.teams) == (given["contacts"], ("a@example.org",), ("night",))
    assert (state.watchers, state.classification) == (("erin",), {"Application": "MES"})
    assert state.details == {"documents": {"type": "DETAILED"}}


@pytest.mark.parametrize(
    ("details", "fine"),
    [({"x": "y" * 8000}, True), ({"x": "y" * 9000}, False), ({"x": json.loads("[" * 150 + "]" * 150)}, False)],
)
def test_when_extra_fields_are_too_large_or_too_deep_then_the_command_is_not_even_read(details, fine):
    if fine:
        assert state_of(accepted(created(AGENT, UNSET, title="Hot", details=details)).case).details == details
    else:
        with pytest.raises(ValidationError, match="details"):
            created(AGENT, UNSET, title="Hot", details=details)
