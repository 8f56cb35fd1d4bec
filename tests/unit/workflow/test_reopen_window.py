"""How long a closed case may be reopened, by what its tenant has set."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.workflow.domain import Accepted, Case, Refused, Tenant, allowed, decide
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import RefusalCode
from tests.unit.workflow.builders import AGENT, actor, after, by_operator, cause, command

OPERATOR = actor("operator")
CLOSED = datetime(2026, 1, 2, 15, tzinfo=UTC)  # a Friday
MOMENT = timedelta(milliseconds=1)
BERLIN = {"time_zone": "Europe/Berlin", "week": {day: ["08:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}


def tenant(calendar: dict[str, Any] | None = None, **settings: Any) -> Tenant:
    bodies = {"settings": {"default": json.dumps({"calendar": "plant", **settings}).encode()}}
    if calendar is not None:
        bodies["calendar"] = {"plant": json.dumps(calendar).encode()}
    return Tenant(TenantData(bodies))


@pytest.fixture
def case() -> Case:
    return after(by_operator(), "close", now=CLOSED)


def is_reopened(case: Case, at: datetime, by: Tenant, role: str = "operator") -> bool:
    asked = command("reopen", actor(role))
    decision = decide(case, "reopen", asked, cause=cause(), now=at, number=None, tenant=by)
    if isinstance(decision, Refused):
        assert decision.code is RefusalCode.REOPEN_WINDOW_EXPIRED
    accepted = isinstance(decision, Accepted)
    assert ("reopen" in allowed(case, actor(role), at, by)) is accepted, "what is allowed is what is accepted"
    return accepted


@pytest.mark.seed("S3.14")
@pytest.mark.parametrize(
    ("set_", "last"),
    [
        (tenant(), "2026-01-22T23:59:59.999+00:00"),
        (tenant(BERLIN), "2026-01-22T23:59:59.999+01:00"),
        (tenant(BERLIN | {"time_zone": "America/Los_Angeles"}), "2026-01-22T23:59:59.999-08:00"),
        (tenant(BERLIN | {"holidays": {"country": "DE", "subdivision": "BW"}}), "2026-01-23T23:59:59.999+01:00"),
        (
            tenant(BERLIN | {"days": [{"date": "2026-01-10", "hours": ["08:00-12:00"]}]}),
            "2026-01-21T23:59:59.999+01:00",
        ),
        (tenant(BERLIN, reopen_working_days=1), "2026-01-05T23:59:59.999+01:00"),
        (tenant(BERLIN, reopen_working_days=0), "2026-01-02T23:59:59.999+01:00"),
        (tenant(BERLIN, reopen_working_days=60), "2026-03-27T23:59:59.999+01:00"),
        (tenant(BERLIN, reopen_working_days=61), "2026-03-30T23:59:59.999+02:00"),
    ],
)
def test_a_case_may_be_reopened_up_to_the_last_moment_and_not_after(case: Case, set_: Tenant, last: str) -> None:
    moment = datetime.fromisoformat(last)
    assert is_reopened(case, moment, set_)
    assert not is_reopened(case, moment + MOMENT, set_)


@pytest.mark.parametrize(
    ("role", "late"), [("agent", True), ("technician", True), ("dispatcher", True), ("operator", False)]
)
def test_the_desk_may_be_let_through_for_ever(case: Case, role: str, late: bool) -> None:
    years_after = CLOSED + timedelta(days=3000)
    assert is_reopened(case, years_after, tenant(agents_bypass_reopen_window=True), role) is late
    assert not is_reopened(case, years_after, tenant(), role)


def test_the_refusal_tells_how_long_the_window_was(case: Case) -> None:
    asked = command("reopen", AGENT)
    late = CLOSED + timedelta(days=9)
    decision = decide(case, "reopen", asked, cause=cause(), now=late, number=None, tenant=tenant(reopen_working_days=3))
    assert isinstance(decision, Refused)
    assert "more than 3 working days ago" in decision.message
