"""A case made again tells no share of its time a second time, and all that are still to come."""

from datetime import datetime, timedelta

from deploy.recovery.shares import shares_of, with_shares
from services.workflow.domain.timing import Timing, look
from shared.contracts.case import CaseState
from shared.contracts.fields import rfc3339
from shared.contracts.words import State
from tests.unit.workflow.test_sla import case, hours, tenant

LATE = hours(0) + timedelta(days=365)
ALL = {("first_response", 50), ("first_response", 75), ("first_response", 100)}
ALL |= {("resolution", percent) for _, percent in ALL}


def told_by(timing: Timing, state: CaseState, at: datetime) -> set[tuple[str, int]]:
    _, shares = look(timing, state, state, tenant(), at)
    return {(share.clock.value, share.percent) for share in shares}


def test_what_was_told_is_not_told_again_and_the_rest_is() -> None:
    state, began = case(), rfc3339(hours(0))
    assert told_by(Timing(due_at=LATE), state, LATE) == ALL
    known = with_shares(Timing(due_at=LATE), state, {("first_response", began): 100, ("resolution", began): 50})
    assert told_by(known, state, LATE) == {("resolution", 75), ("resolution", 100)}


def test_a_case_that_was_reopened_since_is_told_its_resolution_anew() -> None:
    before = case((State.CLOSED, 400))
    stored = shares_of(Timing(first_response=100, resolution=100), before)
    after = case((State.CLOSED, 400), (State.IN_PROGRESS, 500))
    known = with_shares(Timing(), after, stored)
    assert (known.first_response, known.resolution) == (100, 0)


def test_a_case_that_was_not_reopened_keeps_what_it_knows() -> None:
    before, after = case(), case((State.IN_PROGRESS, 1))
    stored = shares_of(Timing(first_response=50, resolution=75), before)
    known = with_shares(Timing(first_response=75), after, stored)
    assert (known.first_response, known.resolution) == (75, 75)
    assert shares_of(None, before) == shares_of(Timing(), None) == {}
