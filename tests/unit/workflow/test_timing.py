"""What time does to a case: shares told once, escalation, closing and archiving by itself, and when to look next."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.workflow.domain import Accepted, Case, Refused, Tenant, decide
from services.workflow.domain.tenant import UNSET
from services.workflow.store import from_document, timed_key, to_document
from shared.contracts.case import Actor
from shared.contracts.measures import CaseMeasures, SlaShare
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import HoldReason, Priority, Role, State
from tests.unit.workflow.builders import AGENT, START, actor, cause, command, state_of

SYSTEM = actor("system", "workflow")
MOMENT = timedelta(milliseconds=1)
CHANGED = datetime(2025, 12, 1, tzinfo=UTC)
BERLIN = {"time_zone": "Europe/Berlin", "week": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}


def tenant(*, changed: datetime = CHANGED, **bodies: dict[str, Any]) -> Tenant:
    encoded = {kind: {name: json.dumps(b).encode() for name, b in each.items()} for kind, each in bodies.items()}
    return Tenant(TenantData(encoded, dict.fromkeys(encoded, changed)))


def with_settings(**fields: Any) -> Tenant:
    return tenant(settings={"default": fields})


def hours(number: float) -> datetime:
    return START + timedelta(hours=number)


def say(
    on: Case | None, name: str, at: datetime, by: Actor = AGENT, set_: Tenant = UNSET, **arguments: Any
) -> Accepted:
    asked = command(name, by, **arguments)
    decision = decide(on, name, asked, cause=cause(), now=at, number="10000001", tenant=set_)
    assert isinstance(decision, Accepted), decision
    return decision


def wake(case: Case, at: datetime, set_: Tenant = UNSET) -> Accepted:
    return say(case, "wake", at, SYSTEM, set_)


def created(set_: Tenant = UNSET, **fields: Any) -> Case:
    return say(None, "create", START, set_=set_, case={"title": "Hot", **fields}).case


def due_at(case: Case) -> datetime | None:
    assert case.timing is not None
    return case.timing.due_at


def shares(accepted: Accepted) -> list[tuple[str, int, datetime]]:
    found = (report for report in accepted.reports if isinstance(report, SlaShare))
    return [(share.clock.value, share.percent, share.reached_at) for share in found]


def resolved(at: datetime, set_: Tenant = UNSET) -> Case:
    return say(created(set_), "resolve", at, set_=set_).case


def test_a_new_case_is_due_when_half_of_its_first_response_is_used_up():
    assert due_at(created()) == hours(4)
    assert due_at(created(priority=Priority.BLOCKER)) == hours(0.5)


def test_a_wake_that_comes_too_early_does_nothing_at_all():
    case = created()
    early = wake(case, hours(4) - MOMENT)
    assert early.case is case
    assert (early.events, early.outcomes, early.reports) == ((), (), ())


def test_each_share_is_told_once_and_the_next_one_is_due():
    case, told = created(), []
    while (at := due_at(case)) is not None and at <= hours(48):
        accepted = wake(case, at)
        assert not accepted.events
        assert accepted.case.state == case.state, "a share is no change of the case"
        told += shares(accepted)
        again = wake(accepted.case, at)
        assert again.case is accepted.case
        assert again.reports == ()
        case = accepted.case
    assert told == [
        ("first_response", 50, hours(4)),
        ("first_response", 75, hours(6)),
        ("first_response", 100, hours(8)),
        ("resolution", 50, hours(24)),
        ("resolution", 75, hours(36)),
        ("resolution", 100, hours(48)),
    ]
    assert due_at(case) is None


def test_a_wake_after_an_outage_tells_all_that_was_missed_with_when_it_was():
    accepted = wake(created(), hours(50))
    assert shares(accepted) == [("first_response", p, hours(h)) for p, h in ((50, 4), (75, 6), (100, 8))] + [
        ("resolution", p, hours(h)) for p, h in ((50, 24), (75, 36), (100, 48))
    ]
    assert all(share.at == hours(50) for share in accepted.reports)


def test_a_merged_case_that_comes_back_from_the_archive_tells_no_share_again():
    case = wake(created(), hours(50)).case
    case = say(case, "merge", hours(51), actor("dispatcher")).case
    case = say(case, "archive", hours(52), actor("dispatcher")).case
    assert due_at(case) is None
    back = say(case, "refuse_link", hours(53), SYSTEM, attempt=2)
    assert state_of(back.case).state is State.NEW
    assert shares(back) == shares(wake(back.case, hours(60))) == []


def test_a_response_that_comes_late_tells_of_the_breach_also_if_no_wake_came():
    accepted = say(created(), "start", hours(9))
    assert shares(accepted) == [("first_response", p, hours(h)) for p, h in ((50, 4), (75, 6), (100, 8))]
    assert due_at(accepted.case) == hours(24)


def test_a_response_in_time_leaves_nothing_to_tell():
    accepted = say(created(), "start", hours(1))
    assert accepted.reports == ()
    assert due_at(accepted.case) == hours(24)


def test_a_pause_moves_what_is_due():
    holds = tenant(sla={"default": {"pauses": {"on_hold": ["parts"]}}})
    case = say(created(holds), "start", hours(1), set_=holds).case
    case = say(case, "hold", hours(10), set_=holds, reason=HoldReason.PARTS).case
    assert due_at(case) is None
    case = say(case, "resume", hours(20), set_=holds).case
    assert due_at(case) == hours(34)


def test_a_new_promise_is_told_of_anew():
    case = say(created(), "start", hours(0)).case
    case = wake(case, hours(24)).case
    quicker = tenant(sla={"default": {"targets": {"medium": {"resolution_hours": 25}}}})
    accepted = wake(case, hours(24.5), quicker)
    assert shares(accepted) == [("resolution", 75, hours(18.75))]
    assert due_at(accepted.case) == hours(25)
    slower = tenant(changed=CHANGED + MOMENT, sla={"default": {"targets": {"medium": {"resolution_hours": 100}}}})
    later = wake(accepted.case, hours(26), slower)
    assert shares(later) == []
    assert due_at(later.case) == hours(50)


def test_changed_settings_time_a_case_anew_with_its_next_wake_or_command():
    case = created()
    plant = tenant(calendar={"plant": BERLIN}, settings={"default": {"calendar": "plant"}})
    again = wake(case, hours(1), plant)
    assert again.reports == ()
    assert due_at(again.case) == datetime(2026, 1, 2, 13, tzinfo=UTC), "four hours from ten o'clock local"
    assert to_document(again.case)["timed"] == timed_key("acme", CHANGED)


def test_the_time_is_up_and_the_case_is_escalated_if_the_tenant_wants_it_so():
    wanted = with_settings(auto_escalate=["resolution"])
    case = say(created(wanted), "start", hours(0), set_=wanted).case
    accepted = wake(case, hours(48), wanted)
    [event] = accepted.events
    assert (event.name, event.actor.role, event.state.version) == ("escalated", Role.SYSTEM, 3)
    assert state_of(accepted.case).escalation.comment == "The time for the resolution is up."
    assert [outcome.seq for outcome in accepted.outcomes] == [3]
    assert shares(accepted)[-1] == ("resolution", 100, hours(48))
    calm = say(accepted.case, "deescalate", hours(49), actor("dispatcher"), wanted).case
    assert wake(calm, hours(50), wanted).case is calm, "once for each breach"


def test_a_command_that_comes_after_the_breach_brings_the_escalation_in_its_own_commit():
    wanted = with_settings(auto_escalate=["first_response"])
    accepted = say(created(wanted), "assign", hours(9), set_=wanted)
    assert [event.name for event in accepted.events] == ["assigned", "escalated"]
    assert {event.state.version for event in accepted.events} == {2}
    assert [event.state.seq for event in accepted.events] == [2, 3]
    assert [(outcome.seq, outcome.version) for outcome in accepted.outcomes] == [(3, 2)]


@pytest.mark.parametrize("asked", [[], ["first_response"]])
def test_nobody_is_escalated_who_was_not_to_be(asked):
    wanted = with_settings(auto_escalate=asked)
    case = say(created(wanted), "start", hours(1), set_=wanted).case
    assert wake(case, hours(60), wanted).events == ()


@pytest.mark.parametrize(
    ("set_", "last"),
    [
        (UNSET, "2026-01-09T23:59:59.999+00:00"),
        (with_settings(auto_close_working_days=1), "2026-01-05T23:59:59.999+00:00"),
        (
            tenant(
                calendar={"plant": BERLIN | {"holidays": {"country": "DE", "subdivision": "BW"}}},
                settings={"default": {"calendar": "plant"}},
            ),
            "2026-01-12T23:59:59.999+01:00",
        ),
    ],
)
def test_a_resolved_case_closes_by_itself_after_the_last_of_its_working_days(set_, last):
    """Resolved on Friday 2 January 2026."""
    case = resolved(hours(1), set_)
    moment = datetime.fromisoformat(last)
    assert due_at(case) == moment + MOMENT
    assert wake(case, moment, set_).case is case
    accepted = wake(case, moment + MOMENT, set_)
    [event] = accepted.events
    assert (event.name, event.actor.id, event.change["reason"]) == ("closed", "workflow", "by_itself")
    assert state_of(accepted.case).closed_at == moment + MOMENT
    assert [report.end for report in accepted.reports if isinstance(report, CaseMeasures)] == [State.CLOSED]


def test_a_solution_that_was_rejected_meanwhile_keeps_the_case_open():
    case = resolved(hours(1))
    due = due_at(case)
    assert due is not None
    again = say(case, "reject_resolution", due - MOMENT, reason="It still smells").case
    assert wake(again, due).events == ()
    assert state_of(again).state is State.IN_PROGRESS


@pytest.mark.parametrize("ending", ["close", "cancel"])
def test_an_ended_case_goes_to_the_archive_by_itself(ending):
    case = say(created(), ending, hours(1)).case
    archived_at = hours(1) + timedelta(days=90)
    assert due_at(case) == archived_at
    assert wake(case, archived_at - MOMENT).case is case
    accepted = wake(case, archived_at)
    assert [event.name for event in accepted.events] == ["archived"]
    assert due_at(accepted.case) is None
    assert "timed" not in to_document(accepted.case)


def test_hours_count_instead_of_days_by_working_time_to_close_and_by_the_clock_to_archive():
    """Resolved on Friday 2 January 2026, an hour after it began."""
    set_ = with_settings(auto_close_working_hours=0.5, auto_archive_hours=0.25, auto_archive_days=0)
    case = resolved(hours(1), set_)
    assert due_at(case) == hours(1.5)
    closed = wake(case, hours(1.5), set_)
    assert [event.name for event in closed.events] == ["closed"]
    assert due_at(closed.case) == hours(1.75)
    assert [event.name for event in wake(closed.case, hours(1.75), set_).events] == ["archived"]
    in_berlin = tenant(
        calendar={"plant": BERLIN}, settings={"default": {"calendar": "plant", "auto_close_working_hours": 8}}
    )
    assert due_at(resolved(hours(1), in_berlin)).isoformat() == "2026-01-05T10:00:00+00:00"


def test_zero_days_mean_never():
    never = with_settings(auto_close_working_days=0, auto_archive_days=0)
    case = resolved(hours(1), never)
    assert due_at(case) is None
    assert wake(case, hours(99_999), never).events == ()
    closed = say(case, "close", hours(2), set_=never).case
    assert due_at(closed) is None


def test_after_a_long_outage_a_case_takes_one_step_with_each_wake():
    case, years_later = resolved(hours(1)), hours(24 * 400)
    accepted = wake(case, years_later)
    assert [event.name for event in accepted.events] == ["closed"]
    due = due_at(accepted.case)
    assert due == years_later + timedelta(days=90), "its own time in the archive's anteroom begins now"


def test_a_wake_by_a_clock_that_was_set_back_does_nothing():
    case = say(created(), "start", hours(30)).case
    back = wake(case, hours(2))
    assert back.case is case
    assert back.reports == ()


def test_only_the_system_wakes_a_case():
    for role in set(Role) - {Role.SYSTEM}:
        asked = command("wake", actor(role))
        assert isinstance(
            decide(created(), "wake", asked, cause=cause(), now=hours(99), number=None, tenant=UNSET), Refused
        )


def test_what_was_told_and_what_is_due_are_stored():
    case = wake(created(), hours(6)).case
    document = to_document(case)
    assert document["due_at"] == hours(8)
    assert document["timing"] == {"first_response": 75, "resolution": 0}
    assert document["timed"] == "acme|"
    assert from_document(document) == case


def test_a_case_of_an_older_version_tells_what_is_reached_from_now_on():
    document = to_document(wake(created(), hours(6)).case)
    del document["timing"], document["due_at"], document["timed"]
    old = from_document(document)
    assert old.timing is None
    accepted = say(old, "assign", hours(7))
    assert shares(accepted) == [("first_response", 50, hours(4)), ("first_response", 75, hours(6))]
    assert due_at(accepted.case) == hours(8)


COMMANDS = ("start", "hold", "resume", "resolve", "reject_resolution", "close", "reopen", "assign", "requeue")
LEVELS = tenant(
    calendar={"plant": BERLIN},
    settings={"default": {"calendar": "plant", "auto_escalate": ["resolution"], "auto_close_working_days": 2}},
    sla={"default": {"pauses": {"on_hold": ["parts"]}, "targets": {"medium": {"resolution_hours": 20}}}},
)


def course(says: list[tuple[str, int]], wakes: str) -> tuple[list[Any], Case]:
    """Return the shares and events of a case that is woken whenever it is due, or again and again."""
    case, told, at = created(LEVELS), [], START

    def take(accepted: Accepted) -> None:
        nonlocal case
        case = accepted.case
        told.extend(shares(accepted))
        told.extend((event.name, event.actor.id) for event in accepted.events)

    for name, pause in [*says, ("assign", 300)]:
        until = at + timedelta(minutes=37 * pause)
        while wakes == "due" and (due := due_at(case)) is not None and due <= until:
            take(wake(case, max(due, state_of(case).updated_at), LEVELS))
        look = at
        while wakes == "often" and (look := look + timedelta(minutes=37)) <= until:
            take(wake(case, look, LEVELS))
        at = until
        asked = command(name, actor("dispatcher"), **({"reason": HoldReason.PARTS} if name == "hold" else {}))
        decision = decide(case, name, asked, cause=cause(), now=at, number=None, tenant=LEVELS)
        if isinstance(decision, Accepted):
            take(decision)
    return told, case


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(COMMANDS), st.integers(0, 150)), max_size=6))
def test_looking_when_it_is_due_finds_what_looking_all_the_time_finds(says):
    by_due, case = course(says, "due")
    often, same = course(says, "often")
    assert by_due == often
    assert state_of(case).state == state_of(same).state
