"""Plans: what a word asks for, carried out by the workflow's own decisions, ends where the product shows that word."""

from functools import cache

import pytest

from services.gateway.domain.profiles import (
    APTEAN_CONNECT,
    DJANGO_CRM,
    DJANGO_CRM_REAL,
    EQUINIX,
    PROFILES,
    WAKU_SENSE,
    NoWay,
    Order,
    Profile,
    Standing,
    UnknownWord,
    plan,
)
from services.workflow.domain import Accepted, Case
from shared.contracts.words import RefusalCode, Role, State
from tests.unit.workflow.builders import actor, after, state_of, told

DESK = [actor(role) for role in (Role.AGENT, Role.DISPATCHER, Role.TECHNICIAN)]
TO: dict[State, tuple[str, ...]] = {
    State.NEW: (),
    State.IN_PROGRESS: ("start",),
    State.ON_HOLD: ("hold",),
    State.ACTION_REQUIRED: ("request_action",),
    State.RESOLVED: ("resolve",),
    State.CLOSED: ("close",),
    State.CANCELLED: ("cancel",),
    State.ARCHIVED: ("close", "archive"),
}
OPEN = (State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED)
EVERY = [
    pytest.param(profile, state, escalated, word, id=f"{id_}-{state}{'-escalated' if escalated else ''}-{word}")
    for id_, profile in PROFILES.items()
    for state in State
    for escalated in (False, True)
    if not escalated or state in OPEN
    for word in profile.states.meant
]


@cache
def case_in(state: State, *, escalated: bool = False) -> Case:
    case = after(None, "create", actor("agent"), case={"title": "It smells"})
    case = after(case, "share", actor("agent"))
    if escalated:
        case = after(case, "escalate", actor("agent"))
    for name in TO[state]:
        case = after(case, name, actor("dispatcher"))
    return case


def standing_of(case: Case) -> Standing:
    state = state_of(case)
    outcome = state.resolution.outcome if state.resolution else None
    return Standing(state.state, state.escalation is not None, outcome)


def carried_out(case: Case, orders: tuple[Order, ...]) -> Case:
    for order in orders:
        decisions = [told(case, order.command, each, **order.arguments) for each in DESK]
        accepted = next((each for each in decisions if isinstance(each, Accepted)), None)
        assert accepted, (order, decisions)
        case = accepted.case
    return case


@pytest.mark.parametrize(("profile", "state", "escalated", "word"), EVERY)
def test_after_the_plan_the_case_is_shown_by_the_word(
    profile: Profile, state: State, escalated: bool, word: str
) -> None:
    case = case_in(state, escalated=escalated)
    standing = standing_of(case)
    orders = plan(profile, standing, word, "Asked for by the client")
    if isinstance(orders, NoWay):
        ended = state in {State.CANCELLED, State.ARCHIVED}
        assert ended or word == "Duplicate"
        return
    assert (orders == ()) is (profile.states.to_word(standing) == word)
    assert profile.states.to_word(standing_of(carried_out(case, orders))) == word


def names(profile: Profile, standing: Standing, word: str) -> list[str]:
    orders = plan(profile, standing, word, "Why")
    assert not isinstance(orders, NoWay)
    return [order.command for order in orders]


@pytest.mark.parametrize(
    ("state", "word", "expected"),
    [
        (State.NEW, "In Progress", ["start"]),
        (State.NEW, "On Hold", ["hold"]),
        (State.NEW, "Closed", ["close"]),
        (State.ON_HOLD, "In Progress", ["resume"]),
        (State.ACTION_REQUIRED, "On Hold", []),
        (State.IN_PROGRESS, "New", ["requeue"]),
        (State.RESOLVED, "Closed", ["close"]),
        (State.RESOLVED, "On Hold", ["reject_resolution", "hold"]),
        (State.CLOSED, "In Progress", ["reopen"]),
        (State.CLOSED, "On Hold", ["reopen", "hold"]),
    ],
)
def test_a_status_of_the_crm_asks_for_these_commands(state: State, word: str, expected: list[str]) -> None:
    assert names(DJANGO_CRM, Standing(state), word) == expected


def test_archiving_a_resolved_case_of_sense_is_one_command_and_two_events() -> None:
    assert names(WAKU_SENSE, Standing(State.RESOLVED), "Archived") == ["archive"]
    decision = told(case_in(State.RESOLVED), "archive", actor("dispatcher"))
    assert isinstance(decision, Accepted)
    assert [event.name for event in decision.events] == ["closed", "archived"]


def test_opening_a_resolved_case_of_sense_leaves_its_assignees() -> None:
    assert names(WAKU_SENSE, Standing(State.RESOLVED), "Open") == ["reject_resolution"]


def test_rejecting_in_the_real_crm_cancels_with_the_reason() -> None:
    assert plan(DJANGO_CRM_REAL, Standing(State.NEW), "Rejected", "No fault found") == (
        Order("cancel", {"reason": "No fault found"}),
    )


def test_a_duplicate_is_refused_for_it_does_not_say_of_what() -> None:
    refused = plan(DJANGO_CRM_REAL, Standing(State.NEW), "Duplicate", "Why")
    assert isinstance(refused, NoWay)
    assert refused.code is RefusalCode.INVALID_COMMAND


@pytest.mark.seed("S3.12")
def test_escalating_in_connect_escalates_wherever_the_work_stands() -> None:
    assert names(APTEAN_CONNECT, Standing(State.NEW), "Escalated") == ["escalate"]
    assert names(APTEAN_CONNECT, Standing(State.CLOSED), "Escalated") == ["reopen", "escalate"]
    assert names(APTEAN_CONNECT, Standing(State.NEW, escalated=True), "In Progress") == ["start", "deescalate"]
    assert names(APTEAN_CONNECT, Standing(State.ON_HOLD, escalated=True), "Escalated") == []


@pytest.mark.parametrize("state", [State.CANCELLED, State.ARCHIVED])
def test_what_has_ended_for_good_cannot_be_set_to_work_again(state: State) -> None:
    refused = plan(DJANGO_CRM, Standing(state), "In Progress", "Why")
    assert isinstance(refused, NoWay)
    assert refused.code is RefusalCode.INVALID_TRANSITION


def test_an_unknown_word_plans_nothing() -> None:
    with pytest.raises(UnknownWord):
        plan(EQUINIX, Standing(State.NEW), "In Progress", "Why")
