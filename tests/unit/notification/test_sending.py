"""What becomes of deliveries and lanes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.notification.domain.delivery import DeliveryState
from services.notification.domain.sending import (
    ATTEMPTS_MAX,
    SCHEDULE,
    WAITS_MAX,
    Lane,
    Later,
    Never,
    Sent,
    batches,
    expired,
    fared,
    folded,
    judged,
)
from tests.unit.notification.news_of import NOW, delivery

LATER = Later(code="http_500", reason="the receiver says 500")
AWAY = Later(code="timeout", reason="no answer", away=True)
LANE = Lane(id="acme|webhook|hook:erp", blocked_until=NOW)


def test_what_was_taken_is_done() -> None:
    done = judged(delivery(began="round"), Sent(), now=NOW, chance=0)
    assert (done.state, done.attempts, done.done_at, done.began) == (DeliveryState.SENT, 1, NOW, "")


def test_a_delivery_is_tried_by_the_schedule_of_standard_webhooks_then_given_up() -> None:
    each, waits = delivery(), []
    for _ in range(len(SCHEDULE)):
        each = judged(each, LATER, now=NOW, chance=0)
        waits.append(each.due_at - NOW)
    assert waits == list(SCHEDULE)
    assert [wait.total_seconds() for wait in waits[:4]] == [5, 300, 1800, 7200]
    last = judged(each, LATER, now=NOW, chance=0)
    assert (last.state, last.attempts, last.code) == (DeliveryState.FAILED, ATTEMPTS_MAX, "http_500")


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_tries_are_spread_but_never_early(chance: float) -> None:
    due = judged(delivery(), LATER, now=NOW, chance=chance).due_at - NOW
    assert timedelta(seconds=5) <= due <= timedelta(seconds=6)


def test_who_asks_to_wait_is_left_alone_for_so_long() -> None:
    wait = replace(LATER, wait=timedelta(hours=1))
    assert judged(delivery(), wait, now=NOW, chance=0).due_at - NOW == timedelta(hours=1)
    assert fared(LANE, [wait], "", now=NOW, chance=0).blocked_until - NOW == timedelta(hours=1)


def test_what_will_never_be_taken_is_given_up_at_once() -> None:
    over = judged(delivery(), Never(code="invalid_url", reason="x"), now=NOW, chance=0)
    assert (over.state, over.code, over.attempts) == (DeliveryState.FAILED, "invalid_url", 1)


def test_a_receiver_that_is_away_is_left_alone_for_longer_and_longer_but_minutes_at_most() -> None:
    lane, waits = LANE, []
    for _ in range(9):
        lane = fared(lane, [AWAY], "", now=NOW, chance=0)
        waits.append((lane.blocked_until - NOW).total_seconds())
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert fared(lane, [Sent()], "", now=NOW, chance=0).failures == 0


def test_one_bad_delivery_does_not_stop_its_lane_but_many_in_a_row_do() -> None:
    lane = fared(LANE, [LATER] * 4, "", now=NOW, chance=0)
    assert lane.blocked_until == NOW
    assert fared(lane, [Sent(), LATER], "", now=NOW, chance=0).blocked_until == NOW
    assert fared(lane, [LATER], "", now=NOW, chance=0).blocked_until > NOW


def test_a_receiver_that_is_gone_is_remembered_by_its_address() -> None:
    gone = fared(LANE, [Never(code="gone", reason="410", gone=True)], "https://a.example", now=NOW, chance=0)
    assert gone.gone == "https://a.example"
    assert fared(gone, [Never(code="x", reason="x")], "https://a.example", now=NOW, chance=0).gone == gone.gone


def test_who_waits_for_a_receiver_that_does_not_come_back_is_given_up_after_days() -> None:
    waiting = delivery(due_at=NOW)
    assert expired(waiting, NOW + WAITS_MAX) is None
    over = expired(waiting, NOW + WAITS_MAX + timedelta(seconds=1))
    assert over is not None
    assert (over.state, over.code) == (DeliveryState.FAILED, "expired")
    put_off = delivery(due_at=NOW + timedelta(days=5))
    assert expired(put_off, NOW + timedelta(days=6)) is None


def test_what_has_one_fold_goes_together_and_shares_its_fate() -> None:
    one, two, three, alone = (delivery(n, fold=fold) for n, fold in ((1, "a"), (2, "b"), (3, "a"), (4, "")))
    assert [[each.id for each in batch] for batch in batches([one, two, three, alone])] == [
        ["delivery-1", "delivery-3"],
        ["delivery-2"],
        ["delivery-4"],
    ]
    first, other = folded([one, three], judged(one, Sent(), now=NOW, chance=0))
    assert (first.folded_into, other.folded_into, other.state) == (None, "delivery-1", DeliveryState.SENT)
    _, later = folded([one, three], judged(one, LATER, now=NOW, chance=0))
    assert (later.folded_into, later.state, later.attempts) == (None, DeliveryState.WAITING, 1)


def test_a_lane_goes_at_its_rate() -> None:
    full = LANE.filled(30, NOW)
    assert full.tokens == 30
    empty = full.spent(30)
    assert empty.next_token_at(30, NOW) - NOW == timedelta(seconds=2)
    assert empty.filled(30, NOW + timedelta(seconds=4)).tokens == pytest.approx(2)
    assert empty.filled(30, NOW + timedelta(hours=4)).tokens == 30
    assert LANE.spent(5) == LANE


def test_what_was_begun_together_is_sent_again_as_it_was_and_what_came_since_apart() -> None:
    begun = [delivery(n, fold="case:1", began="turn-1") for n in (1, 2)]
    again, since = batches([*begun, delivery(3, fold="case:1")])
    assert [each.id for each in again] == ["delivery-1", "delivery-2"]
    assert [each.id for each in since] == ["delivery-3"]


def test_one_message_tells_of_a_hundred_changes_and_another_of_the_rest() -> None:
    found = batches([delivery(n, fold="digest") for n in range(250)])
    assert [len(batch) for batch in found] == [100, 100, 50]
    assert [each.id for batch in found for each in batch] == [f"delivery-{n}" for n in range(250)]


def test_who_goes_along_in_a_message_that_is_sent_again_is_counted_too() -> None:
    batch = [delivery(n, fold="case:1", began="turn-1", repeats=1) for n in (1, 2)]
    first = judged(replace(batch[0], repeats=2), Sent(), now=NOW, chance=0)
    assert [each.repeats for each in folded(batch, first)] == [2, 2]
