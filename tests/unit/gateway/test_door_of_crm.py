"""The door of Django-CRM, by a client that is written from its description alone."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from services.gateway.http.app import make_app
from tests.unit.gateway.rooms import MemoryRooms

TENANT = "0a1b2c3d-0000-4000-8000-000000000001"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
USER, TEAM, ACCOUNT = (f"{digit}0000000-0000-4000-8000-000000000000" for digit in "234")
CASES = "/compat/django-crm/api/cases/"
FIELDS_OF_ITEMS = {
    "id",
    "name",
    "status",
    "priority",
    "case_type",
    "account",
    "contacts",
    "created_on",
    "closed_on",
    "assigned_to",
    "teams",
}


@pytest.fixture
def rooms() -> MemoryRooms:
    return MemoryRooms()


@pytest.fixture
async def crm(rooms: MemoryRooms) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(rooms.doors()))
    async with httpx.AsyncClient(transport=transport, base_url="http://callout", headers=as_("agent")) as client:
        yield client


def as_(role: str, tenant: str = TENANT, user: str = USER, *scopes: str) -> dict[str, str]:
    return {"Authorization": "Bearer " + "/".join((tenant, user, role, *scopes)), "organization-id": tenant}


DISPATCHER = as_("dispatcher", TENANT, USER, "case:delete")


async def make(crm: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await crm.post(CASES, json={"name": "Login issues"} | fields)
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def names(crm: httpx.AsyncClient, **filters: str) -> list[str]:
    answer = await crm.get(CASES, params=filters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == len(answer.json()["results"])
    return sorted(case["name"] for case in answer.json()["results"])


@pytest.mark.seed("S2.7", "S2.8", "S2.23", "S2.24")
async def test_a_case_is_created_with_all_it_hangs_on(crm: httpx.AsyncClient) -> None:
    given = {
        "name": "Login issues",
        "status": "In Progress",
        "priority": "High",
        "case_type": "Bug Report",
        "account": ACCOUNT,
        "contacts": [USER],
        "assigned_to": [USER],
        "teams": [TEAM],
    }
    case = await make(crm, **given)
    assert {name: case[name] for name in given} == given
    assert (case["org"], case["created_by"]) == (TENANT, USER)
    assert case["created_on"] == "2026-01-02T09:00:01Z"
    assert len(case["id"]) == 36


@pytest.mark.seed("S2.1", "S2.2", "S2.3")
async def test_a_list_has_ten_cases_a_page_and_its_links_lead_through_all_of_them(crm: httpx.AsyncClient) -> None:
    for number in range(23):
        await make(crm, name=f"Case {number}", priority="High")
    seen, link, pages = [], f"{CASES}?priority=High", 0
    while link:
        assert not urlsplit(link).netloc
        page = (await crm.get(link)).json()
        assert page["count"] == 23
        assert set(page["results"][0]) == FIELDS_OF_ITEMS
        seen += [case["name"] for case in page["results"]]
        link, pages = page["next"], pages + 1
    assert (pages, seen) == (3, [f"Case {number}" for number in reversed(range(23))])
    last = (await crm.get(CASES, params={"limit": "5", "offset": "20"})).json()
    assert (len(last["results"]), last["next"]) == (3, None)
    assert dict(parse_qsl(urlsplit(last["previous"]).query)) == {"limit": "5", "offset": "15"}


@pytest.mark.seed("S2.1", "S2.5", "S2.6", "S1.3")
async def test_lists_are_filtered_by_each_field_and_by_open_or_closed(crm: httpx.AsyncClient) -> None:
    await make(crm, name="Login issues", case_type="Billing", account=ACCOUNT, assigned_to=[USER])
    await make(crm, name="Wrong invoice", priority="Critical", status="Closed")
    await make(crm, name="LOGIN again", status="On Hold")
    assert await names(crm, name="login") == ["LOGIN again", "Login issues"]
    assert await names(crm, name="in is") == ["Login issues"]
    assert await names(crm, status="on hold") == ["LOGIN again"]
    assert await names(crm, priority="Critical") == ["Wrong invoice"]
    assert await names(crm, case_type="Billing") == ["Login issues"]
    assert await names(crm, assigned_to=USER, status="New") == ["Login issues"]
    assert await names(crm, account=ACCOUNT) == ["Login issues"]
    assert await names(crm, state_group="open") == ["LOGIN again", "Login issues"]
    assert await names(crm, state_group="closed") == ["Wrong invoice"]
    assert await names(crm, name="nothing") == []


async def test_a_filter_by_a_word_that_is_not_known_is_told(crm: httpx.AsyncClient) -> None:
    answer = await crm.get(CASES, params={"status": "Opne", "priority": "Urgent"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"status", "priority"}


@pytest.mark.seed("S2.9", "S2.20", "S2.21")
async def test_a_case_is_read_with_its_comments_files_and_people(crm: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    rooms.set(TENANT, "user", "ben", {"roles": ["agent"], "email": "ben@example.org", "name": "Ben"})
    case = await make(crm, assigned_to=["ben"], teams=[TEAM])
    reference = {"id": "f-1", "name": "log.txt"}
    added = await crm.post(f"{CASES}{case['id']}/", json={"comment": "Ask @ben.", "attachments": [reference]})
    assert added.status_code == 200
    detail = (await crm.get(f"{CASES}{case['id']}/")).json()
    assert detail == added.json()
    assert set(detail) == {"case_obj", "assigned_to", "teams", "comments", "attachments", "users_mention"}
    assert detail["case_obj"] == case
    assert detail["assigned_to"] == [{"id": "ben", "username": "ben", "email": "ben@example.org", "name": "Ben"}]
    assert detail["users_mention"] == detail["assigned_to"]
    assert detail["teams"] == [{"id": TEAM, "name": TEAM}]
    (comment,), (file,) = detail["comments"], detail["attachments"]
    told = {"comment": "Ask @ben.", "case": case["id"], "commented_on": "2026-01-02T09:00:02Z", "commented_by": USER}
    assert comment == told | {"id": comment["id"]}
    assert file == {
        "id": "f-1",
        "attachment": "/api/v1/attachments/f-1/content",
        "file_name": "log.txt",
        "case": case["id"],
        "created_on": "2026-01-02T09:00:02Z",
        "created_by": USER,
    }


@pytest.mark.seed("S2.10")
async def test_fields_that_are_put_change_and_others_stay(crm: httpx.AsyncClient) -> None:
    case = await make(crm, priority="High", assigned_to=[USER])
    put = await crm.put(f"{CASES}{case['id']}/", json={"name": "Solved", "status": "Closed"})
    assert put.status_code == 200
    assert put.json() == case | {"name": "Solved", "status": "Closed", "closed_on": "2026-01-02T09:00:03Z"}
    again = await crm.put(f"{CASES}{case['id']}/", json={"status": "In Progress"})
    assert again.json() == case | {"name": "Solved", "status": "In Progress"}


@pytest.mark.seed("S2.10")
async def test_a_client_may_say_when_a_case_was_closed_within_its_life(crm: httpx.AsyncClient, rooms: Any) -> None:
    case = await make(crm)
    rooms.pass_time(hours=2)
    for wrong in ("2026-01-02T08:59:59Z", "2026-01-02T12:00:00Z", "soon"):
        answer = await crm.put(f"{CASES}{case['id']}/", json={"status": "Closed", "closed_on": wrong})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["closed_on"])
    answer = await crm.put(f"{CASES}{case['id']}/", json={"closed_on": "2026-01-02T10:00:00Z"})
    assert answer.status_code == 400
    answer = await crm.put(f"{CASES}{case['id']}/", json={"status": "Closed", "closed_on": "2026-01-02T10:00:00Z"})
    assert answer.json()["closed_on"] == "2026-01-02T10:00:00Z"
    assert (await crm.get(f"{CASES}{case['id']}/")).json()["case_obj"] == answer.json()


@pytest.mark.seed("S2.13", "S2.14", "S2.15")
async def test_comments_are_edited_and_deleted_and_files_taken_out_by_their_ids_alone(crm: httpx.AsyncClient) -> None:
    case = await make(crm)
    await crm.post(
        f"{CASES}{case['id']}/", json={"attachments": [{"id": "f-1", "name": "a"}, {"id": "f-2", "name": "b"}]}
    )
    added = (await crm.post(f"{CASES}{case['id']}/", data={"comment": "Frist"})).json()
    (comment,) = added["comments"]
    bearer = {"organization-id": ""}
    edited = await crm.put(f"{CASES}comment/{comment['id']}/", json={"comment": "First"}, headers=bearer | as_("agent"))
    assert (edited.status_code, edited.json()) == (200, comment | {"comment": "First"})
    assert (await crm.delete(f"{CASES}attachment/f-1/")).status_code == 204
    detail = (await crm.get(f"{CASES}{case['id']}/")).json()
    assert ([each["comment"] for each in detail["comments"]], [f["id"] for f in detail["attachments"]]) == (
        ["First"],
        ["f-2"],
    )
    deleted = await crm.delete(f"{CASES}comment/{comment['id']}/")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await crm.get(f"{CASES}{case['id']}/")).json()["comments"] == []


@pytest.mark.seed("S2.11")
async def test_a_deleted_case_is_gone_from_lists_and_says_so(crm: httpx.AsyncClient) -> None:
    case = await make(crm)
    assert (await crm.delete(f"{CASES}{case['id']}/")).status_code == 403
    deleted = await crm.delete(f"{CASES}{case['id']}/", headers=DISPATCHER)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await names(crm) == []
    answer = await crm.get(f"{CASES}{case['id']}/")
    assert (answer.status_code, answer.json()["code"]) == (410, "deleted")


@pytest.mark.seed("S2.7", "S2.12")
async def test_a_form_may_come_in_parts_and_lists_as_repeated_fields_or_json(crm: httpx.AsyncClient) -> None:
    parts = [("name", (None, "In parts")), ("contacts", (None, USER)), ("contacts", (None, TEAM))]
    case = (await crm.post(CASES, files=[*parts, ("teams", (None, f'["{TEAM}"]'))])).json()
    assert (case["name"], case["contacts"], case["teams"]) == ("In parts", [USER, TEAM], [TEAM])


@pytest.mark.seed("S2.7", "S2.12", "S2.21")
@pytest.mark.parametrize("name", ["case_attachment", "anything"])
async def test_files_of_a_form_are_stored_and_put_into_the_case(crm: httpx.AsyncClient, name: str) -> None:
    file = {name: ("a.txt", b"content" * 100_000)}
    case = (await crm.post(CASES, data={"name": "With a file"}, files=file)).json()
    place = f"{CASES}{case['id']}/"
    said = await crm.post(place, data={"comment": "And more"}, files=[(name, ("b.txt", b"b")), (name, ("c.txt", b"c"))])
    assert said.status_code == 200, said.text
    shown = (await crm.get(place)).json()["attachments"]
    assert [each["file_name"] for each in shown] == ["a.txt", "b.txt", "c.txt"]
    assert shown[0]["attachment"] == f"/api/v1/attachments/{shown[0]['id']}/content"


async def test_files_of_a_request_that_is_refused_are_not_kept(crm: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    for method, path, data in (
        ("POST", CASES, {"name": ""}),
        ("POST", CASES + UNKNOWN + "/", {"comment": "x"}),
    ):
        answer = await crm.request(method, path, data=data, files={"case_attachment": ("a.txt", b"content")})
        assert answer.status_code in {400, 404}
    six = [("f", (f"{n}.txt", b"content")) for n in range(6)]
    assert (await crm.post(CASES, data={"name": "Six"}, files=six)).status_code == 400
    assert rooms.files.kept == {}
    assert await names(crm) == []


async def test_an_empty_place_for_a_file_is_no_file(crm: httpx.AsyncClient) -> None:
    body = (
        b'--x\r\ncontent-disposition: form-data; name="name"\r\n\r\nNo file\r\n'
        b'--x\r\ncontent-disposition: form-data; name="case_attachment"; filename=""\r\n\r\n\r\n--x--\r\n'
    )
    answer = await crm.post(CASES, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["name"]) == (201, "No file")


@pytest.mark.seed("S2.4", "S2.24")
async def shared_case(crm: httpx.AsyncClient, rooms: MemoryRooms) -> str:
    """Return the id of a case that is shared with `maker`, with classes of its owner."""
    rooms.set(TENANT, "counterpart", "maker", {})
    case = await make(crm, teams=[TEAM])
    native = f"/api/v1/cases/{case['id']}/commands"
    for command, arguments in (
        ("update", {"fields": {"classification": {"account": ACCOUNT, "line": "3"}}}),
        ("share", {"counterpart_tenant_id": "maker"}),
    ):
        assert (await crm.post(f"{native}/{command}", json=arguments)).status_code == 200
    return str(case["id"])


@pytest.mark.parametrize(("name", "value"), [("account", "theirs"), ("priority", "Low"), ("teams", [USER])])
async def test_what_the_owner_alone_sees_of_a_shared_case_its_counterpart_does_not_overwrite(
    crm: httpx.AsyncClient, rooms: MemoryRooms, name: str, value: Any
) -> None:
    id_ = await shared_case(crm, rooms)
    answer = await crm.put(f"{CASES}{id_}/", json={name: value, "case_type": "Billing"}, headers=as_("agent", "maker"))
    assert (answer.status_code, list(answer.json()["errors"])) == (403, [name])
    state = (await crm.get(f"/api/v1/cases/{id_}")).json()
    assert state["classification"] == {"account": ACCOUNT, "line": "3"}
    assert (state["priority"], state["teams"], state["case_type"]) == ("medium", [TEAM], "technical")


async def test_a_counterpart_gives_back_what_it_is_shown_and_changes_the_rest(
    crm: httpx.AsyncClient, rooms: MemoryRooms
) -> None:
    id_ = await shared_case(crm, rooms)
    maker = as_("agent", "maker")
    shown = (await crm.get(f"{CASES}{id_}/", headers=maker)).json()["case_obj"]
    assert (shown["account"], shown["priority"], shown["teams"]) == (None, None, [])
    changed = shown | {"name": "Login", "status": "Closed", "closed_on": "2026-01-02T09:00:02Z"}
    answer = await crm.put(f"{CASES}{id_}/", json=changed, headers=maker)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["status"]) == ("Login", "Closed")
    assert (await crm.get(f"/api/v1/cases/{id_}")).json()["classification"] == {"account": ACCOUNT, "line": "3"}


async def test_the_organization_has_to_be_that_of_the_token(crm: httpx.AsyncClient) -> None:
    case = await make(crm)
    other = {"organization-id": "0a1b2c3d-0000-4000-8000-000000000002"}
    for method, path in (("GET", CASES), ("GET", f"{CASES}{case['id']}/"), ("DELETE", f"{CASES}{case['id']}/")):
        answer = await crm.request(method, path, headers=DISPATCHER | other)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await crm.get(CASES, headers={"organization-id": TENANT.upper()})).status_code == 200


@pytest.mark.seed("S2.4")
async def test_without_a_token_nothing_is_told(crm: httpx.AsyncClient) -> None:
    del crm.headers["authorization"]
    for method, path in (("GET", CASES), ("POST", CASES), ("PUT", f"{CASES}comment/x/")):
        answer = await crm.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (401, True)
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_case_of_another_organization_is_as_unknown_as_any(crm: httpx.AsyncClient) -> None:
    case = await make(crm)
    added = await crm.post(f"{CASES}{case['id']}/", json={"comment": "Ours", "attachments": [{"id": "f", "name": "a"}]})
    comment = added.json()["comments"][0]["id"]
    theirs = as_("agent", "others")
    for method, path in (
        ("GET", "{}/"),
        ("PUT", "{}/"),
        ("POST", "{}/"),
        ("PUT", "comment/{}/"),
        ("DELETE", "comment/{}/"),
        ("DELETE", "attachment/{}/"),
    ):
        kind = {"comment/{}/": comment, "attachment/{}/": "f"}.get(path, case["id"])
        json = {"comment": "Mine"} if method != "DELETE" else None
        known = await crm.request(method, CASES + path.format(kind), json=json, headers=theirs)
        unknown = await crm.request(method, CASES + path.format(UNKNOWN), json=json, headers=theirs)
        assert (known.status_code, known.content) == (404, unknown.content)
    assert (await crm.get(CASES, headers=theirs)).json()["count"] == 0


async def test_internal_comments_are_for_the_staff(crm: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    case = await make(crm)
    who = await rooms.identify("Bearer " + f"{TENANT}/{USER}/agent")
    answer = await rooms.desk.send(who, case["id"], "add_note", {"text": "Between us", "visibility": "internal"})
    theirs = as_("operator")
    assert (await crm.get(f"{CASES}{case['id']}/", headers=theirs)).json()["comments"] == []
    hidden = await crm.put(f"{CASES}comment/{answer.note_id}/", json={"comment": "x"}, headers=theirs)
    assert hidden.status_code == 404
    assert len((await crm.get(f"{CASES}{case['id']}/")).json()["comments"]) == 1


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 400),
        (b'{"name": "x", "assigned_to": [{"a": []}]}', "application/json", 400),
        (b"<a/>", "application/xml", 415),
        (b"name=", "application/x-www-form-urlencoded", 400),
        (b"--x--", "multipart/form-data", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b'{"name": "' + b"x" * 1024 * 1024 + b'"}', "application/json", 413),
    ],
)
async def test_what_cannot_be_read_is_refused_in_words(
    crm: httpx.AsyncClient, content: bytes, media: str, status: int
) -> None:
    answer = await crm.post(CASES, content=content, headers={"content-type": media})
    assert (answer.status_code, answer.json()["error"]) == (status, True)
    assert answer.json()["detail"]


async def test_what_a_role_may_not_do_is_refused_before_anything_is_done(crm: httpx.AsyncClient) -> None:
    case = await make(crm, status="In Progress", assigned_to=[USER])
    put = {"name": "Other", "status": "New"}
    answer = await crm.put(f"{CASES}{case['id']}/", json=put)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await crm.get(f"{CASES}{case['id']}/")).json()["case_obj"] == case
    done = await crm.put(f"{CASES}{case['id']}/", json=put, headers=DISPATCHER)
    assert (done.json()["status"], done.json()["assigned_to"], done.json()["name"]) == ("New", [], "Other")


async def test_nothing_is_created_that_could_not_be_brought_to_its_status(crm: httpx.AsyncClient) -> None:
    begun = {"name": "Begun", "status": "In Progress"}
    answer = await crm.post(CASES, json=begun, headers=as_("operator"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    duplicate = {"name": "Twice", "status": "Duplicate"}
    assert (await crm.post(CASES, json=duplicate, headers={"callout-profile": "s2real"})).status_code == 400
    assert await names(crm) == []


async def test_a_refusal_tells_its_code_and_what_is_possible(crm: httpx.AsyncClient) -> None:
    case = await make(crm, status="Closed")
    answer = await crm.put(f"{CASES}{case['id']}/", json={"name": "Other"})
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")
    assert "reopen" in answer.json()["allowed"]


async def test_a_key_makes_a_repeated_creation_one(crm: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    fields = {"name": "Once", "status": "On Hold"}
    first, second = [await crm.post(CASES, json=fields, headers=key) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    assert second.json()["status"] == "On Hold"
    assert await names(crm) == ["Once"]


async def test_what_is_not_decided_in_time_is_told_with_where_to_ask(
    crm: httpx.AsyncClient, rooms: MemoryRooms
) -> None:
    rooms.take_no_more()
    answer = await crm.post(CASES, json={"name": "Slow"})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/commands/{answer.json()['command']}"


@pytest.mark.seed("S2.25")
async def test_the_words_of_the_real_product_are_spoken_on_demand(crm: httpx.AsyncClient) -> None:
    crm.headers["callout-profile"] = "s2real"
    case = await make(crm, priority="Urgent", case_type="Incident", status="Pending")
    assert (case["priority"], case["case_type"], case["status"]) == ("Urgent", "Incident", "Pending")
    assert (await crm.put(f"{CASES}{case['id']}/", json={"status": "Closed"})).status_code == 400
    rejected = await crm.put(f"{CASES}{case['id']}/", json={"status": "Rejected"}, headers=DISPATCHER)
    assert rejected.json()["status"] == "Rejected"
    duplicate = await crm.put(f"{CASES}{(await make(crm))['id']}/", json={"status": "Duplicate"})
    assert (duplicate.status_code, duplicate.json()["code"]) == (400, "invalid_command")
    assert (await crm.get(CASES, headers={"callout-profile": "S9"})).status_code == 400
