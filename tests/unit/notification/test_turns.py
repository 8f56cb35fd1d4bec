"""Turns: what is due on a lane is sent at the receiver's pace, and written down whatever becomes of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.notification.channels.port import Parcel
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery, DeliveryState
from services.notification.domain.sending import Lane, Later, Never, Sent, Verdict
from services.notification.run import Turns
from services.notification.store import Claim
from shared.contracts.words import NoticeChannel
from shared.sealing import Seal
from tests.unit.notification.news_of import NOW, book, delivery

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
URL = "https://erp.example/hooks"
AWAY = Later(code="timeout", reason="no answer", away=True)
GONE = Never(code="gone", reason="410", gone=True)


class MemoryDeliveries:
    """One lane's deliveries, and how it was given back."""

    def __init__(self, *deliveries: Delivery) -> None:
        self.kept = {each.id: each for each in deliveries}
        self.released: Lane | None = None

    async def waiting(self, _: str, *, now: datetime, limit: int) -> list[Delivery]:
        due = [each for each in self.kept.values() if each.state is DeliveryState.WAITING and each.due_at <= now]
        return sorted(due, key=lambda each: each.due_at)[:limit]

    async def begin(self, deliveries: Sequence[Delivery], token: str) -> None:
        for each in deliveries:
            held = self.kept[each.id]
            self.kept[each.id] = replace(held, began=token, repeats=held.repeats + bool(held.began))

    async def judge(self, deliveries: Sequence[Delivery], token: str) -> None:
        for each in deliveries:
            if self.kept[each.id].began == token:
                self.kept[each.id] = each

    async def release(self, _: Claim, lane: Lane) -> None:
        self.released = lane

    def states(self) -> list[str]:
        return [each.state.value for each in self.kept.values()]


class Spy:
    """A channel that answers as it is told, and what it was given."""

    at_once = 2

    def __init__(self, answer: Callable[[int], Verdict] = lambda _: Sent()) -> None:
        self.sent: list[list[str]] = []
        self._answer = answer

    async def send(self, parcel: Parcel) -> Verdict:
        self.sent.append([each.id for each in parcel.deliveries])
        return self._answer(len(self.sent))


class Tenants:
    def __init__(self, its_book: Book) -> None:
        self._book = its_book

    def of(self, _: str, __: datetime) -> Book:
        return self._book


async def turn(
    deliveries: MemoryDeliveries,
    channel: Spy,
    lane: Lane | None = None,
    key: str = "",
    clock: Callable[[], datetime] | None = None,
    **hook: Any,
) -> Lane:
    """Take one turn at NOW and a second; return the lane as it was given back."""

    async def tell(_: Any) -> None: ...

    ours = book(subscription={"erp": {"url": URL, "secrets": [SECRET], **hook}})
    results: Any = type("Results", (), {"tell": staticmethod(tell)})
    channels: Any = {NoticeChannel.WEBHOOK: channel}
    tenants: Any = Tenants(ours)
    store: Any = deliveries
    now = NOW + timedelta(seconds=1)
    clock = clock or (lambda: now)
    turns = Turns(store, channels, tenants, results, Seal(key), margin_seconds=20, now=clock, chance=lambda: 0.0)
    known = lane or Lane(id="acme|webhook|hook:erp", blocked_until=NOW)
    await turns.take(Claim(lane=known, token="mine", wakes=1, until=now + timedelta(seconds=60)))
    assert deliveries.released is not None
    return deliveries.released


async def test_all_that_is_due_is_sent_and_done() -> None:
    kept, channel = (
        MemoryDeliveries(*(delivery(n) for n in range(5)), delivery(9, due_at=NOW + timedelta(hours=1))),
        Spy(),
    )
    await turn(kept, channel)
    assert kept.states() == ["sent"] * 5 + ["waiting"]
    assert len(channel.sent) == 5


async def test_a_receiver_that_is_away_is_not_asked_for_the_rest() -> None:
    kept, channel = (
        MemoryDeliveries(*(delivery(n) for n in range(9))),
        Spy(lambda _: AWAY),
    )
    lane = await turn(kept, channel)
    assert len(channel.sent) == channel.at_once
    assert [each.attempts for each in kept.kept.values()] == [1, 1, *[0] * 7]
    assert lane.blocked_until > NOW + timedelta(seconds=5)


async def test_after_a_failure_one_probe_goes_first() -> None:
    kept, channel = (
        MemoryDeliveries(*(delivery(n) for n in range(9))),
        Spy(lambda _: AWAY),
    )
    await turn(kept, channel, Lane(id="x", blocked_until=NOW, failures=3))
    assert len(channel.sent) == 1


async def test_one_that_refuses_a_message_gets_the_others() -> None:
    kept = MemoryDeliveries(*(delivery(n) for n in range(4)))
    await turn(kept, Spy(lambda n: Later(code="http_500", reason="500") if n == 1 else Sent()))
    assert kept.states() == ["waiting", "sent", "sent", "sent"]


async def test_a_receiver_that_is_gone_is_sent_nothing_more_until_its_address_changes() -> None:
    kept, channel = (
        MemoryDeliveries(*(delivery(n) for n in range(5))),
        Spy(lambda _: GONE),
    )
    lane = await turn(kept, channel)
    assert kept.states() == ["failed"] * 5
    assert len(channel.sent) <= channel.at_once
    later = MemoryDeliveries(delivery(7))
    await turn(later, channel, lane)
    assert (later.states(), len(channel.sent)) == (["failed"], channel.at_once)
    moved = MemoryDeliveries(delivery(8))
    await turn(moved, Spy(), lane, url="https://new.example/")
    assert moved.states() == ["sent"]


async def test_a_lane_with_a_rate_sends_no_more_than_that() -> None:
    kept, channel = MemoryDeliveries(*(delivery(n) for n in range(9))), Spy()
    lane = await turn(kept, channel, per_minute=3)
    assert len(channel.sent) == 3
    assert lane.blocked_until - NOW == timedelta(seconds=21)


async def test_what_may_have_arrived_already_is_sent_again_and_counted() -> None:
    kept = MemoryDeliveries(delivery(1, began="the dead"), delivery(2))
    await turn(kept, Spy())
    assert [(each.state.value, each.repeats) for each in kept.kept.values()] == [("sent", 1), ("sent", 0)]


async def test_what_cannot_be_unsealed_now_waits_and_what_has_no_address_is_given_up() -> None:
    sealed = Seal("A" * 43).close(SECRET)
    kept, channel = MemoryDeliveries(delivery(1)), Spy()
    lane = await turn(kept, channel, secrets=[sealed])
    (waiting,) = kept.kept.values()
    assert (waiting.state.value, waiting.attempts, waiting.code) == ("waiting", 1, "not_sealed")
    assert lane.blocked_until > NOW
    nowhere = MemoryDeliveries(delivery(2, recipient="hook:none"))
    await turn(nowhere, channel)
    assert nowhere.states() == ["failed"]
    assert channel.sent == []


async def test_a_bug_in_a_channel_costs_its_message_alone() -> None:
    class Broken(Spy):
        async def send(self, parcel: Parcel) -> Verdict:
            if parcel.first.id == "delivery-1":
                raise KeyError("ours")
            return await super().send(parcel)

    kept = MemoryDeliveries(delivery(1), delivery(2))
    await turn(kept, Broken())
    assert kept.states() == ["failed", "sent"]


async def test_what_goes_together_goes_in_one_message() -> None:
    kept, channel = MemoryDeliveries(*(delivery(n, fold="case:1") for n in range(3)), delivery(9)), Spy()
    await turn(kept, channel)
    assert channel.sent == [["delivery-0", "delivery-1", "delivery-2"], ["delivery-9"]]
    assert [each.folded_into for each in kept.kept.values()] == [None, "delivery-0", "delivery-0", None]


async def test_who_was_stopped_for_long_sends_nothing_any_more() -> None:
    kept, channel = MemoryDeliveries(delivery(1), delivery(2)), Spy()
    times = iter([NOW + timedelta(seconds=1)] * 3)
    await turn(kept, channel, clock=lambda: next(times, NOW + timedelta(minutes=5)))
    assert channel.sent == []
    assert kept.states() == ["waiting"] * 2
