"""One promise, two stands: views in memory and in MongoDB keep, find, sort and count alike."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.query import SORTS, CaseQuery
from services.gateway.domain.view import view_document
from services.gateway.generations import Generation, Generations, Standing
from services.gateway.store import Views
from shared.contracts.fields import rfc3339
from shared.contracts.words import CaseType, Origin, Priority, Role, Severity, State
from shared.storage import connect
from shared.testing import MemoryViewCollection
from shared.view_storage import Find, ViewCollection
from tests.unit.gateway.events import event, record, state

AT = datetime(2026, 3, 2, 10, 15, 0, 123_000, UTC)
STANDS = ["memory", pytest.param("mongodb", marks=pytest.mark.integration)]
ANN = Identity("acme", "ann", Role.AGENT)
QUESTIONS = 150


@pytest.fixture(params=STANDS)
async def views(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryViewCollection()
        return
    database = connect(request.getfixturevalue("infra").mongodb_uri, "contract")
    collection = ViewCollection(database, f"v{uuid4().hex}")
    yield collection
    await collection.drop()
    await database.close()


async def ids(views: Any, conditions: dict[str, Any], **more: Any) -> list[str]:
    question = Find(conditions=conditions, **{"order": [("_id", 1)], **more})
    return [document["_id"] for document in await views.find(question)]


async def test_what_is_there_already_stays_and_costs_its_neighbours_nothing(views: Any) -> None:
    await views.insert_new([{"_id": "a", "x": 1}])
    await views.insert_new([{"_id": "a", "x": 2}, {"_id": "b", "x": 2}])
    assert await views.find(Find(conditions={}, order=[("_id", 1)])) == [{"_id": "a", "x": 1}, {"_id": "b", "x": 2}]


async def test_something_older_never_takes_the_place_of_something_newer(views: Any) -> None:
    assert await views.set_newer([{"_id": "a", "seq": 2, "x": 2}, {"_id": "b", "seq": 1, "x": 1}]) == frozenset()
    again = [{"_id": "c", "seq": 1}, {"_id": "a", "seq": 1, "x": 1}, {"_id": "b", "seq": 1, "x": 9}]
    assert await views.set_newer(again) == {"a", "b"}
    assert await views.set_newer([{"_id": "b", "seq": 3, "y": 3}, {"_id": "c", "seq": 1}]) == {"c"}
    await views.set_newer([{"_id": "b", "change": 1}], by="change")
    assert await views.find(Find(conditions={}, order=[("_id", 1)])) == [
        {"_id": "a", "seq": 2, "x": 2},
        {"_id": "b", "seq": 3, "x": 1, "y": 3, "change": 1},
        {"_id": "c", "seq": 1},
    ]


async def test_fields_are_set_where_conditions_are_met(views: Any) -> None:
    await views.insert_new([{"_id": "a", "x": 1}, {"_id": "b", "x": 2}])
    await views.set_where({"x": 2}, {"y": "new"})
    assert await ids(views, {"y": "new"}) == ["b"]
    await views.set_all([({"x": 1}, {"z": 1}), ({"$nor": [{"x": {"$gte": 2}}]}, {"z": 2})])
    assert await ids(views, {"z": 2}) == ["a"]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({}, "abcd"),
        ({"n": 2}, "b"),
        ({"n": None}, "cd"),
        ({"n": {"$ne": None}}, "ab"),
        ({"n": {"$in": [1, 2, 7]}}, "ab"),
        ({"n": {"$gt": 1}}, "b"),
        ({"n": {"$gte": 1, "$lt": 2}}, "a"),
        ({"n": {"$lte": 2}}, "ab"),
        ({"tags": "x"}, "ab"),
        ({"tags": {"$all": ["x", "y"]}}, "a"),
        ({"tags": {"$in": ["y", "z"]}}, "ab"),
        ({"text": {"$regex": "spin"}}, "a"),
        ({"text": {"$regex": "spin"}, "n": 2}, ""),
        ({"at": {"$gte": AT, "$lt": AT + timedelta(days=1)}}, "a"),
        ({"$or": [{"n": 1}, {"text": "door"}]}, "ab"),
        ({"$nor": [{"n": 1}, {"text": "door"}]}, "cd"),
        ({"$nor": [{"n": {"$gte": 2}, "tags": "x"}]}, "acd"),
        ({"$and": [{"tags": "x"}, {"$or": [{"n": 2}, {"n": 3}]}]}, "b"),
        ({"n": {"$gt": "1"}}, ""),
    ],
)
async def test_conditions_are_understood_alike(views: Any, conditions: dict[str, Any], found: str) -> None:
    await views.insert_new(
        [
            {"_id": "a", "n": 1, "tags": ["x", "y"], "text": "a spindle", "at": AT},
            {"_id": "b", "n": 2, "tags": ["x", "z"], "text": "door", "at": AT - timedelta(days=1)},
            {"_id": "c", "n": None, "tags": [], "text": None, "at": None},
            {"_id": "d"},
        ]
    )
    assert await ids(views, conditions) == list(found)
    assert await views.count(conditions, most=0) == len(found)
    assert await views.count(conditions, most=1) == min(1, len(found))


async def test_lists_are_sorted_by_several_fields_and_what_is_absent_comes_first(views: Any) -> None:
    await views.insert_new([{"_id": str(n), "x": x, "n": n} for n, x in enumerate(("b", None, "a", "b"))])
    assert await ids(views, {}, order=[("x", 1), ("n", 1)]) == ["1", "2", "0", "3"]
    assert await ids(views, {}, order=[("x", -1), ("n", -1)]) == ["3", "0", "2", "1"]
    assert await ids(views, {}, order=[("x", 1), ("n", 1)], skip=1, limit=2) == ["2", "0"]


async def test_the_fields_that_are_asked_for_come_back_as_the_database_has_them(views: Any) -> None:
    await views.insert_new([{"_id": "a", "at": AT, "raw": b"{}", "x": 1}])
    assert await views.find(Find(conditions={}, fields=("at", "raw", "none"))) == [{"_id": "a", "at": AT, "raw": b"{}"}]


class Over(Generations):
    """One generation, over the collection of a stand."""

    def __init__(self, views: Any) -> None:
        self._views = views

    def __getitem__(self, number: int) -> Generation:
        return Generation(*[self._views] * 4)

    async def standing(self) -> Standing:
        """Return that it serves."""
        return Standing()


def some_case(chance: random.Random, number: int) -> dict[str, Any]:
    created = rfc3339(AT + timedelta(seconds=chance.randrange(40)))
    closed = {"closed_at": rfc3339(AT + timedelta(days=1, seconds=number))} if chance.random() < 0.4 else {}
    assigned = {"assignees": chance.sample(["ann", "bob", "cleo"], chance.randrange(3))} if number % 7 else {}
    return state(
        f"contract-{number}",
        number=f"{20_000_000 + number}",
        title=" ".join(chance.sample(["Spindle", "door 12345", "OVEN", "x", "loud", "Spring"], 3)),
        state=chance.choice(list(State)).value,
        priority=chance.choice(list(Priority)).value,
        severity=chance.choice(list(Severity)).value,
        case_type=chance.choice(list(CaseType)).value,
        origin=chance.choice(list(Origin)).value,
        tags=chance.sample(["Night", "line 3", "audit"], chance.randrange(4)),
        machine={"serial": f"SN-{chance.randrange(4)}", "brand": chance.choice("BC")},
        created_at=created,
        updated_at=created,
        **closed,
        **assigned,
    )


def some_question(chance: random.Random) -> dict[str, Any]:
    """Return what somebody may ask: some filters at once, an order, and small pages."""
    filters: list[dict[str, Any]] = [
        {"state": [chance.choice(list(State)).value for _ in range(2)]},
        {"state_group": chance.choice(["open", "closed"])},
        {"priority": chance.choice(list(Priority)).value},
        {"severity": "critical,major"},
        {"assignee": chance.choice(["ann", "me", "none", "bob"])},
        {"assignee": ["none", "cleo"]},
        {"tag": chance.sample(["night", "Line 3", "audit"], chance.randrange(1, 3))},
        {"q": chance.choice(["spin", "sp", "DOOR oven", "x", "2345", "20000", "20000017"])},
        {"title": chance.choice(["oven x", "r 123", "loud"])},
        {"contains.brand": "b"},
        {"serial": "sn-2"},
        {"escalated": "false"},
        {"created_after": rfc3339(AT + timedelta(seconds=20))},
        {"closed_before": rfc3339(AT + timedelta(days=1, seconds=60))},
    ]
    asked = {name: value for each in chance.sample(filters, chance.randrange(3)) for name, value in each.items()}
    return asked | {
        "sort": chance.choice(["", "-"]) + chance.choice(sorted(SORTS)),
        "limit": str(chance.choice((1, 7))),
    }


async def test_whatever_is_asked_page_by_page_is_what_a_plain_reading_finds(views: Any) -> None:
    chance = random.Random(6)
    bodies = [event(some_case(chance, number)) for number in range(60)]
    documents = [view_document("acme", body, record(body).value) for body in bodies]
    await views.set_newer(documents)
    plain = MemoryViewCollection()
    await plain.set_newer(documents)
    for _ in range(QUESTIONS):
        asked, seen = some_question(chance), []
        whole = CaseQuery.parse(asked | {"limit": "100", "count": "exact"})
        wanted = await Views(Over(plain)).page(ANN, whole)
        cursor: dict[str, Any] = {}
        while True:
            page = await Views(Over(views)).page(ANN, CaseQuery.parse(asked | cursor))
            assert (page.total, page.total_exact) == (wanted.total, True)
            seen += [view.number for view in page.items]
            if page.next_cursor is None:
                break
            cursor = {"cursor": page.next_cursor}
        assert seen == [view.number for view in wanted.items], asked
