"""The door of the Equinix Case Management API, by a client that is written from its description alone."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.gateway.domain.papers import papers_of
from services.gateway.http.app import make_app
from shared.errors import TransientError
from tests.unit.gateway.rooms import MemoryRooms

CASES = "/compat/equinix/v2/cases"
UUID = "10000000-0000-4000-8000-000000000000"
NEW = {"code": "0002-0000", "description": "No power in cage 7", "primaryId": "CAGE-7"}
ALLOWED = {200, 400, 401, 403, 409, 500}


@pytest.fixture
def rooms() -> MemoryRooms:
    return MemoryRooms()


@pytest.fixture
async def api(rooms: MemoryRooms) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(rooms.doors()))
    async with httpx.AsyncClient(transport=transport, base_url="http://callout", headers=as_("operator")) as client:
        yield client


def as_(role: str, tenant: str = "acme", user: str = "olga") -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant}/{user}/{role}"}


async def create(api: httpx.AsyncClient, **fields: Any) -> str:
    answer = await api.post(CASES, json=NEW | fields)
    assert answer.status_code == 200, answer.text
    number: str = answer.json()["id"]
    return number


async def read(api: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await api.get(f"{CASES}/{name}")
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


def wrong(answer: httpx.Response, status: int = 400) -> tuple[str, list[str]]:
    """Return the code of an error and the properties it names."""
    assert answer.status_code == status, answer.text
    (error,) = answer.json()
    assert error["errorMessage"]
    return error["errorCode"], [each["property"] for each in error.get("additionalInfo", ())]


@pytest.mark.seed("S4.1", "S4.12", "S4.14", "S4.15", "S4.19")
async def test_a_case_is_created_and_read_by_its_number(api: httpx.AsyncClient) -> None:
    contacts = [
        {"type": "NOTIFICATION", "registeredUsers": ["olga"]},
        {"type": "TECHNICAL", "firstName": "Eva", "details": [{"type": "EMAIL", "value": "eva@example.org"}]},
    ]
    created = await api.post(CASES, json=NEW | {"customerReferenceId": "PO-5", "contacts": contacts})
    assert (created.status_code, created.json()) == (200, {"id": "10000001", "type": "TROUBLE"})
    case = await read(api, "10000001")
    assert (case["id"], case["status"], case["customerReferenceId"]) == ("10000001", "SUBMITTED", "PO-5")
    assert case["contacts"] == contacts
    assert case["createdDateTime"] == "2026-01-02T09:00:01.000Z"
    assert (case["otherDetails"]["category"], case["otherDetails"]["description"]) == ("Power", "No power in cage 7")
    assert [case[flag] for flag in ("modifiable", "cancellable", "reOpen", "respond")] == [True, True, False, False]


@pytest.mark.seed("S4.2", "S4.12")
async def test_codes_are_those_of_the_tenant(api: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    assert wrong(await api.post(CASES, json=NEW | {"code": "0013-0102"})) == ("invalid_request", ["code"])
    rooms.set("acme", "codes", "ours", {"codes": {"0013-0102": {"title": "Ours"}}, "without": ["0002-0000"]})
    answer = await api.post(CASES, json=NEW | {"code": "0013-0102"})
    assert answer.json() == {"id": "10000001", "type": "CASE"}
    assert wrong(await api.post(CASES, json=NEW)) == ("invalid_request", ["code"])


@pytest.mark.seed("S4.11")
async def test_extra_fields_are_those_of_the_code(api: httpx.AsyncClient) -> None:
    details = {"documents": {"transactionIds": ["T-1"], "type": "DETAILED", "formats": ["XLS", "PDF"]}}
    number = await create(api, code="0305-0100", details=details)
    native = await read(api, number)
    assert native["otherDetails"]["recordType"] == "CASE"
    wrong_type = {"documents": {"transactionIds": "T-1"}}
    answer = await api.post(CASES, json=NEW | {"code": "0305-0100", "details": wrong_type})
    assert wrong(answer) == ("invalid_request", ["details.documents.transactionIds"])
    assert wrong(await api.post(CASES, json=NEW | {"details": details})) == ("invalid_request", ["details"])


@pytest.mark.seed("S4.13")
@pytest.mark.parametrize(
    ("fields", "property_"),
    [
        ({"description": ""}, "description"),
        ({"description": "x" * 4001}, "description"),
        ({"primaryId": "x" * 101}, "primaryId"),
        ({"secondaryId": ""}, "secondaryId"),
        ({"customerReferenceId": "x" * 201}, "customerReferenceId"),
        ({"occurredDateTime": "yesterday"}, "occurredDateTime"),
        ({"attachments": [{"id": UUID, "name": "a"}] * 6}, "attachments"),
        ({"attachments": [{"id": UUID, "name": "a"}] * 2}, "attachments"),
        ({"contacts": "olga"}, "contacts"),
    ],
)
async def test_what_is_too_long_or_malformed_is_refused_by_name(
    api: httpx.AsyncClient, fields: dict[str, Any], property_: str
) -> None:
    code, properties = wrong(await api.post(CASES, json=NEW | fields))
    assert code == "invalid_request"
    assert [name.partition(".")[0] for name in properties] == [property_]


async def uploaded(api: httpx.AsyncClient, name: str, data: bytes = b"content") -> dict[str, str]:
    answer = await api.post("/compat/equinix/v1/attachments/file", files={"uploadFile": (name, data)})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.mark.seed("S4.8", "S4.25")
async def test_files_are_uploaded_first_and_named_then(api: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    photo, other = await uploaded(api, "photo.jpg"), await uploaded(api, "log.txt")
    number = await create(api, attachments=[photo])
    await api.post(f"{CASES}/{number}/notes", json={"text": "See the log", "attachments": [other]})
    who = await rooms.identify("Bearer acme/olga/operator")
    view = await rooms.views.one(who, number)
    assert view
    papers = papers_of(await rooms.views.papers(who, view.case_id))
    assert [(file.id, file.name) for file in papers.files] == [(photo["id"], "photo.jpg"), (other["id"], "log.txt")]


@pytest.mark.seed("S4.25")
async def test_files_of_others_under_other_names_or_of_other_kinds_are_refused(api: httpx.AsyncClient) -> None:
    photo = await uploaded(api, "photo.jpg")
    for name, data in (("run.exe", b"x"), ("photo.jpg", bytes(10 * 1024 * 1024 + 1))):
        answer = await api.post("/compat/equinix/v1/attachments/file", files={"uploadFile": (name, data)})
        assert answer.status_code == 400
    for file in (photo | {"name": "other.jpg"}, {"id": UUID, "name": "photo.jpg"}, photo | {"name": "photo.exe"}):
        assert wrong(await api.post(CASES, json=NEW | {"attachments": [file]}))[1] == ["attachments"]
    theirs = await api.post(CASES, json=NEW | {"attachments": [photo]}, headers=as_("operator", user="eve"))
    assert wrong(theirs)[1] == ["attachments"]


@pytest.mark.seed("S4.21", "S4.22", "S4.23")
async def test_a_note_is_added_by_the_number_of_eight_characters(api: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    number = await create(api)
    answer = await api.post(f"{CASES}/{number}/notes", json={"text": "Still dark"})
    result = answer.json()["result"]
    assert (answer.status_code, set(result)) == (200, {"CaseId", "CaseNotesId", "CaseNumber"})
    assert result["CaseNumber"] == number
    who = await rooms.identify("Bearer acme/olga/operator")
    (note,) = papers_of(await rooms.views.papers(who, result["CaseId"])).notes
    assert (note.id, note.text, note.visibility) == (result["CaseNotesId"], "Still dark", "external")
    by_id = await api.post(f"{CASES}/{result['CaseId']}/notes", json={"text": "x"})
    assert wrong(by_id)[0] == "invalid_request"


@pytest.mark.seed("S4.22")
async def test_an_internal_note_is_kept_from_the_customer(api: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    number = await create(api)
    internal = {"text": "Between us", "visibility": "INTERNAL"}
    assert wrong(await api.post(f"{CASES}/{number}/notes", json=internal), 403)[0] == "forbidden"
    case_id = (await api.post(f"{CASES}/{number}/notes", json=internal, headers=as_("agent"))).json()["result"][
        "CaseId"
    ]
    customer, staff = [await rooms.identify(f"Bearer acme/u/{role}") for role in ("operator", "agent")]
    assert (len(await rooms.views.papers(customer, case_id)), len(await rooms.views.papers(staff, case_id))) == (0, 1)


async def test_what_a_customer_says_to_a_case_that_waits_for_it_sets_it_to_work(
    api: httpx.AsyncClient, rooms: MemoryRooms
) -> None:
    rooms.set("acme", "counterpart", "maker", {})
    number = await create(api)
    agent = await rooms.identify("Bearer acme/ann/agent")
    await rooms.desk.send(agent, number, "request_action", {"text": "Which cage?"})
    asked = await read(api, number)
    assert (asked["status"], asked["respond"]) == ("ACTION_REQUIRED", True)
    await api.post(f"{CASES}/{number}/notes", json={"text": "Cage 7"})
    assert (await read(api, number))["status"] == "IN_PROGRESS"


@pytest.mark.seed("S4.24")
async def test_a_case_is_cancelled_with_its_reason_and_only_once(api: httpx.AsyncClient) -> None:
    number = await create(api)
    assert wrong(await api.post(f"{CASES}/{number}/cancel", json={})) == ("invalid_request", ["reason"])
    answer = await api.post(f"{CASES}/{number}/cancel", json={"reason": "Power is back"})
    assert (answer.status_code, answer.json()["result"]["CaseNumber"]) == (200, number)
    case = await read(api, number)
    assert (case["status"], case["cancellable"], case["modifiable"]) == ("CANCELLED", False, False)
    assert [step["status"] for step in case["otherDetails"]["statusHistory"]] == ["SUBMITTED", "CANCELLED"]
    again = await api.post(f"{CASES}/{number}/cancel", json={"reason": "Again"})
    assert wrong(again, 409)[0] == "invalid_transition"
    note = await api.post(f"{CASES}/{number}/notes", json={"text": "Too late"})
    assert wrong(note, 409)[0] == "invalid_transition"


@pytest.mark.seed("S4.14", "S4.15")
async def test_a_case_is_found_by_its_order_number(api: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    number = await create(api)
    agent = await rooms.identify("Bearer acme/ann/agent")
    await rooms.desk.send(agent, number, "link", {"kind": "external", "id": "1-204976070710"})
    case = await read(api, "1-204976070710")
    assert (case["id"], case["orderId"]) == (number, "1-204976070710")
    answer = await api.post(f"{CASES}/1-204976070710/cancel", json={"reason": "Not needed"})
    assert answer.json()["result"]["CaseNumber"] == number
    assert wrong(await api.get(f"{CASES}/1-20497607071"))[0] == "not_found"


@pytest.mark.seed("S4.13", "S4.14")
async def test_an_unknown_case_and_one_of_another_tenant_are_one_answer(api: httpx.AsyncClient) -> None:
    number = await create(api)
    for method, path, json in (
        ("GET", "{}", None),
        ("POST", "{}/notes", {"text": "x"}),
        ("POST", "{}/cancel", {"reason": "x"}),
    ):
        theirs = await api.request(
            method, f"{CASES}/{path.format(number)}", json=json, headers=as_("operator", "others")
        )
        unknown = await api.request(method, f"{CASES}/{path.format('99999999')}", json=json)
        assert wrong(theirs) == ("not_found", [])
        assert theirs.content == unknown.content
    for name in ("1234567", "x" * 101):
        assert wrong(await api.get(f"{CASES}/{name}"))[0] == "invalid_request"


@pytest.mark.seed("S4.13")
async def test_no_status_is_told_but_those_of_the_description(api: httpx.AsyncClient, rooms: MemoryRooms) -> None:
    number = await create(api)
    requests: list[dict[str, Any]] = [
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"[]", "headers": {"content-type": "application/json"}},
        {"content": b"x" * 300_000, "headers": {"content-type": "application/json"}},
        {"content": b"<a/>", "headers": {"content-type": "application/xml"}},
        {"content": b""},
        {"json": NEW | {"description": "\x00"}},
        {"json": NEW, "headers": {"Authorization": "Basic x"}},
        {"json": NEW, "headers": as_("auditor")},
        {"json": NEW, "headers": {"Idempotency-Key": "k" * 300}},
    ]
    told = [await api.post(CASES, **request) for request in requests]
    told += [await api.post(f"{CASES}/{number}/{path}", json={"a": 1}) for path in ("notes", "cancel")]
    assert [answer.status_code for answer in told] == [400] * 5 + [200, 401, 403, 400, 400, 400]
    assert all(isinstance(answer.json(), list) for answer in told if answer.status_code != 200)
    rooms.take_no_more()
    assert wrong(await api.post(CASES, json=NEW), 409)[0] == "pending"


async def test_what_is_away_or_broken_on_our_side_is_told_in_the_same_form(
    api: httpx.AsyncClient, rooms: MemoryRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, code in ((TransientError("away"), "unavailable"), (KeyError("bug"), "internal_error")):

        async def fail(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(rooms.views, "one", fail)
        assert wrong(await api.get(f"{CASES}/10000001"), 500)[0] == code


async def test_a_case_is_shared_with_the_only_counterpart_and_of_several_with_none(
    api: httpx.AsyncClient, rooms: MemoryRooms
) -> None:
    async def shared(number: str) -> tuple[str, str | None]:
        view = await rooms.views.one(await rooms.identify("Bearer acme/ann/agent"), number)
        assert view
        return view.state["visibility"], view.state.get("counterpart_tenant_id")

    assert await shared(await create(api)) == ("internal", None)
    rooms.set("acme", "counterpart", "maker", {})
    assert await shared(await create(api)) == ("shared", "maker")
    rooms.set("acme", "counterpart", "other", {})
    assert await shared(await create(api)) == ("internal", None)
