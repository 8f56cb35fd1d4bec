"""Lists of cases on the real MongoDB: every filter finds what it says, by an index, page by page, for one tenant."""

import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.query import SORTS, CaseQuery, Grouping
from services.gateway.domain.view import view_document
from services.gateway.generations import Generations
from services.gateway.store import Views
from shared.contracts.fields import rfc3339
from shared.contracts.words import CaseType, Origin, Priority, Role, Severity, State, Visibility
from shared.storage import connect
from tests.stack import RunningStack
from tests.unit.gateway.events import event, record, state

pytestmark = pytest.mark.integration
START = datetime(2026, 1, 1, tzinfo=UTC)
CASES = 600
STILL = 40
ANN = Identity("acme", "ann", Role.AGENT)


@pytest.fixture(scope="module")
async def generations(infra: RunningStack) -> AsyncIterator[Generations]:
    database = connect(infra.mongodb_uri, f"views_{uuid4().hex[:8]}")
    generations = Generations(database)
    await generations.start()
    yield generations
    await generations[1].drop()
    await database.close()


@pytest.fixture(scope="module")
async def cases(generations: Generations) -> list[dict[str, Any]]:
    """Six hundred cases of one tenant, and as many of another that look the same."""
    chance = random.Random(6)
    told = [some_case(number, chance) for number in range(CASES)]
    other = [case | {"id": str(uuid4()), "tenant_id": "other"} for case in told]
    await keep(generations, [*told, *other])
    return told


@pytest.fixture(scope="module")
async def views(generations: Generations, cases: list[dict[str, Any]]) -> Views:
    return Views(generations)


async def keep(generations: Generations, cases: list[dict[str, Any]], viewer: str | None = None) -> None:
    bodies = [event(case) for case in cases]
    await generations[1].cases.set_newer(
        [view_document(viewer or body["case"]["tenant_id"], body, record(body).value) for body in bodies]
    )


def some_case(number: int, chance: random.Random) -> dict[str, Any]:
    word = chance.choice
    created = START + timedelta(minutes=chance.randrange(200))
    fields: dict[str, Any] = {
        "number": f"{10_000_000 + number}",
        "title": f"{word(('Spindle', 'Pump', 'Door'))} {word(('hot', 'loud', 'stuck'))} {number}",
        "state": word(list(State)).value,
        "priority": word(list(Priority)).value,
        "severity": word(list(Severity)).value,
        "case_type": word(list(CaseType)).value,
        "origin": word(list(Origin)).value,
        "visibility": word(list(Visibility)).value,
        "tags": chance.sample(["night", "hot", "Line 2", "vip"], chance.randrange(4)),
        "assignees": chance.sample(["ann", "bob", "eve"], chance.randrange(3)),
        "teams": chance.sample(["t1", "t2"], chance.randrange(3)),
        "created_at": rfc3339(created),
        "updated_at": rfc3339(created + timedelta(minutes=chance.randrange(100))),
    }
    if chance.random() < 0.7:
        fields["machine"] = {"serial": f"SN-{chance.randrange(40)}", "brand": word(("B", "Böhm")), "technology": "CNC"}
        fields["device_id"] = f"press-{chance.randrange(20)}"
    if chance.random() < 0.3:
        fields["closed_at"] = rfc3339(created + timedelta(minutes=chance.randrange(300)))
        fields["case_code"] = "0002-0001"
        fields["classification"] = {"application": word(("ERP", "MES")), "account": word(("Bolt", "Nut"))}
    if chance.random() < 0.2:
        fields["escalation"] = {"level": 1, "by": state()["created_by"], "at": rfc3339(created), "comment": "c"}
        fields["primary_ref"] = f"PO/{number}"
    return state(f"case-{number}-{uuid4().hex[:6]}", **fields)


MIDDLE = rfc3339(START + timedelta(minutes=120))
#: A filter, and the same said naively of a case.
FILTERS: dict[str, tuple[dict[str, Any], Any]] = {
    "state": ({"state": "NEW,CLOSED"}, lambda c: c["state"] in {"NEW", "CLOSED"}),
    "open": ({"state_group": "open"}, lambda c: c["state"] not in {"CLOSED", "CANCELLED", "ARCHIVED"}),
    "priority": ({"priority": "blocker"}, lambda c: c["priority"] == "blocker"),
    "severity": ({"severity": "info"}, lambda c: c["severity"] == "info"),
    "case_type": ({"case_type": "damage"}, lambda c: c["case_type"] == "damage"),
    "case_code": ({"case_code": "0002-0001"}, lambda c: "case_code" in c),
    "assignee": ({"assignee": "bob"}, lambda c: "bob" in c["assignees"]),
    "me": ({"assignee": "me"}, lambda c: "ann" in c["assignees"]),
    "none": ({"assignee": "none"}, lambda c: not c["assignees"]),
    "team": ({"team": "t2"}, lambda c: "t2" in c["teams"]),
    "customer": ({"account": "bolt"}, lambda c: c.get("classification", {}).get("account") == "Bolt"),
    "device": ({"device": "press-7"}, lambda c: c.get("device_id") == "press-7"),
    "serial": ({"serial": "sn-7"}, lambda c: c.get("machine", {}).get("serial") == "SN-7"),
    "brand": ({"brand": "BÖHM"}, lambda c: c.get("machine", {}).get("brand") == "Böhm"),
    "technology": ({"technology": "cnc"}, lambda c: "machine" in c),
    "tag": ({"tag": ["hot", "line 2"]}, lambda c: {"hot", "Line 2"} <= set(c["tags"])),
    "origin": ({"origin": "device"}, lambda c: c["origin"] == "device"),
    "visibility": ({"visibility": "internal"}, lambda c: c["visibility"] == "internal"),
    "escalated": ({"escalated": "true"}, lambda c: "escalation" in c),
    "application": ({"application": "erp"}, lambda c: c.get("classification", {}).get("application") == "ERP"),
    "created": ({"created_after": MIDDLE}, lambda c: c["created_at"] >= MIDDLE),
    "closed": ({"closed_before": MIDDLE}, lambda c: c.get("closed_at", "9") < MIDDLE),
    "q": ({"q": "PIND hot"}, lambda c: c["title"].startswith("Spindle hot")),
    "number": ({"q": "10000017"}, lambda c: c["number"] == "10000017"),
    "reference": ({"q": "po/1"}, lambda c: "PO/1" in c.get("primary_ref", "")),
    "title": ({"title": "ump stu"}, lambda c: c["title"].startswith("Pump stuck")),
}


def numbers(page: Any) -> list[str]:
    return [view.number for view in page.items]


async def all_numbers(views: Views, parameters: dict[str, Any], who: Identity = ANN, limit: int = 100) -> list[str]:
    """Turn all pages of a list."""
    found, cursor = [], None
    while True:
        given = {**parameters, "limit": str(limit), **({"cursor": cursor} if cursor else {})}
        page = await views.page(who, CaseQuery.parse(given))
        found += numbers(page)
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.seed("S1.4", "S1.5", "S1.6", "S1.8", "S1.9", "S3.9")
@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_finds_what_it_says_and_counts_it(views, cases, name):
    parameters, meets = FILTERS[name]
    expected = {case["number"] for case in cases if meets(case)}
    found = await all_numbers(views, parameters)
    assert 0 < len(expected) < CASES
    assert (len(found), set(found)) == (len(expected), expected)
    page = await views.page(ANN, CaseQuery.parse({**parameters, "limit": "1"}))
    assert (page.total, page.total_exact) == (len(expected), True)


@pytest.mark.seed("S0.3")
@pytest.mark.parametrize("by", Grouping)
async def test_cases_are_counted_by_their_kinds(views, cases, by):
    counts = await views.counts(ANN, CaseQuery.parse({"visibility": "internal"}), by)
    expected = Counter(case[by.value] for case in cases if case["visibility"] == "internal")
    assert {each.value: each.total for each in counts if each.total} == expected
    assert all(each.exact for each in counts)


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_is_answered_by_an_index(generations, views, name):
    question = views.question(ANN, CaseQuery.parse(FILTERS[name][0]))
    stages = stages_of(await generations[1].cases.explain(question))
    assert "IXSCAN" in stages
    assert "COLLSCAN" not in stages


#: Nobody has so many cases that these few values would be worth an index.
UNINDEXED = {"remote_access", "service_contract"}


#: Every column in one direction; in both those that are absent often, and the usual one.
ORDERS = [minus + sort for minus, sort in zip(itertools.cycle(("", "-")), sorted(SORTS), strict=False)]
ORDERS += ["created_at", "-created_at", "brand", "-brand", "closed_at", "-closed_at"]


@pytest.mark.seed("S1.10", "S3.10")
@pytest.mark.parametrize("sort", sorted(set(ORDERS)))
async def test_pages_of_any_order_are_the_list_itself_whatever_is_written_meanwhile(generations, views, sort):
    """One tenant of its own: while its pages are turned cases come, change their places, and go."""
    chance, tenant = random.Random(sort), f"t{uuid4().hex[:8]}"
    still = [some_case(number, chance) | {"tenant_id": tenant} for number in range(STILL)]
    moving = [some_case(100 + number, chance) | {"tenant_id": tenant} for number in range(20)]
    await keep(generations, [*still, *moving])
    who = Identity(tenant, "ann", Role.AGENT)
    at_rest = await all_numbers(views, {"sort": sort}, who, 100)
    found: list[str] = []
    cursor = None
    for turn in range(100):
        given = {"sort": sort, "limit": "7", **({"cursor": cursor} if cursor else {})}
        page = await views.page(who, CaseQuery.parse(given))
        found += numbers(page)
        cursor = page.next_cursor
        if cursor is None:
            break
        case = some_case(100 + turn % 20, chance) | {"tenant_id": tenant, "id": moving[turn % 20]["id"]}
        case |= {"seq": turn + 2, "version": turn + 2}
        new = some_case(200 + turn, chance) | {"tenant_id": tenant}
        await keep(generations, [case, new])
    unmoved = {case["number"] for case in still}
    seen = [number for number in found if number in unmoved]
    assert seen == [number for number in at_rest if number in unmoved]
    assert len(seen) == STILL


@pytest.mark.parametrize("sort", sorted(SORTS.keys() - UNINDEXED))
async def test_a_list_in_any_order_is_read_from_an_index_also_behind_a_cursor(generations, views, cases, sort):
    for minus in ("", "-"):
        page = await views.page(ANN, CaseQuery.parse({"sort": minus + sort, "limit": "70"}))
        for cursor in ({}, {"cursor": page.next_cursor}):
            query = CaseQuery.parse({"sort": minus + sort, **cursor})
            stages = stages_of(await generations[1].cases.explain(views.question(ANN, query)))
            assert "IXSCAN" in stages
            assert not stages & {"COLLSCAN", "SORT"}


def stages_of(plan: dict[str, Any]) -> set[str]:
    text = json.dumps(plan, default=str)
    return {stage for stage in ("IXSCAN", "COLLSCAN", "SORT", "SORT_MERGE", "FETCH") if f'"stage": "{stage}"' in text}


async def test_a_case_is_found_by_id_and_by_number_for_its_own_tenant_alone(views, cases):
    case = cases[17]
    by_id, by_number = await views.one(ANN, case["id"]), await views.one(ANN, case["number"])
    assert by_id is not None
    assert by_id == by_number
    assert by_id.state == case
    stranger = Identity("stranger", "ann", Role.DISPATCHER)
    assert await views.one(stranger, case["id"]) is None
    assert await views.one(stranger, case["number"]) is None
    assert await views.versions("stranger", [case["id"]]) == {}
    assert await views.versions("acme", [case["id"]]) == {case["id"]: (1, 1)}
    assert await all_numbers(views, {}, stranger) == []


async def test_a_contact_finds_the_own_cases_and_no_others(generations, views):
    tenant = f"t{uuid4().hex[:8]}"
    mine = state(
        f"mine-{tenant}", tenant_id=tenant, contacts=[{"type": "technical", "user": "erin"}], number="20000001"
    )
    theirs = state(f"theirs-{tenant}", tenant_id=tenant, number="20000002")
    await keep(generations, [mine, theirs])
    erin = Identity(tenant, "erin", Role.CONTACT)
    assert await all_numbers(views, {}, erin) == ["20000001"]
    assert await views.one(erin, theirs["id"]) is None
    assert (await views.one(erin, mine["id"])) is not None
    assert await all_numbers(views, {}, Identity(tenant, "erin", Role.OPERATOR)) == ["20000002", "20000001"]


async def test_a_deleted_case_is_found_as_deleted_and_in_no_list(generations, views):
    tenant = f"t{uuid4().hex[:8]}"
    case = state(f"gone-{tenant}", tenant_id=tenant, deleted_at=rfc3339(START))
    await keep(generations, [case])
    who = Identity(tenant, "ann", Role.AGENT)
    found = await views.one(who, case["id"])
    assert found is not None
    assert found.deleted
    assert await all_numbers(views, {}, who) == []


async def test_rows_stream_the_whole_list_in_order(views, cases):
    query = CaseQuery.parse({"sort": "title"})
    rows = [view.number async for view in views.rows(ANN, query)]
    assert rows == await all_numbers(views, {"sort": "title"})
    assert len(rows) == CASES


async def test_skipping_is_for_pages_by_offset(views, cases):
    query = CaseQuery.parse({"limit": "10", "count": "exact"})
    whole = await all_numbers(views, {})
    assert numbers(await views.page(ANN, query, offset=20)) == whole[20:30]
