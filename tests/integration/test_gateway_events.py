"""Server-sent events: what happens is told once, in order, to those who may know, also to who comes back."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.integration.test_gateway import Client, command, new_case
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Yield what comes, each piece as its fields."""
    piece: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, text = line.partition(": ")
            piece[name] = text
        elif piece:
            yield piece
            piece = {}


async def take(
    http: httpx.AsyncClient, number: int, do: Callable[[], Any] | None = None, last: str | None = None, **params: str
) -> list[dict[str, Any]]:
    """Follow, do something once one follows, and return so many events with their places."""
    headers = {} if last is None else {"Last-Event-ID": last}
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30), http.stream("GET", "/api/v1/events", headers=headers, params=params) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for piece in events(answer):
            if piece["event"] == "position":
                if do is not None:
                    await do()
                    do = None
                if not number:
                    return [{"place": piece["id"]}]
                continue
            found.append({"place": piece["id"], "name": piece["event"], **json.loads(piece["data"])})
            if len(found) == number:
                return found
    raise AssertionError("the stream ended")


async def test_who_follows_is_told_and_who_comes_back_misses_nothing(gateway_stack: RunningStack) -> None:
    async with Client(gateway_stack, tenant="sse") as http, Client(gateway_stack, tenant="sse", process=1) as other:
        made: list[dict[str, Any]] = []

        async def make() -> None:
            made.append(await new_case(http))
            await http.post(command(made[0], "start"))

        first = await take(http, 2, make)
        assert [event["name"] for event in first] == ["created", "started"]
        assert [event["data"]["case_id"] for event in first] == [made[0]["id"]] * 2
        again = [await new_case(http) for _ in range(5)]
        missed = await take(other, 5, last=first[1]["place"])
        assert sorted(event["data"]["case_id"] for event in missed) == sorted(case["id"] for case in again)
        between = await take(other, 6, last=first[0]["place"])
        assert between[0]["name"] == "started" or {event["name"] for event in between} == {"started", "created"}
        assert len({event["id"] for event in between}) == 6


async def test_only_what_was_asked_for_and_may_be_known_is_told(gateway_stack: RunningStack) -> None:
    async with Client(gateway_stack, tenant="sse2") as http, Client(gateway_stack, tenant="sse3") as stranger:
        [start] = await take(http, 0)
        mine, other = await new_case(http), await new_case(http)
        foreign = await new_case(stranger)
        for case, by in ((mine, http), (other, http), (foreign, stranger)):
            await by.post(command(case, "start"))
        told = await take(http, 4, last=start["place"])
        assert {event["data"]["case_id"] for event in told} == {mine["id"], other["id"]}
        [started] = await take(http, 1, last=start["place"], case=mine["number"], type="started")
        assert (started["name"], started["data"]["case_id"]) == ("started", mine["id"])
        for params, headers in (
            ({"type": "nonsense"}, {}),
            ({}, {"Last-Event-ID": "x"}),
            ({}, {"Last-Event-ID": "99:1"}),
        ):
            answer = await http.get("/api/v1/events", params=params, headers=headers)
            assert answer.status_code == 400


async def test_a_process_that_ends_tells_when_to_come_back_and_its_heir_goes_on(gateway_stack: RunningStack) -> None:
    async with Client(gateway_stack, tenant="sse4", process=1) as http, Client(gateway_stack, tenant="sse4") as steady:
        dead, place = gateway_stack.pids["gateway"][1], ""
        async with asyncio.timeout(30), http.stream("GET", "/api/v1/events") as answer:
            async for piece in events(answer):
                if piece.get("event") == "position":
                    place = piece["id"]
                    gateway_stack.kill("gateway", worker=1, number=signal.SIGTERM)
                last = piece
        assert last == {"retry": "2000"}
        case = await new_case(steady)  # the other process serves meanwhile
        await asyncio.to_thread(gateway_stack.wait_for_restart, "gateway", dead)
        await asyncio.to_thread(wait_until, lambda: _answers(gateway_stack.http_urls[1]), seconds=30)
        [missed] = await take(http, 1, last=place)
        assert missed["data"]["case_id"] == case["id"]


async def test_a_killed_process_takes_nothing_with_it(gateway_stack: RunningStack) -> None:
    async with Client(gateway_stack, process=0) as http, Client(gateway_stack, process=1) as other:
        cases = [await new_case(http) for _ in range(3)]
        dead = gateway_stack.kill("gateway")
        for case in cases:
            assert (await other.post(command(case, "start"))).status_code in {200, 202}
        assert (await other.get(f"/api/v1/cases/{cases[0]['id']}")).status_code == 200
        await asyncio.to_thread(gateway_stack.wait_for_restart, "gateway", dead)
        await asyncio.to_thread(wait_until, lambda: _answers(gateway_stack.http_urls[0]), seconds=30)
        while (await http.get(f"/api/v1/cases/{cases[2]['id']}")).json()["state"] != "IN_PROGRESS":
            await asyncio.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/cases").status_code == 401
    except httpx.HTTPError:
        return False
