"""Devices as people see them: what is shown of each, and what lists of them ask for."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.gateway.devices import Presences
from services.gateway.domain.access import Sight
from services.gateway.domain.devices import DeviceQuery, presence_document, registry_document, resource_of
from services.gateway.domain.query import CaseQuery, InvalidQuery
from services.gateway.generations import Generation
from services.gateway.handlers import documents_of, put, write
from shared.view_storage import Find
from tests.builders import AT
from tests.unit.gateway.events import event, heard, state
from tests.unit.gateway.rooms import MemoryGenerations

BODY: dict[str, Any] = {
    "tenant_id": "acme",
    "device_id": "press-07",
    "status": "degraded",
    "previous": "online",
    "epoch": 7,
    "change": 3,
    "since": AT,
    "cause": "timeout",
    "unstable": False,
    "detection_delay_s": 1.5,
    "evidence": {"kind": "silence"},
    "at": AT,
}


def test_a_device_is_shown_with_what_was_told_of_it_last() -> None:
    told = resource_of(presence_document(BODY), staff=False)
    assert (told["tenant_id"], told["device_id"], told["status"]) == ("acme", "press-07", "degraded")
    assert told["presence"] == {
        "status": "degraded",
        "epoch": 7,
        "change": 3,
        "since": AT,
        "cause": "timeout",
        "unstable": False,
        "at": AT,
    }


@pytest.mark.seed("S1.27")
def test_what_the_registry_says_is_shown_beside_and_how_a_device_comes_in_to_the_staff_alone() -> None:
    registered = {"tenant_id": "acme", "device_id": "press-07", "version": 3, "state": "registered", "serial": "SN-1"}
    registered |= {"labels": {"Hall": "3"}, "certificates": [{"serial": "ab"}], "token": True}
    document = presence_document(BODY) | registry_document(registered)
    told, inside = resource_of(document, staff=False), resource_of(document, staff=True)
    assert (told["serial"], told["labels"], told["status"], "token" in told) == (
        "SN-1",
        {"Hall": "3"},
        "degraded",
        False,
    )
    assert (inside["token"], inside["certificates"]) == (True, [{"serial": "ab"}])
    query = DeviceQuery.parse({"serial": ["sn-1"], "label": ["hall=3"]})
    conditions = query.conditions("acme")
    assert (conditions["serial"], conditions["labels"]) == ({"$in": [document["serial"]]}, {"$all": document["labels"]})


class Late:
    """Devices of which something is heard just after they were looked up."""

    def __init__(self, generation: Generation, heard: Any) -> None:
        self._generation, self._heard = generation, heard

    async def find(self, question: Find) -> Any:
        found = await self._generation.devices.find(question)
        if self._heard is not None:
            heard, self._heard = self._heard, None
            await heard
        return found


async def told(generations: MemoryGenerations, change: int, status: str) -> None:
    body = orjson.dumps(BODY | {"change": change, "status": status})
    record = type("Record", (), {"value": body})()
    await Presences(generations).keep([type("Heard", (), {"record": record})()])  # type: ignore[list-item]


async def status_of_the_case(generations: MemoryGenerations) -> str:
    [found] = await generations[1].cases.find(Find(conditions={}))
    return str(found["device_status"])


CASE = documents_of([heard(event(state(device_id="press-07")))])


async def test_a_case_is_written_with_what_is_known_of_its_device() -> None:
    generations = MemoryGenerations()
    await put(generations[1], *CASE)
    assert await status_of_the_case(generations) == "unknown"
    generations = MemoryGenerations()
    await told(generations, 3, "degraded")
    await put(generations[1], *CASE)
    assert await status_of_the_case(generations) == "degraded"


async def test_what_is_heard_of_a_device_while_its_case_is_written_is_beside_it_in_the_end() -> None:
    generations = MemoryGenerations()
    await told(generations, 3, "degraded")
    late: Any = Late(generations[1], told(generations, 4, "offline"))
    await write(replace(generations[1], devices=late), *CASE)
    assert await status_of_the_case(generations) == "offline"


async def test_a_case_that_comes_again_after_a_crash_is_told_of_its_device() -> None:
    generations = MemoryGenerations()
    late: Any = Late(generations[1], told(generations, 4, "offline"))
    await put(replace(generations[1], devices=late), *CASE)  # and no more: the process dies
    assert await status_of_the_case(generations) == "unknown"
    await write(generations[1], *CASE)
    assert await status_of_the_case(generations) == "offline"


def test_of_a_device_that_nothing_was_told_of_nothing_is_known() -> None:
    told = resource_of({"_id": "acme/press-07", "tenant": "acme", "device": "press-07"}, staff=True)
    assert (told["status"], told["presence"]) == ("unknown", {"status": "unknown"})


def test_a_list_is_of_the_own_tenant_whatever_is_asked() -> None:
    query = DeviceQuery.parse({"device": ["press-07", "press-08"], "cursor": ["press-01"], "limit": ["7"]})
    assert query.conditions("acme") == {
        "tenant": "acme",
        "_id": {"$in": ["acme/press-07", "acme/press-08"], "$gt": "acme/press-01"},
    }


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (["online"], ["online"]),
        (["online,degraded"], ["online", "degraded"]),
        (["unknown", "offline"], ["unknown", "offline", None]),
    ],
)
def test_lists_of_devices_and_of_cases_are_narrowed_by_status_alike(asked: list[str], held: list[str | None]) -> None:
    of_devices = DeviceQuery.parse({"status": asked}).conditions("acme")["status"]["$in"]
    sight = Sight("acme", None, internal=True)
    of_cases = CaseQuery.parse({"device_status": asked}).conditions(sight, "ann")["device_status"]["$in"]
    assert set(of_devices) == set(of_cases) == set(held)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"status": ["away"]}, "status"),
        ({"limit": ["0"]}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"tenant": ["other"]}, "tenant"),
        ({"device": ["../x"]}, "device"),
        ({"cursor": ["other/press-07"]}, "cursor"),
        ({"label": ["hall"]}, "label"),
    ],
)
def test_what_a_list_does_not_know_is_refused_by_name(parameters: dict[str, list[str]], field: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        DeviceQuery.parse(parameters)
    assert [fault.field for fault in refused.value.faults] == [field]
