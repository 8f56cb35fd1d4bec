"""Commands on their way down: what is given to the MQTT broker, and what is told of it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.edge_adapter import deliveries as module
from services.edge_adapter.deliveries import Deliveries
from shared.contracts.device_commands import Delivery, Guarantee
from shared.contracts.envelope import Incoming, Message
from shared.flow import Heard
from shared.testing import MemoryDocuments

NOW = datetime(2026, 3, 2, tzinfo=UTC)
NOBODY_LISTENS = 16


class Spoken:
    """A session: what is published by it, and what the broker says of that."""

    def __init__(self, code: int = 0) -> None:
        self.published: list[tuple[str, int]] = []
        self._code = code

    def publish(self, topic: str, payload: bytes, *, expiry_seconds: int, qos: int) -> "asyncio.Future[int]":
        self.published.append((json.loads(payload)["id"], qos))
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.set_result(self._code)
        return answer


class Way:
    """The way down, with sessions that come and go."""

    def __init__(self, session: Spoken | None) -> None:
        self.session = session
        self.told: list[tuple[str, bool]] = []
        documents: Any = MemoryDocuments()
        self.deliveries = Deliveries(documents, self._speaker, self._post, lambda: NOW)

    async def give(self, *deliveries: Delivery) -> None:
        await self.deliveries.keep([Heard(None, _incoming(n, each)) for n, each in enumerate(deliveries)])

    def _speaker(self) -> Spoken | None:
        return self.session

    async def _post(self, messages: Sequence[Message]) -> None:
        bodies = [json.loads(message.value or b"") for message in messages]
        self.told += [(body["id"], body["given"]) for body in bodies]


def delivery(id_: str, guarantee: Guarantee = Guarantee.AT_LEAST_ONCE, *, left_s: float = 60) -> Delivery:
    return Delivery(
        tenant_id="acme",
        device_id="press-07",
        id=id_,
        command="ping",
        expires_at=NOW + timedelta(seconds=left_s),
        guarantee=guarantee,
        attempt=1,
    )


def _incoming(offset: int, data: Delivery) -> Incoming:
    key, type_ = b"acme/press-07", "callout.device.delivery.v1"
    return Incoming("device.deliveries.v1", 0, offset, NOW, key, data.id, True, type_, "/x", None, "acme", None, data)


async def test_what_the_broker_has_for_somebody_who_listens_is_told_as_given() -> None:
    way = Way(Spoken())
    await way.give(delivery("a"), delivery("b", Guarantee.AT_MOST_ONCE))
    assert way.session is not None
    assert way.session.published == [("a", 1), ("b", 0)]
    assert way.told == [("a", True), ("b", True)]


async def test_what_nobody_listens_to_and_what_has_expired_is_told_as_not_given() -> None:
    way = Way(Spoken(NOBODY_LISTENS))
    await way.give(delivery("a"), delivery("late", left_s=0))
    assert way.session is not None
    assert way.session.published == [("a", 1)]
    assert way.told == [("a", False), ("late", False)]


async def test_one_that_may_arrive_once_is_given_once_however_often_it_comes() -> None:
    way = Way(Spoken())
    for _ in range(3):
        await way.give(delivery("a", Guarantee.AT_MOST_ONCE))
    assert way.session is not None
    assert way.session.published == [("a", 0)]


async def test_it_waits_while_sessions_change_hands() -> None:
    way = Way(None)
    giving = asyncio.create_task(way.give(delivery("a")))
    await asyncio.sleep(0.12)
    assert way.told == []
    way.session = session = Spoken()
    async with asyncio.timeout(30):
        await giving
    assert (session.published, way.told) == ([("a", 1)], [("a", True)])


async def test_who_ends_while_it_waits_for_a_session_leaves_what_may_arrive_once_to_the_next() -> None:
    way = Way(None)
    giving = asyncio.create_task(way.give(delivery("a", Guarantee.AT_MOST_ONCE)))
    await asyncio.sleep(0.02)
    giving.cancel()
    await asyncio.gather(giving, return_exceptions=True)
    way.session = session = Spoken()
    await way.give(delivery("a", Guarantee.AT_MOST_ONCE))
    assert (session.published, way.told) == ([("a", 0)], [("a", True)])


async def test_those_that_waited_for_a_session_are_given_in_their_order() -> None:
    way, names = Way(None), [f"{n}" for n in range(200)]
    giving = asyncio.create_task(way.give(*map(delivery, names)))
    session = Spoken()
    asyncio.get_running_loop().call_later(0.12, lambda: setattr(way, "session", session))
    async with asyncio.timeout(30):
        await giving
    assert [name for name, _ in session.published] == names


async def test_without_any_session_it_is_told_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SESSION_SECONDS", 0.1)
    way = Way(None)
    await way.give(delivery("a"))
    assert way.told == [("a", False)]
