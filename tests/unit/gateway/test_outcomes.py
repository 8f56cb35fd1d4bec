"""Outcomes: who waits is told, what people may ask for later is remembered, for its tenant alone."""

import asyncio
import time
from typing import Any

import orjson
import pytest

from services.gateway.domain.view import CaseView, Seen, Written
from services.gateway.http import outcomes as module
from services.gateway.http import watch as watch_module
from services.gateway.http.outcomes import Outcomes
from services.gateway.http.watch import TICK_SECONDS, Watch
from shared.errors import TransientError
from tests.builders import Sent

#: It comes at once; how long that takes on a crowded machine is not what is asked here.
SOON = 60.0


@pytest.fixture
def told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what this process writes itself be looked for so seldom that it is only told."""
    monkeypatch.setattr(watch_module, "OURS_SECONDS", 10 * SOON)


def outcome(command_id: str, *, accepted: bool = True, tenant: str = "acme", **body: Any) -> Sent:
    value = {"command_id": command_id, "case_id": "c", "accepted": accepted, **body}
    return Sent(
        "case.outcomes.v1", orjson.dumps(value), key=command_id.encode(), headers=(("ce_tenant", tenant.encode()),)
    )


async def test_all_who_wait_for_a_command_are_told_what_became_of_it() -> None:
    outcomes = Outcomes("nowhere")
    with outcomes.expected("1") as first, outcomes.expected("1") as second, outcomes.expected("2") as other:
        outcomes.hear(outcome("1", seq=3))
        assert (await first)["seq"] == (await second)["seq"] == 3
        assert not other.done()
    outcomes.hear(outcome("1", seq=4))  # nobody waits any more


async def test_what_cannot_be_read_disturbs_nobody() -> None:
    outcomes = Outcomes("nowhere")
    with outcomes.expected("1") as waiting:
        outcomes.hear(Sent("case.outcomes.v1", b"{", key=b"1"))
        outcomes.hear(Sent("case.outcomes.v1", None, key=None))
        outcomes.hear(outcome("1"))
        assert (await waiting)["accepted"]


def test_outcomes_of_people_and_refusals_are_remembered_for_their_tenant() -> None:
    outcomes = Outcomes("nowhere")
    outcomes.hear(outcome("people", flags={"modifiable": True}))
    outcomes.hear(outcome("refused", accepted=False, code="duplicate"))
    outcomes.hear(outcome("machine"))
    assert outcomes.known("people", "acme") is not None
    assert outcomes.known("refused", "acme") is not None
    assert outcomes.known("machine", "acme") is None
    assert outcomes.known("people", "other") is None


def test_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    outcomes = Outcomes("nowhere")
    for name in "abc":
        outcomes.hear(outcome(name, accepted=False))
    assert [outcomes.known(name, "acme") is not None for name in "abc"] == [False, True, True]


class Shelf:
    """Views that show what they are told to, and count the questions."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, tuple[int, int]]] = {}
        self.asked = 0
        self.away = 0

    async def versions(self, tenant_id: str, case_ids: Any) -> dict[str, tuple[int, int]]:
        self.asked += 1
        if self.away:
            self.away -= 1
            raise TransientError("away")
        return {case_id: seen for case_id, seen in self.shown.get(tenant_id, {}).items() if case_id in case_ids}

    async def newest(self, tenant_id: str, case_ids: Any) -> dict[str, Seen]:
        at = await self.versions(tenant_id, case_ids)
        return {case_id: Seen(view(case_id, *place), ("ann",)) for case_id, place in at.items()}


def view(case_id: str, seq: int, version: int) -> CaseView:
    return CaseView(case_id=case_id, number="1", seq=seq, version=version, deleted=False, state={}, columns={})


def all_ours(_: str) -> bool:
    return True


async def test_waiting_ends_with_the_view_when_it_has_come_to_the_event() -> None:
    shelf = Shelf()
    watch = Watch(shelf)
    waiting = asyncio.create_task(watch.reached("acme", "c", 2))
    shelf.shown = {"acme": {"c": (1, 1)}, "other": {"c": (9, 9)}}
    await asyncio.sleep(0.05)
    assert not waiting.done()
    shelf.shown["acme"]["c"] = (2, 2)
    assert await asyncio.wait_for(waiting, SOON) == (view("c", 2, 2), ("ann",))


async def test_many_who_wait_ask_the_store_once_per_tick() -> None:
    shelf = Shelf()
    watch = Watch(shelf)
    began = time.monotonic()
    waiting = [asyncio.create_task(watch.reached("acme", f"c{number}", 1)) for number in range(200)]
    await asyncio.sleep(0.1)
    assert shelf.asked <= 2 + (time.monotonic() - began) / TICK_SECONDS
    shelf.shown = {"acme": {f"c{number}": (1, 1) for number in range(200)}}
    await asyncio.wait_for(asyncio.gather(*waiting), SOON)


async def test_nobody_asks_when_nobody_waits_and_a_store_that_is_away_is_asked_again() -> None:
    shelf = Shelf()
    watch = Watch(shelf)
    shelf.away, shelf.shown = 1, {"acme": {"c": (1, 1)}}
    await asyncio.wait_for(watch.reached("acme", "c", 1), SOON)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.reached("acme", "never", 1), 0.05)
    await asyncio.sleep(0.05)
    asked = shelf.asked
    await asyncio.sleep(0.05)
    assert shelf.asked == asked


@pytest.mark.usefixtures("told_alone")
async def test_what_this_process_writes_itself_costs_one_question_for_all_who_wait() -> None:
    shelf = Shelf()
    watch = Watch(shelf, all_ours)
    shelf.shown = {"acme": {f"c{number}": (2, 2) for number in range(50)}}
    waiting = [asyncio.create_task(watch.reached("acme", f"c{number}", 2)) for number in range(50)]
    await asyncio.sleep(0.03)
    watch.wrote(Written("acme", f"c{number}", 1, 1) for number in range(50))
    await asyncio.sleep(0.03)
    assert (shelf.asked, any(each.done() for each in waiting)) == (0, False)
    watch.wrote(Written("acme", f"c{number}", 2, 2) for number in range(50))
    assert {seen.view.version for seen in await asyncio.wait_for(asyncio.gather(*waiting), SOON)} == {2}
    assert shelf.asked == 1


@pytest.mark.usefixtures("told_alone")
async def test_what_was_written_before_somebody_waits_is_shown_at_once_also_when_it_came_twice() -> None:
    shelf = Shelf()
    watch = Watch(shelf, all_ours)
    shelf.shown = {"acme": {"c": (3, 3)}}
    watch.wrote([Written("acme", "c", 3, 3)])
    watch.wrote([Written("acme", "c", 1, 1)])  # an older batch again
    seen = await asyncio.wait_for(watch.reached("acme", "c", 3), SOON)
    assert (seen.view.seq, shelf.asked) == (3, 1)


async def test_what_was_to_be_ours_and_was_written_elsewhere_is_found_all_the_same() -> None:
    shelf = Shelf()
    shelf.shown = {"acme": {"c": (1, 1)}}
    assert await asyncio.wait_for(Watch(shelf, all_ours).reached("acme", "c", 1), SOON)


async def test_a_store_that_is_away_when_something_was_written_is_asked_again() -> None:
    shelf = Shelf()
    watch = Watch(shelf, all_ours)
    waiting = asyncio.create_task(watch.reached("acme", "c", 1))
    await asyncio.sleep(0)
    shelf.away, shelf.shown = 1, {"acme": {"c": (1, 1)}}
    watch.wrote([Written("acme", "c", 1, 1)])
    await asyncio.wait_for(waiting, SOON)
