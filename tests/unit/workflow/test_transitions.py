"""Who may lead a case from where to where, against a table written by hand from the description of the domain."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from services.workflow.domain import TRANSITIONS, Accepted, Case, Refused, allowed
from services.workflow.domain.case import FileRef, Merged, NoteRef, Papers, Ties
from shared.contracts.case import Before, Escalation, Link
from shared.contracts.commands import COMMANDS
from shared.contracts.words import Condition, LinkKind, NoteVisibility, RefusalCode, Role, State, Visibility
from tests.unit.workflow.builders import (
    AGENT,
    CASE_ID,
    OTHER_ID,
    actor,
    after,
    by_device,
    minute,
    signal,
    state_of,
    told,
)

# Rows: command; columns: from; cells: to. `.` stays, `-` is not possible.
MATRIX = """
                   NEW             IN_PROGRESS     ON_HOLD         ACTION_REQUIRED RESOLVED    CLOSED      CANCELLED ARCHIVED
occur              .               .               .               .               IN_PROGRESS .           .         .
assign             .               .               .               .               .           -           -         -
unassign           .               .               .               .               .           -           -         -
start              IN_PROGRESS     -               -               -               -           -           -         -
hold               ON_HOLD         ON_HOLD         -               -               -           -           -         -
request_action     ACTION_REQUIRED ACTION_REQUIRED ACTION_REQUIRED -               -           -           -         -
resume             -               -               IN_PROGRESS     IN_PROGRESS     -           -           -         -
reply              .               .               .               IN_PROGRESS     .           .           -         -
resolve            RESOLVED        RESOLVED        RESOLVED        RESOLVED        -           -           -         -
reject_resolution  -               -               -               -               IN_PROGRESS -           -         -
close              CLOSED          CLOSED          CLOSED          CLOSED          CLOSED      -           -         -
cancel             CANCELLED       CANCELLED       CANCELLED       CANCELLED       -           -           -         -
reopen             -               -               -               -               -           IN_PROGRESS -         -
archive            -               -               -               -               ARCHIVED    ARCHIVED    ARCHIVED  -
requeue            -               NEW             NEW             NEW             -           -           -         -
escalate           .               .               .               .               -           -           -         -
deescalate         .               .               .               .               -           -           -         -
request_close      .               .               .               .               .           -           -         -
clear              .               .               .               .               .           .           .         .
flag_flapping      .               .               .               .               .           .           .         .
share              .               .               .               .               .           .           .         -
wake               .               .               .               .               .           .           .         .
delete             .               .               .               .               .           .           .         .
link               .               .               .               .               .           .           .         .
unlink             .               .               .               .               .           .           .         .
merge              CANCELLED       CANCELLED       CANCELLED       CANCELLED       CANCELLED   -           -         -
unmerge            -               -               -               -               -           -           IN_PROGRESS -
refuse_link        IN_PROGRESS     IN_PROGRESS     IN_PROGRESS     IN_PROGRESS     IN_PROGRESS IN_PROGRESS IN_PROGRESS IN_PROGRESS
end_with_target    -               -               -               -               -           -           .         -
reopen_with_target -               -               -               -               -           -           .         -
update             .               .               .               .               .           -           -         -
tag                .               .               .               .               .           .           .         -
untag              .               .               .               .               .           .           .         -
watch              .               .               .               .               .           .           .         -
unwatch            .               .               .               .               .           .           .         -
add_note           .               .               .               .               .           .           -         -
edit_note          .               .               .               .               .           .           -         -
delete_note        .               .               .               .               .           .           .         -
attach             .               .               .               .               .           .           -         -
detach             .               .               .               .               .           .           .         .
"""  # noqa: E501 - a table to be read across
# `yes`, `own` cases only, `resolved`, `ended` or `living` (not archived) ones only, `alone`: only what settled itself.
WHO = """
                   device operator contact  agent technician dispatcher system   subscriber auditor
occur              yes    -        -        -     -          -          yes      -          -
assign             -      -        -        yes   yes        yes        -        -          -
unassign           -      -        -        yes   yes        yes        -        -          -
start              -      -        -        yes   yes        yes        -        -          -
hold               -      -        -        yes   yes        yes        -        -          -
request_action     -      -        -        yes   yes        yes        -        -          -
resume             -      -        -        yes   yes        yes        -        -          -
reply              -      yes      yes      -     -          -          -        -          -
resolve            -      -        -        yes   yes        yes        alone    -          -
reject_resolution  -      yes      yes      yes   -          -          -        -          -
close              -      resolved resolved yes   yes        yes        resolved -          -
cancel             -      own      own      yes   -          yes        -        -          -
reopen             -      own      own      yes   yes        yes        -        -          -
archive            -      -        -        -     -          yes        ended    -          -
requeue            -      -        -        -     -          yes        -        -          -
escalate           -      yes      yes      yes   -          -          yes      -          -
deescalate         -      -        -        -     -          yes        -        -          -
request_close      -      yes      yes      -     -          -          -        -          -
clear              yes    -        -        -     -          -          yes      -          -
flag_flapping      yes    -        -        -     -          -          yes      -          -
share              -      -        -        yes   yes        yes        -        -          -
wake               -      -        -        -     -          -          yes      -          -
delete             -      -        -        -     -          yes        -        -          -
link               -      -        -        living living     living     yes      -          -
unlink             -      -        -        living living     living     yes      -          -
merge              -      -        -        yes   -          yes        -        -          -
unmerge            -      -        -        yes   -          yes        -        -          -
refuse_link        -      -        -        -     -          -          yes      -          -
end_with_target    -      -        -        -     -          -          yes      -          -
reopen_with_target -      -        -        -     -          -          yes      -          -
update             -      own      own      yes   yes        yes        -        -          -
tag                -      -        -        yes   yes        yes        -        -          -
untag              -      -        -        yes   yes        yes        -        -          -
watch              -      yes      yes      yes   yes        yes        -        -          -
unwatch            -      yes      yes      yes   yes        yes        -        -          -
add_note           -      yes      yes      yes   yes        yes        -        -          -
edit_note          -      yes      yes      yes   yes        yes        -        -          -
delete_note        -      yes      yes      yes   yes        yes        -        -          -
attach             -      yes      yes      yes   yes        yes        -        -          -
detach             -      living   living   living living     living     yes      -          -
"""
IS_MERGED = (lambda facets: facets["merged"] is not None, RefusalCode.INVALID_TRANSITION)
#: What must be true of the facets of a case, and the refusal if it is not: each in turn.
FACETS: dict[str, tuple[tuple[Callable[[dict[str, Any]], bool], RefusalCode], ...]] = {
    "request_action": ((lambda facets: facets["shared"], RefusalCode.FORBIDDEN),),
    "share": ((lambda facets: not facets["shared"], RefusalCode.INVALID_TRANSITION),),
    "escalate": ((lambda facets: not facets["escalated"], RefusalCode.ALREADY_ESCALATED),),
    "deescalate": ((lambda facets: facets["escalated"], RefusalCode.INVALID_TRANSITION),),
    "unmerge": (IS_MERGED,),
    "refuse_link": (IS_MERGED,),
    "end_with_target": (IS_MERGED, (lambda facets: facets["merged"] == "counting", RefusalCode.NOT_FOUND)),
    "reopen_with_target": (IS_MERGED, (lambda facets: facets["merged"] == "ended", RefusalCode.NOT_FOUND)),
}
ENDED = {State.CLOSED, State.CANCELLED}


def read_table(text: str) -> dict[tuple[str, str], str]:
    head, *rows = [line.split() for line in text.strip().splitlines()]
    return {(row[0], column): cell for row in rows for column, cell in zip(head, row[1:], strict=True)}


CELLS, ROLES = read_table(MATRIX), read_table(WHO)
MERGED = (None, "counting", "ended")
NAMES = [name for name in COMMANDS if name != "create"]


def standing(
    state: State,
    *,
    created_by: Role = Role.DEVICE,
    by: Role = Role.AGENT,
    shared: bool = False,
    escalated: bool = False,
    merged: str | None = None,
) -> Case:
    """Return a case of a signal on which a person (`by`) acted, in any state, whatever led there.

    It was merged and goes on counting, or its target has `ended`, if `merged` says so.
    """
    case = after(None, "create", actor(created_by), now=minute(0), case={"title": "Hot", "signal": signal()})
    if state in {State.RESOLVED, State.CLOSED, State.ARCHIVED}:
        case = after(case, "resolve", AGENT, now=minute(0.1))
    if state in {State.CLOSED, State.ARCHIVED}:
        case = after(case, "close", AGENT, now=minute(2))
    if state is State.CANCELLED:
        case = after(case, "cancel", AGENT, now=minute(2))
    note = NoteRef(id="n-1", visibility=NoteVisibility.EXTERNAL, author_id=f"{by}-1", author_tenant_id="acme")
    file = FileRef(id="f-1", by_id=f"{by}-1", by_tenant_id="acme")
    changes: dict[str, Any] = {"state": state, "tags": ("hot",), "watchers": (f"{by}-1",)}
    changes["links"] = (Link(kind=LinkKind.WORK_ORDER, id="WO-0"),)
    if shared:
        changes |= {"visibility": Visibility.SHARED, "counterpart_tenant_id": "maker"}
    if escalated:
        changes["escalation"] = Escalation(level=1, by=AGENT, at=minute(1), comment="!")
    papers = Papers(notes=(note,), files=(file,))
    case = replace(case, state=replace(state_of(case), **changes), touched=True, papers=papers)
    if merged is None:
        return case
    ties = Ties(merged=Merged(into=OTHER_ID, attempt=3, before=Before(state=State.IN_PROGRESS)))
    return replace(case, ties=ties, ended_at=None if merged == "counting" else case.ended_at or minute(2))


def expected(state: State, name: str, role: Role, *, own: bool, **facets: Any) -> State | RefusalCode:
    cell, who = CELLS[name, state], ROLES[name, role]
    if who == "-":
        return RefusalCode.FORBIDDEN
    wrong_state = (who == "resolved" and state is not State.RESOLVED) or (who == "ended" and state not in ENDED)
    wrong_state = wrong_state or (who == "living" and state is State.ARCHIVED)
    if cell == "-" or wrong_state:
        return RefusalCode.INVALID_TRANSITION
    if who == "alone" or (who == "own" and not own):
        return RefusalCode.FORBIDDEN
    for holds, refusal in FACETS.get(name, ()):
        if not holds(facets):
            return refusal
    return state if cell == "." else State(cell)


def actual(case: Case, name: str, role: Role) -> State | RefusalCode:
    decision = told(case, name, actor(role), **({"assignee": None} if name == "unassign" else {}))
    match decision:
        case Accepted(after_case):
            return state_of(after_case).state
        case Refused(code):
            return code
    raise AssertionError(decision)


def test_the_tables_of_this_file_speak_of_every_command_state_and_role():
    assert set(CELLS) == {(name, state.value) for name in NAMES for state in State}
    assert set(ROLES) == {(name, role.value) for name in NAMES for role in Role}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_when_somebody_gives_a_command_then_the_table_decides(state, role):
    own = role in {Role.OPERATOR, Role.CONTACT}
    both = (False, True)
    merges = MERGED if state in {State.CANCELLED, State.ARCHIVED} else (None,)
    for shared, escalated, merged, mine in product(both, both, merges, both if own else (False,)):
        facets = {"shared": shared, "escalated": escalated, "merged": merged}
        case = standing(state, created_by=role if mine else Role.DEVICE, by=role, **facets)
        for name in NAMES:
            found = actual(case, name, role)
            assert found == expected(state, name, role, own=mine, **facets), (name, facets, mine)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_when_the_table_has_no_place_for_a_command_then_nothing_changes_and_the_answer_names_what_can_be_done(
    state, role
):
    case = standing(state)
    names = set(allowed(case, actor(role), minute(10)))
    for name in NAMES:
        decision = told(case, name, actor(role))
        if isinstance(decision, Refused) and decision.code == RefusalCode.INVALID_TRANSITION:
            assert name not in names


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_when_a_case_exists_then_nobody_creates_it_again(state, role):
    assert actual(standing(state), "create", role) == RefusalCode.DUPLICATE


@pytest.mark.parametrize("role", Role)
def test_when_a_case_is_new_then_only_those_of_the_table_create_it(role):
    decision = told(None, "create", actor(role))
    if role in {Role.DISPATCHER, Role.SUBSCRIBER, Role.AUDITOR}:
        assert isinstance(decision, Refused)
        assert decision.code == RefusalCode.FORBIDDEN
    else:
        assert isinstance(decision, Accepted)
        assert state_of(decision.case).state == State.NEW


VARIANTS: dict[str, list[dict[str, Any]]] = {
    "assign": [{"assignee": "me"}, {"assignee": "erin"}],
    "unassign": [{"assignee": None}, {"assignee": "me"}],
}


def possible(case: Case, role: Role) -> set[str]:
    """Return the commands that are accepted with some arguments."""
    return {
        name
        for name in COMMANDS
        for arguments in VARIANTS.get(name, [{}])
        if isinstance(told(case, name, actor(role), **arguments), Accepted)
    }


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("created_by", [Role.DEVICE, Role.OPERATOR])
@pytest.mark.parametrize("assignees", [(), ("erin",), ("erin", "technician-1")])
def test_whatever_the_case_then_allowed_is_what_would_be_accepted(state, role, created_by, assignees):
    case = standing(state, created_by=created_by, by=role)
    case = replace(case, state=replace(state_of(case), assignees=assignees))
    names = allowed(case, actor(role), minute(10))
    assert set(names) == possible(case, role)
    assert list(names) == list(dict.fromkeys(row.command for row in TRANSITIONS if row.command in names))


def test_when_the_reopen_window_is_over_then_reopen_is_not_allowed():
    case = standing(State.CLOSED)
    assert "reopen" in allowed(case, AGENT, minute(10))
    assert "reply" in allowed(case, actor("operator"), minute(10))
    late = minute(60 * 24 * 40)
    assert allowed(case, actor("operator"), late) == ("watch", "unwatch", "delete_note", "detach")
    assert {"share", "tag", "untag", "link", "unlink"} == set(allowed(case, AGENT, late)) - set(
        allowed(case, actor("operator"), late)
    )


def test_when_no_signal_opened_the_case_then_devices_are_allowed_nothing():
    case = after(None, "create", actor("operator"))
    assert allowed(case, actor("device"), minute(10)) == ()
    assert possible(case, Role.DEVICE) == set()


def test_when_there_is_no_case_then_nothing_is_allowed():
    stub = after(None, "occur", actor("device"))
    assert allowed(None, AGENT, minute(1)) == ()
    assert allowed(stub, AGENT, minute(1)) == ()


def test_when_the_case_is_deleted_then_nothing_is_allowed():
    assert allowed(replace(by_device(), deleted=True), AGENT, minute(1)) == ()


def test_when_another_tenant_asks_then_nothing_is_allowed():
    assert allowed(by_device(), actor("agent", tenant="rival"), minute(1)) == ()


def test_when_the_condition_cleared_before_anybody_acted_then_the_system_may_resolve():
    case = standing(State.NEW)
    cleared = replace(state_of(case).signal, condition=Condition.CLEARED)
    case = replace(case, state=replace(state_of(case), signal=cleared), touched=False)
    assert "resolve" in allowed(case, actor("system"), minute(3))
    assert actual(case, "resolve", Role.SYSTEM) == State.RESOLVED
    assert actual(replace(case, touched=True), "resolve", Role.SYSTEM) == RefusalCode.FORBIDDEN


def test_every_transition_names_its_row_and_only_known_commands():
    assert {row.command for row in TRANSITIONS} | {"create"} == set(COMMANDS)
    assert all(row.id[0] in "T-" and row.start and row.who for row in TRANSITIONS)
    assert standing(State.NEW).id == CASE_ID
