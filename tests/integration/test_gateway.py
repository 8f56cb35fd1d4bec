"""The HTTP door on the running stack: what a 2xx promises is in the topic and in the view; a refusal left nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from deploy.embedded.issuer import DevelopmentIssuer
from deploy.topic_reader import TopicReader
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def stack(gateway_stack: RunningStack) -> RunningStack:
    """Workflow and two gateway processes."""
    return gateway_stack


class Client:
    """Somebody with a token, at one of the gateway's processes."""

    def __init__(self, stack: RunningStack, *, process: int = 0, **who: Any) -> None:
        issuer = DevelopmentIssuer.of_key(Path(stack.values["CALLOUT_ISSUER_KEY"]))
        token = issuer.token(**{"tenant": "acme", "user": "ann", "role": "agent", **who})
        self.headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=stack.http_urls[process], headers=self.headers, timeout=90, verify=False)

    async def __aenter__(self) -> httpx.AsyncClient:
        return self.http

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()


@pytest.fixture
async def ann(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """An agent of acme."""
    async with Client(stack) as client:
        yield client


async def told(stack: RunningStack, topic: str) -> list[dict[str, Any]]:
    """Return the values of all records of a topic."""
    async with TopicReader(stack.bootstrap_servers, topic) as reader:
        return [orjson.loads(r.value) async for batch in reader.read(await reader.ends()) for r in batch]


async def test_a_created_case_is_in_the_topic_and_in_the_view_when_its_creator_is_answered(
    stack: RunningStack, ann: httpx.AsyncClient
) -> None:
    answer = await ann.post("/api/v1/cases", json={"title": "Noise", "severity": "major"})
    assert answer.status_code == 201, answer.text
    case = answer.json()
    assert answer.headers["Location"] == f"/api/v1/cases/{case['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert (await ann.get(answer.headers["Location"])).json() == case | {"flags": case["flags"]}
    [event] = [e for e in await told(stack, "case.events.v1") if e["case_id"] == case["id"]]
    assert event["actor"] == {"id": "ann", "role": "agent", "tenant_id": "acme"}
    assert event["case"] == {name: value for name, value in case.items() if name not in {"flags", "columns"}}


async def new_case(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Create a case and return it."""
    answer = await http.post("/api/v1/cases", json={"title": "Noise", **fields})
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    return case


def command(case: dict[str, Any], name: str) -> str:
    """Return the path of a command to a case."""
    return f"/api/v1/cases/{case['id']}/commands/{name}"


async def test_a_refusal_has_its_code_and_leaves_nothing(stack: RunningStack, ann: httpx.AsyncClient) -> None:
    case = await new_case(ann)
    started = await ann.post(command(case, "start"))
    assert (started.status_code, started.json()["assignees"], started.headers["ETag"]) == (200, ["ann"], '"2"')
    refused = await ann.post(command(case, "start"))
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "invalid_transition"
    assert "resolve" in refused.json()["allowed"]
    assert (await ann.get(f"/api/v1/cases/{case['number']}")).json()["version"] == 2
    events = [e["seq"] for e in await told(stack, "case.events.v1") if e["case_id"] == case["id"]]
    assert events == [1, 2]


async def test_a_body_that_breaks_the_grammar_is_refused_by_field_and_never_sent(
    stack: RunningStack,
) -> None:
    async def sent() -> int:  # other commands come and go by themselves
        return sum(each.get("tenant_id") == "grammar" for each in await told(stack, "case.commands.v1"))

    async with Client(stack, tenant="grammar") as ann:
        case = await new_case(ann)
        before = await sent()
        await breaks_the_grammar(ann, case)
    assert await sent() == before == 1


async def breaks_the_grammar(ann: httpx.AsyncClient, case: dict[str, Any]) -> None:
    for path, body, fields in [
        ("/api/v1/cases", {"title": "x", "titel": "y", "machine": {"sn": "1"}}, ["titel", "machine.sn"]),
        ("/api/v1/cases", {"title": "", "severity": "awful"}, ["title", "severity"]),
        ("/api/v1/cases", {"title": "x", "fallback_title": "y"}, ["fallback_title"]),
        (command(case, "assign"), {}, ["assignee"]),
        (command(case, "start"), {"tenant_id": "other"}, ["tenant_id"]),
        (command(case, "resolve"), {"actor": {"id": "eve"}, "expected_version": 1}, ["actor", "expected_version"]),
        (command(case, "tag"), {"tags": [5]}, ["tags.0"]),
    ]:
        answer = await ann.post(path, json=body)
        assert answer.status_code == 400, (path, answer.text)
        told_fields = {fault["field"] for fault in answer.json()["fields"]}
        assert set(fields) <= told_fields | {field.split(".")[0] for field in told_fields}, answer.text
    for text, media, status in [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"a", "text/plain", 415),
    ]:
        answer = await ann.post("/api/v1/cases", content=text, headers={"Content-Type": media})
        assert answer.status_code == status
    large = {"title": "x", "description": "y" * 300_000}
    assert (await ann.post("/api/v1/cases", json=large)).status_code == 413
    chunks = ann.post("/api/v1/cases", content=_chunks(300), headers={"Content-Type": "application/json"})
    assert (await chunks).status_code == 413


async def _chunks(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield b" " * 1024


async def test_a_command_may_be_made_conditional_on_what_was_read(ann: httpx.AsyncClient) -> None:
    case = await new_case(ann)
    tagged = await ann.post(command(case, "tag"), json={"tags": ["hot"]}, headers={"If-Match": '"1"'})
    assert (tagged.status_code, tagged.headers["ETag"]) == (200, '"2"')
    late = await ann.post(command(case, "tag"), json={"tags": ["cold"]}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "version_conflict")
    assert (await ann.post(command(case, "start"), headers={"If-Match": "2"})).status_code == 400
    assert (await ann.get(f"/api/v1/cases/{case['id']}")).json()["tags"] == ["hot"]


async def test_a_key_makes_one_command_of_many_requests_at_any_process(
    stack: RunningStack, ann: httpx.AsyncClient
) -> None:
    async with Client(stack, process=1) as other, Client(stack, process=1, user="bob") as bob:
        key, once, twice = {"Idempotency-Key": "order-1"}, f"Once {uuid4()}", f"Twice {uuid4()}"
        doors = (ann, other, ann, other)
        answers = await asyncio.gather(*(d.post("/api/v1/cases", json={"title": once}, headers=key) for d in doors))
        assert [answer.status_code for answer in answers] == [201] * 4
        [case_id] = {answer.json()["id"] for answer in answers}
        again = await other.post("/api/v1/cases", json={"title": once}, headers=key)
        assert again.json()["id"] == case_id
        changed = await other.post("/api/v1/cases", json={"title": twice}, headers=key)
        assert (changed.status_code, changed.json()["code"]) == (409, "idempotency_conflict")
        assert (await bob.post("/api/v1/cases", json={"title": once}, headers=key)).json()["id"] != case_id
    created = [e for e in await told(stack, "case.events.v1") if e["case"]["title"] in {once, twice}]
    assert len(created) == 2


async def test_what_one_process_answered_every_other_shows(stack: RunningStack, ann: httpx.AsyncClient) -> None:
    async with Client(stack, process=1) as other:
        for _ in range(10):
            case = await new_case(ann)
            assert (await other.get(f"/api/v1/cases/{case['id']}")).json()["version"] == 1
            assert (await other.post(command(case, "start"))).status_code == 200
            assert (await ann.get(f"/api/v1/cases/{case['id']}")).json()["state"] == "IN_PROGRESS"
            found = await ann.get("/api/v1/cases", params={"sort": "-number", "limit": 1, "state": "IN_PROGRESS"})
            assert found.json()["items"][0]["id"] == case["id"]


async def test_what_is_not_known_in_time_is_answered_with_a_place_to_ask(
    stack: RunningStack, ann: httpx.AsyncClient
) -> None:
    case = await new_case(ann)
    workflow = stack.kill("workflow", number=signal.SIGSTOP)
    try:
        answer = await ann.post(command(case, "start"))
        assert (answer.status_code, answer.json()["status"]) == (202, "pending"), answer.text
        place = answer.headers["Location"]
        async with Client(stack, process=1) as other, Client(stack, tenant="other") as stranger:
            assert (await other.get(place)).json()["status"] == "pending"
            assert (await stranger.get(place)).status_code == 404
            os.kill(workflow, signal.SIGCONT)
            while (status := (await other.get(place)).json())["status"] == "pending":
                await asyncio.sleep(0.1)
            assert (status["status"], status["version"], status["case_id"]) == ("accepted", 2, case["id"])
            assert (await stranger.get(place)).status_code == 404
    finally:
        os.kill(workflow, signal.SIGCONT)
    # It has its partitions again: who comes next is to find it at work.
    [url] = stack.health_urls["workflow"]
    await asyncio.to_thread(wait_until, lambda: httpx.get(f"{url}/readyz", timeout=60).status_code == 200)


async def test_a_deleted_case_is_gone_and_its_history_stays(stack: RunningStack, ann: httpx.AsyncClient) -> None:
    case = await new_case(ann)
    async with (
        Client(stack, role="dispatcher", user="dora") as plain,
        Client(stack, role="dispatcher", user="dora", scopes=["case:delete"]) as dora,
    ):
        assert (await plain.post(command(case, "delete"))).json()["code"] == "forbidden"
        deleted = await dora.post(command(case, "delete"))
        assert (deleted.status_code, deleted.content) == (204, b"")
        for answer in (await dora.get(f"/api/v1/cases/{case['id']}"), await ann.post(command(case, "start"))):
            assert (answer.status_code, answer.json()["code"]) == (410, "deleted")
        history = await dora.get(f"/api/v1/cases/{case['id']}/history")
        assert [entry["type"] for entry in history.json()["items"]] == [
            "callout.case.created.v1",
            "callout.case.deleted.v1",
        ]


async def test_history_and_the_past_are_as_they_were_published(stack: RunningStack, ann: httpx.AsyncClient) -> None:
    case = await new_case(ann)
    started = (await ann.post(command(case, "start"))).json()
    noted = (await ann.post(f"/api/v1/cases/{case['id']}/notes", json={"text": "On my way."})).json()
    events = [e for e in await told(stack, "case.events.v1") if e["case_id"] == case["id"]]
    history = (await ann.get(f"/api/v1/cases/{case['number']}/history")).json()
    assert [entry["data"] for entry in history["items"]] == events
    assert events[-1]["change"]["note"]["id"] == noted["note_id"]
    page = (await ann.get(f"/api/v1/cases/{case['id']}/history", params={"limit": 2})).json()
    rest = await ann.get(f"/api/v1/cases/{case['id']}/history", params={"after_seq": page["next_after_seq"]})
    assert page["items"] + rest.json()["items"] == history["items"]
    past = await ann.get(f"/api/v1/cases/{case['id']}", params={"as_of": started["updated_at"]})
    [raw] = [r for r in await raw_values(stack) if f'"case_id":"{case["id"]}"' in r and '"seq":2,"at"' in r]
    assert past.text == raw[raw.rindex(',"case":') + len(',"case":') : -1]
    before = await ann.get(f"/api/v1/cases/{case['id']}", params={"as_of": "2020-01-01T00:00:00Z"})
    assert before.status_code == 404


async def raw_values(stack: RunningStack) -> list[str]:
    """Return the values of all case events as they lie there."""
    async with TopicReader(stack.bootstrap_servers, "case.events.v1") as reader:
        return [r.value.decode() async for batch in reader.read(await reader.ends()) for r in batch]


async def test_one_command_goes_to_many_cases_and_each_has_its_own_outcome(
    stack: RunningStack, ann: httpx.AsyncClient
) -> None:
    cases = [await new_case(ann, tags=["bulk"]) for _ in range(3)]
    await ann.post(command(cases[0], "start"))
    async with Client(stack, tenant="other") as stranger:
        foreign = await new_case(stranger)
    names = [*(case["number"] for case in cases), foreign["id"]]
    answer = await ann.post("/api/v1/cases/commands/start", json={"cases": names})
    assert answer.status_code == 207
    codes = [item.get("problem", {}).get("code") for item in answer.json()["items"]]
    assert codes == ["invalid_transition", None, None, "not_found"]
    assert (answer.json()["accepted"], answer.json()["refused"]) == (2, 2)
    tagged = await ann.post(
        "/api/v1/cases/commands/tag", json={"filter": {"tag": "bulk"}, "arguments": {"tags": ["done"]}}
    )
    assert {item["case"] for item in tagged.json()["items"]} == {case["id"] for case in cases}
    assert (await ann.get("/api/v1/cases", params={"tag": "done"})).json()["total"] == 3
    for body in ({}, {"cases": []}, {"cases": ["1"], "filter": {}}, {"cases": ["1", "1"]}, {"case": ["1"]}):
        assert (await ann.post("/api/v1/cases/commands/start", json=body)).status_code == 400


async def test_lists_are_downloaded_in_the_columns_that_one_chose(stack: RunningStack) -> None:
    async with Client(stack, tenant="csv", user="carl") as carl:
        cases = [await new_case(carl, title=title) for title in ("First", '=SUM("x")')]
        chosen = await carl.put("/api/v1/preferences/cases", json={"columns": ["number", "title"]})
        assert chosen.json() == {"columns": ["number", "title"], "filters": {}}
        answer = await carl.get("/api/v1/cases/export.csv", params={"sort": "number"})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.text.splitlines() == [
            "number,title",
            f"{cases[0]['number']},First",
            f"{cases[1]['number']}," + '"\'=SUM(""x"")"',
        ]
        assert (await carl.put("/api/v1/preferences/cases", json={"columns": ["nothing"]})).status_code == 400
        factory = (await carl.delete("/api/v1/preferences/cases")).json()
        assert len(factory["columns"]) == 17
        assert (await carl.get("/api/v1/preferences/cases")).json() == factory


async def test_a_contact_has_only_the_own_cases_and_no_internal_notes(
    stack: RunningStack, ann: httpx.AsyncClient
) -> None:
    hers = await new_case(ann)
    async with Client(stack, role="contact", user="carla") as carla:
        own = await new_case(carla)
        await ann.post(command(own, "add_note"), json={"text": "Secret.", "visibility": "internal"})
        await ann.post(command(own, "add_note"), json={"text": "Hello."})
        assert [case["id"] for case in (await carla.get("/api/v1/cases")).json()["items"]] == [own["id"]]
        assert (await carla.get(f"/api/v1/cases/{hers['id']}")).status_code == 404
        assert (await carla.post(command(hers, "cancel"), json={"reason": "mine"})).status_code == 404
        assert "Secret." not in (history := (await carla.get(f"/api/v1/cases/{own['id']}/history")).text)
        assert "Hello." in history


@pytest.mark.seed("S2.1", "S2.8", "S2.9", "S2.10", "S2.11", "S2.12", "S2.13")
async def test_a_program_of_django_crm_finds_its_api(stack: RunningStack, ann: httpx.AsyncClient) -> None:
    cases, header = "/compat/django-crm/api/cases/", {"organization-id": "acme"}
    created = await ann.post(cases, headers=header, json={"name": "Login issues", "priority": "High", "teams": ["t-1"]})
    assert created.status_code == 201, created.text
    case = created.json()
    put = await ann.put(f"{cases}{case['id']}/", headers=header, json={"status": "On Hold", "assigned_to": ["ann"]})
    assert put.json() == case | {"status": "On Hold", "assigned_to": ["ann"]}
    commented = (await ann.post(f"{cases}{case['id']}/", files={"comment": (None, "Frist")})).json()
    (comment,) = commented["comments"]
    edited = await ann.put(f"{cases}comment/{comment['id']}/", json={"comment": "First"})
    assert edited.json() == comment | {"comment": "First"}
    detail = (await ann.get(f"{cases}{case['id']}/", headers=header)).json()
    assert (detail["case_obj"], detail["comments"]) == (put.json(), [edited.json()])
    listed = (await ann.get(cases, headers=header, params={"name": "login iss", "status": "On Hold"})).json()
    assert (listed["count"], [each["id"] for each in listed["results"]]) == (1, [case["id"]])
    native = (await ann.get(f"/api/v1/cases/{case['id']}")).json()
    assert (native["state"], native["priority"]) == ("ON_HOLD", "high")
    async with Client(stack, user="dan", role="dispatcher", scopes=["case:delete"]) as dan:
        assert (await dan.delete(f"{cases}{case['id']}/", headers=header)).status_code == 204
    assert (await ann.get(f"{cases}{case['id']}/")).status_code == 410


@pytest.mark.seed("S4.1", "S4.12", "S4.14", "S4.21", "S4.23", "S4.24")
async def test_a_program_of_equinix_finds_its_api(stack: RunningStack) -> None:
    cases = "/compat/equinix/v2/cases"
    async with Client(stack, user="olga", role="operator") as olga:
        body = {"code": "0002-0000", "description": "No power", "primaryId": "CAGE-7"}
        created = await olga.post(cases, json=body)
        assert (created.status_code, created.json()["type"]) == (200, "TROUBLE")
        number = created.json()["id"]
        noted = (await olga.post(f"{cases}/{number}/notes", json={"text": "Still dark"})).json()["result"]
        history = (await olga.get(f"/api/v1/cases/{number}/history")).json()["items"]
        assert history[-1]["data"]["change"]["note"]["id"] == noted["CaseNotesId"]
        cancelled = (await olga.post(f"{cases}/{number}/cancel", json={"reason": "It is back"})).json()["result"]
        assert (cancelled["CaseId"], cancelled["CaseNumber"]) == (noted["CaseId"], number)
        case = (await olga.get(f"{cases}/{number}")).json()
        assert (case["status"], case["otherDetails"]["category"]) == ("CANCELLED", "Power")
        assert (await olga.get(f"{cases}/99999999")).status_code == 400
