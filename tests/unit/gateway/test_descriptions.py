"""The descriptions of the doors of other products: served beside their routes, complete, and true of their examples."""

from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from services.gateway.domain.profiles import DJANGO_CRM, EQUINIX
from services.gateway.http.app import DESCRIBED, make_app
from services.gateway.http.compat.describing import Door
from tests.unit.gateway.rooms import MemoryRooms

AGENT = {"Authorization": "Bearer acme/ann/agent"}
FORM = "multipart/form-data"
DOORS = pytest.mark.parametrize("door", DESCRIBED, ids=lambda door: door.prefix)


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, path): each for path, methods in document["paths"].items() for method, each in methods.items()}


def schema_in(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


@DOORS
async def test_a_door_tells_its_description_to_everybody(door: Door) -> None:
    transport = httpx.ASGITransport(make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://callout") as nobody:
        answer = await nobody.get(door.path)
    assert (answer.status_code, answer.json()) == (200, door.document())


@DOORS
def test_every_route_of_a_door_is_described_with_an_example(door: Door) -> None:
    made = [route for router in door.routers for route in router.routes if isinstance(route, APIRoute)]
    routes = {(method.lower(), route.path) for route in made for method in route.methods}
    told = operations(door.document())
    assert set(told) == routes
    assert len({each["operationId"] for each in told.values()}) == len(routes)
    for (method, _), each in told.items():
        [taken] = each.get("requestBody", {"content": {"": {"schema": 1}}})["content"].items()
        assert method in {"get", "delete"} or taken[0] == FORM or taken[1]["example"]
        assert all(response.get("content", True) for response in each["responses"].values())


@DOORS
def test_examples_are_what_the_schemas_say(door: Door) -> None:
    document, found = door.document(), 0
    for each in operations(document).values():
        contents = [response.get("content", {}) for response in each["responses"].values()]
        contents.append(each.get("requestBody", {}).get("content", {}))
        for content in (part for parts in contents for part in parts.values()):
            examples = [example["value"] for example in content.get("examples", {}).values()]
            for example in examples or ([content["example"]] if "example" in content else []):
                schema_in(document, content["schema"]).validate(example)
                found += 1
    assert found >= len(operations(document))


async def test_what_the_doors_answer_to_their_examples_is_what_they_describe() -> None:
    rooms = MemoryRooms()
    rooms.files.are_kept = False  # the examples name a file that nobody stored
    transport = httpx.ASGITransport(make_app(rooms.doors()))
    async with httpx.AsyncClient(transport=transport, base_url="http://callout", headers=AGENT) as client:
        for door in DESCRIBED:
            document = door.document()
            case = ""
            for (method, path), each in operations(document).items():
                if "{id}" in path or method == "delete":
                    continue
                taken = each.get("requestBody", {}).get("content", {})
                sent: dict[str, Any] = {"json": taken.get("application/json", {}).get("example")}
                if FORM in taken:
                    sent = {"files": dict.fromkeys(taken[FORM]["schema"]["properties"], ("port.jpg", b"JPG"))}
                answer = await client.request(method, path.replace("{case}", case), **sent)
                told = each["responses"][str(answer.status_code)]["content"]["application/json"]
                assert answer.status_code < 300, (path, answer.text)
                schema_in(document, told["schema"]).validate(answer.json())
                case = case or answer.json().get("id", "")


def test_words_are_those_of_the_products() -> None:
    crm, equinix = (door.document()["components"]["schemas"] for door in DESCRIBED)
    assert set(DJANGO_CRM.states.meant) <= set(crm["Item"]["properties"]["status"]["enum"])
    assert equinix["Case"]["properties"]["status"]["enum"] == list(dict.fromkeys(EQUINIX.states.shown.values()))
