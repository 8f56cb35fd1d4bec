"""How a command's answer and its view come together: what is asked of the store for it, counted, and in which order."""

import asyncio
from typing import Any

import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.view import Written
from services.gateway.handlers import CaseEvents, documents_of, write
from services.gateway.http import watch
from services.gateway.http.commands import Desk
from services.gateway.http.watch import Watch
from services.gateway.store import Views
from shared.contracts.words import Role
from shared.testing import MemoryViewCollection
from tests.unit.gateway.events import event, heard, state
from tests.unit.gateway.rooms import MemoryGenerations, MemoryRooms

ANN = Identity("acme", "ann", Role.AGENT)


class Counting(MemoryViewCollection):
    """Notes what is asked of it."""

    def __init__(self, name: str, asked: list[str]) -> None:
        super().__init__(name)
        self._asked = asked

    def __getattribute__(self, name: str) -> Any:
        if name in {"find", "set_all", "set_newer", "insert_new", "set_where"}:
            self._asked.append(f"{self.name}.{name}")
        return super().__getattribute__(name)


class Store(MemoryGenerations):
    """The collections, and what was asked of them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._cases, self._history = Counting("cases", self.asked), Counting("history", self.asked)
        self.devices, self.sessions = Counting("devices", self.asked), Counting("sessions", self.asked)


async def keep(store: Store, *states: dict[str, Any], event_name: str = "updated") -> tuple[list[str], list[Written]]:
    """Keep events; return what was asked of the store, and what was told to be written."""
    told: list[Written] = []
    await CaseEvents(store, told.extend).keep(
        [heard(event(each), type_=f"callout.case.{event_name}.v1") for each in states]
    )
    asked, store.asked[:] = [each for each in store.asked if each != "cases.set_all"], []
    return asked, told


async def test_a_batch_of_new_cases_costs_two_writes_and_two_looks_at_their_devices() -> None:
    cases = [state(f"case-{number}", device_id=f"press-{number}") for number in range(50)]
    asked, told = await keep(Store(), *cases)
    assert asked == ["history.insert_new", "devices.find", "cases.set_newer", "devices.find"]
    assert len(told) == 50


async def test_a_batch_of_other_events_costs_two_writes() -> None:
    store, case = Store(), state(device_id="press-07")
    await keep(store, case)
    asked, _ = await keep(store, case | {"seq": 2, "version": 2}, event_name="started")
    assert asked == ["history.insert_new", "cases.set_newer"]


async def test_the_answer_to_a_creation_needs_nothing_more_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "OURS_SECONDS", 600.0)  # so that it is told, and not looked for
    store, case = Store(), state(device_id="press-07")
    watching = Watch(Views(store), lambda _: True)
    waiting = asyncio.create_task(watching.reached("acme", case["id"], 1))
    await asyncio.sleep(0)
    _, told = await keep(store, case)
    watching.wrote(told)
    seen = await asyncio.wait_for(waiting, 60)
    assert "cases.find" not in store.asked
    assert seen.view == await Views(store).one(ANN, case["id"])


async def test_the_answer_to_what_came_again_is_what_the_store_has() -> None:
    store, case = Store(), state()
    watch = Watch(Views(store), lambda _: True)
    await keep(store, case, case | {"seq": 2, "version": 2, "title": "Bearing"})
    waiting = asyncio.create_task(watch.reached("acme", case["id"], 1))
    await asyncio.sleep(0)
    _, told = await keep(store, case)
    watch.wrote(told)
    assert (await asyncio.wait_for(waiting, 60)).view.seq == 2


async def test_a_key_that_comes_again_between_the_event_and_its_view_waits_for_the_view() -> None:
    rooms = MemoryRooms()
    body = {"case": {"title": "Once"}}
    first = await rooms.desk.send(ANN, None, "create", body, idempotency_key="k")
    views = rooms.generations[1].cases.stored  # type: ignore[attr-defined]
    kept = dict(views)
    views.clear()  # the history has the event already, the list not yet
    again = asyncio.create_task(rooms.desk.send(ANN, None, "create", body, idempotency_key="k"))
    found = asyncio.create_task(rooms.desk.find(ANN, first.command_id))
    await asyncio.sleep(0.03)
    assert not again.done()
    views.update(kept)
    assert (await asyncio.wait_for(again, 60)).view == first.view
    assert (await asyncio.wait_for(found, 60)).accepted


async def test_a_key_whose_view_does_not_come_is_answered_with_a_place_to_ask() -> None:
    rooms = MemoryRooms()
    body = {"case": {"title": "Once"}}
    await rooms.desk.send(ANN, None, "create", body, idempotency_key="k")
    rooms.generations[1].cases.stored.clear()  # type: ignore[attr-defined]
    desk: Desk = rooms.desk
    desk._wait_seconds = 0.05
    assert (await desk.send(ANN, None, "create", body, idempotency_key="k")).status == "pending"


async def test_views_and_history_stay_the_same_whatever_comes_again() -> None:
    store, case = Store(), state(device_id="press-07")
    batch = documents_of([heard(event(case)), heard(event(case | {"seq": 2, "version": 2}))])
    await write(store[1], *batch)
    before = dict(store._cases.stored), dict(store._history.stored)
    await write(store[1], *batch)
    assert (store._cases.stored, store._history.stored) == before
