"""What the kinds of tenant data mean, beyond the shape of their fields."""

import json
from datetime import date
from typing import Any

import pytest

from shared.contracts.tenant_codes import Code, Codes, Schema, builtin_codes, faults_of, merged
from shared.contracts.tenant_people import Counterpart, User
from shared.contracts.tenant_time import Calendar, Sla
from shared.contracts.words import Clock, Priority, Role, TicketClass


def schema(**parts: Any) -> Schema:
    return Schema.model_validate_json(json.dumps(parts), extra="forbid")


@pytest.mark.seed("S4.2", "S4.27")
def test_every_tenant_has_the_165_codes_of_36_groups() -> None:
    codes = builtin_codes()
    assert len(codes) == 165
    assert len({code[:4] for code in codes}) == 36
    assert {"0000-0002", "0200-1300", "0305-0302", "0800-0000"} <= codes.keys()
    assert "0013-0102" not in codes
    assert codes["0002-0001"].category == "Power"
    assert codes["0002-0001"].ticket_class is TicketClass.TROUBLE
    assert codes["0305-0000"].ticket_class is TicketClass.CASE


@pytest.mark.seed("S4.11")
def test_fourteen_codes_come_with_extra_fields() -> None:
    codes = {code for code, row in builtin_codes().items() if row.details is not None}
    assert codes == {
        *("0302-0400", "0302-0500", "0302-0600"),
        *("0305-0000", "0305-0002", "0305-0100", "0305-0200", "0305-0300", "0305-0301", "0305-0302"),
        *("0306-0000", "0306-0100", "0306-0200", "0306-0300"),
    }


@pytest.mark.seed("S4.11")
@pytest.mark.parametrize(
    ("details", "fields"),
    [
        ({"documents": {"transactionIds": ["4711"], "type": "DETAILED", "formats": ["XLS", "PDF"]}}, []),
        ({}, []),
        ({"something": "else"}, []),
        ({"documents": {"transactionIds": "4711"}}, ["details.documents.transactionIds"]),
        ({"documents": {"transactionIds": [4711], "type": ""}}, ["transactionIds.0", "documents.type"]),
    ],
)
def test_extra_fields_are_held_to_the_schema_of_their_code(details: dict[str, Any], fields: list[str]) -> None:
    wanted = builtin_codes()["0302-0400"].details
    assert wanted is not None
    found = sorted(field for field, _ in faults_of(details, wanted))
    assert len(found) == len(fields)
    assert all(any(place.endswith(field) for place in found) for field in fields)


def test_a_tenant_adds_words_anew_and_takes_out_codes() -> None:
    own = Codes(
        codes={"9000-0001": Code(title="Spare part"), "0002-0000": Code(title="Outage")}, without=("0800-0000",)
    )
    codes = merged([own])
    assert len(codes) == 165
    assert codes["9000-0001"].title == "Spare part"
    assert (codes["0002-0000"].title, codes["0002-0000"].category) == ("Outage", None)
    assert "0800-0000" not in codes


def test_a_tenant_may_have_its_own_codes_alone() -> None:
    first = Codes(builtin=False, codes={"9000-0001": Code(title="first")})
    second = Codes(codes={"9000-0001": Code(title="second"), "9000-0002": Code()})
    codes = merged([first, second])
    assert codes.keys() == {"9000-0001", "9000-0002"}
    assert codes["9000-0001"].title == "second"


def test_a_schema_bounds_what_it_says_it_bounds() -> None:
    wanted = schema(
        type="object",
        properties={
            "part": {"type": "string", "maxLength": 3},
            "amount": {"type": "integer", "minimum": 1},
            "kind": {"enum": ["a", 2]},
            "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 1},
        },
        required=["part"],
        additionalProperties=False,
    )
    assert faults_of({"part": "abc", "amount": 1, "kind": 2, "list": [True]}, wanted) == []
    bad = {"part": "abcd", "amount": 0, "kind": "c", "list": [True, 1], "more": 1}
    assert len(faults_of(bad, wanted)) == 6
    assert [field for field, _ in faults_of({}, wanted)] == ["details"]


def test_a_schema_has_an_end() -> None:
    parts: dict[str, Any] = {"type": "string"}
    for _ in range(8):
        parts = {"type": "array", "items": parts}
    with pytest.raises(ValueError, match="nested deeper than 8 levels"):
        schema(**parts)
    with pytest.raises(ValueError):
        schema(**{"$ref": "https://example.org/schema"})


@pytest.mark.seed("S1.39")
def test_a_person_covers_the_devices_of_any_scope_and_all_without_one() -> None:
    ann = User(roles=(Role.AGENT,), scopes=("device:press-*", "device:oven-1", "case:delete"))
    assert [ann.covers(device) for device in ("press-07", "oven-1", "oven-2", None)] == [True, True, False, False]
    assert User(roles=(Role.AGENT,), scopes=("case:delete",)).covers(None)
    assert ann.may("case:delete")
    assert not User(roles=(Role.AGENT,), scopes=("case:delete",), active=False).may("case:delete")


def test_a_counterpart_covers_its_devices_and_cases_without_one() -> None:
    maker = Counterpart(devices=("press-*",))
    assert [maker.covers(device) for device in ("press-07", "oven-1", None)] == [True, False, True]


@pytest.mark.seed("S2.26")
def test_targets_that_are_not_said_are_the_defaults_of_their_priority() -> None:
    sla = Sla.model_validate_json('{"targets": {"blocker": {"first_response_hours": 0.5}}}')
    assert sla.hours(Priority.BLOCKER, Clock.FIRST_RESPONSE) == 0.5
    assert sla.hours(Priority.BLOCKER, Clock.RESOLUTION) == 4
    defaults = [(Sla().hours(p, Clock.FIRST_RESPONSE), Sla().hours(p, Clock.RESOLUTION)) for p in Priority]
    assert defaults == [(1, 4), (4, 24), (8, 48), (24, 72), (48, 120)]


def test_a_week_that_is_said_is_the_whole_week() -> None:
    assert Calendar().week.mon == ("09:00-17:00",)
    said = Calendar.model_validate_json('{"week": {"sat": ["08:00-12:00"]}}')
    assert (said.week.mon, said.week.sat) == ((), ("08:00-12:00",))


def test_holidays_are_those_of_the_subdivision() -> None:
    both = '{"holidays": {"country": "DE", "subdivision": "%s"}}'
    bavarian, berlin = (Calendar.model_validate_json(both % land).holidays for land in ("BY", "BE"))
    assert bavarian is not None
    assert berlin is not None
    assert date(2026, 1, 6) in bavarian.of(2026)
    assert date(2026, 1, 6) not in berlin.of(2026)
    assert date(2026, 1, 1) in berlin.of(2026)


def test_a_day_can_be_unlike_its_weekday_only_once() -> None:
    with pytest.raises(ValueError, match="`days` has 2026-12-24 twice"):
        Calendar.model_validate_json('{"days": [{"date": "2026-12-24"}, {"date": "2026-12-24"}]}')
