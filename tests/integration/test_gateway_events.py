"""Server-sent events: what happens is told once, in order, to those who may know, also to who comes back."""

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from services.gateway.http.stream import STALLED_SECONDS
from tests.integration.test_gateway import Client, command, new_case
from tests.stack import RunningStack, wait_until
from tests.view_parts import Publisher, eventually, fresh

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
    async with asyncio.timeout(90), http.stream("GET", "/api/v1/events", headers=headers, params=params) as answer:
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
        async with asyncio.timeout(90), http.stream("GET", "/api/v1/events") as answer:
            async for piece in events(answer):
                if piece.get("event") == "position" and not place:
                    place = piece["id"]
                    gateway_stack.kill("gateway", worker=1, number=signal.SIGTERM)
                last = piece
        assert last == {"retry": "2000"}
        case = await new_case(steady)  # the other process serves meanwhile
        await asyncio.to_thread(gateway_stack.wait_for_restart, "gateway", dead)
        await asyncio.to_thread(wait_until, lambda: _answers(gateway_stack.http_urls[1]))
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
        await asyncio.to_thread(wait_until, lambda: _answers(gateway_stack.http_urls[0]))
        while (await http.get(f"/api/v1/cases/{cases[2]['id']}")).json()["state"] != "IN_PROGRESS":
            await asyncio.sleep(0.1)


@pytest.mark.seed("S1.7", "S1.13")
async def test_a_counterpart_is_told_of_the_cases_shared_with_it_as_its_topic_tells_them_and_of_nothing_else(
    gateway_stack: RunningStack, tmp_path: Path
) -> None:
    maker, owner = f"maker-{uuid4().hex[:6]}", f"owner-{uuid4().hex[:6]}"
    async with Client(gateway_stack, tenant=owner) as http, Client(gateway_stack, tenant=maker) as other:
        [start] = await take(other, 0)  # before its topic is there

        async def work() -> None:
            file = tmp_path / "config.json"
            file.write_text(json.dumps({"tenant": owner, "counterpart": {maker: {}}}))
            done = await asyncio.to_thread(gateway_stack.callout, "config", "apply", str(file))
            assert done.code == 0, done.stdout + done.stderr
            shared = await new_case(http, visibility="shared", counterpart_tenant_id=maker, priority="blocker")
            internal = await new_case(http)
            for case in (shared, internal):
                await http.post(command(case, "add_note"), json={"text": "psst", "visibility": "internal"})
                assert (await http.post(command(case, "start"))).status_code == 200
            await eventually(lambda: _is_seen(other, shared))
            told = await other.post(command(shared, "add_note"), json={"text": "Mine.", "visibility": "external"})
            assert (told.status_code, told.json()["version"]) == (200, 4)

        live = await take(other, 3, work, last=start["place"])
        assert [event["name"] for event in live] == ["created", "started", "note_added"]
        assert len({event["data"]["case_id"] for event in live}) == 1
        assert not any({"priority", "assignees"} & event["data"]["case"].keys() for event in live)
        assert "psst" not in json.dumps(live)
        again = await take(other, 3, last=start["place"])
        assert [event["id"] for event in again] == [event["id"] for event in live]
        [last] = await take(other, 1, last=live[1]["place"])
        assert last["id"] == live[2]["id"]
        mine = await new_case(other)
        [own] = await take(other, 1, last=live[2]["place"])
        assert (own["name"], own["data"]["case_id"]) == ("created", mine["id"])


async def _is_seen(http: httpx.AsyncClient, case: dict[str, Any]) -> bool:
    return (await http.get(f"/api/v1/cases/{case['id']}")).status_code == 200


async def test_who_takes_nothing_costs_only_themselves_and_loses_nothing(gateway_stack: RunningStack) -> None:
    tenant, count = f"slow-{uuid4().hex[:6]}", 800
    slow = Client(gateway_stack, tenant=tenant)
    reader, writer = await stalled(gateway_stack, slow.headers)
    text = b""
    while b"event: position" not in text:
        text += await reader.read(100)
    gateway = psutil.Process(gateway_stack.pids["gateway"][0])
    before = gateway.memory_info().rss
    async with Publisher(gateway_stack.bootstrap_servers) as publish, Client(gateway_stack, tenant="quick") as quick:

        async def make() -> None:
            await publish(*(fresh(n, tenant_id=tenant, description="x" * 20_000) for n in range(count)))
            await new_case(quick)

        began = time.monotonic()
        [seen] = await take(quick, 1, make)
        assert seen["name"] == "created"
        assert time.monotonic() - began < STALLED_SECONDS
        assert gateway.memory_info().rss - before < 60e6
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
        text += await asyncio.wait_for(reader.read(), 90)  # what the network held, then the end
        writer.close()
        assert text.rstrip().endswith(b"retry: 2000\n\n\r\n0"), text[-80:]
        ids = re.findall(rb"^id: (.*)\nevent: updated$", text, re.MULTILINE)
        assert 0 < len(ids) < count
        async with slow as http:
            rest = await take(http, count - len(ids), last=ids[-1].decode())
        assert len({event["id"] for event in rest}) == count - len(ids)


async def stalled(stack: RunningStack, headers: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Follow over a connection that holds little, and of which nothing is taken by itself."""
    url = httpx.URL(stack.http_urls[0])
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (url.host, url.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=64 * 1024)
    lines = [
        "GET /api/v1/events HTTP/1.1",
        f"Host: {url.host}",
        "Connection: close",
        *(f"{n}: {v}" for n, v in headers.items()),
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode())
    return reader, writer


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/cases").status_code == 401
    except httpx.HTTPError:
        return False
