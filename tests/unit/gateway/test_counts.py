"""Cases are counted by their kinds: as lists find them, for who may see them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.gateway import store
from services.gateway.domain.query import WORDS_OF, Grouping
from services.gateway.http.app import make_app
from tests.unit.gateway.rooms import MemoryRooms

COUNTS = "/api/v1/cases/counts"
CASES = [
    {"title": "Noise", "case_type": "damage", "severity": "major"},
    {"title": "Smoke", "case_type": "damage", "severity": "critical"},
    {"title": "A shorter way", "case_type": "improvement", "severity": "info"},
]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(MemoryRooms().doors()))
    async with httpx.AsyncClient(transport=transport, base_url="http://callout", headers=as_()) as client:
        for case in CASES:
            assert (await client.post("/api/v1/cases", json=case)).status_code == 201
        yield client


def as_(user: str = "ann", role: str = "agent", tenant: str = "acme") -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant}/{user}/{role}"}


async def counted(http: httpx.AsyncClient, headers: dict[str, str] | None = None, **asked: str) -> dict[str, int]:
    answer = await http.get(COUNTS, params=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["by"] == asked.get("by", "state")
    assert all(each["total_exact"] for each in told["items"])
    return {each["value"]: each["total"] for each in told["items"]}


@pytest.mark.seed("S0.3")
async def test_cases_are_counted_by_type_also_where_there_are_none(http: httpx.AsyncClient) -> None:
    found = await counted(http, by="case_type")
    assert list(found) == list(WORDS_OF[Grouping.CASE_TYPE])
    assert {word: total for word, total in found.items() if total} == {"damage": 2, "improvement": 1}


@pytest.mark.parametrize("by", Grouping)
async def test_the_counts_of_a_list_add_up_to_it(http: httpx.AsyncClient, by: Grouping) -> None:
    for filters in ({}, {"q": "noise"}, {"severity": "major,info"}):
        listed = (await http.get("/api/v1/cases", params=filters)).json()["total"]
        assert sum((await counted(http, by=by.value, **filters)).values()) == listed


async def test_filters_hold_also_of_what_is_told_apart(http: httpx.AsyncClient) -> None:
    assert await counted(http, by="case_type", case_type="damage,technical", severity="major") == {
        "technical": 0,
        "damage": 1,
    }
    assert await counted(http) == {word: 3 if word == "NEW" else 0 for word in WORDS_OF[Grouping.STATE]}


async def test_what_one_may_not_see_is_not_counted(http: httpx.AsyncClient) -> None:
    for who in (as_(tenant="other"), as_("carla", "contact")):
        assert set((await counted(http, who, by="case_type")).values()) == {0}


async def test_more_than_are_counted_is_told_as_such_unless_it_is_asked_exactly(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COUNTED_MAX", 1)
    asked = {"by": "case_type", "case_type": "damage,improvement"}
    for count, told in (("bounded", (1, False)), ("exact", (2, True))):
        items = {
            each["value"]: each for each in (await http.get(COUNTS, params={**asked, "count": count})).json()["items"]
        }
        assert (items["damage"]["total"], items["damage"]["total_exact"]) == told
        assert (items["improvement"]["total"], items["improvement"]["total_exact"]) == (1, True)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"by": "title"}, "by"),
        ({"sort": "number"}, "sort"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "5"}, "limit"),
        ({"count": "none"}, "count"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_no_count_has_is_refused_by_name(http: httpx.AsyncClient, asked: dict[str, str], field: str) -> None:
    answer = await http.get(COUNTS, params=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert [fault["field"] for fault in answer.json()["fields"]] == [field]
