"""What is sent when: in order, one message at a time, and again until its receipt."""

import itertools
import random

from callout_agent.domain.outbox import BATCH_BYTES, PATIENCE_MAX_S, PATIENCE_S, WINDOW, Outbox
from hypothesis import given
from hypothesis import strategies as st


def outbox(*seqs: int, **changed: int) -> Outbox:
    made = Outbox(**changed)
    for seq in seqs:
        made.add(seq)
    return made


def test_all_that_waits_goes_in_order_as_one_message() -> None:
    assert outbox(7, 8, 9).take(0.0) == [7, 8, 9]


def test_the_next_message_waits_for_the_receipts_of_the_last() -> None:
    made = outbox(1, 2)
    made.take(0.0)
    made.add(3)
    made.remove(1)
    assert made.take(1.0) == []
    made.remove(2)
    assert made.take(1.0) == [3]


def test_without_a_receipt_it_is_sent_again_ever_less_often() -> None:
    made, sent = outbox(1), []
    for second in range(2000):
        sent += [second for _ in made.take(float(second))]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert gaps[:4] == [PATIENCE_S, 2 * PATIENCE_S, 4 * PATIENCE_S, 8 * PATIENCE_S]
    assert max(gaps) == PATIENCE_MAX_S


def test_a_new_connection_sends_at_once_what_has_no_receipt() -> None:
    made = outbox(1, 2)
    made.take(0.0)
    made.remove(1)
    made.begin()
    assert made.take(0.0) == [2]


def test_what_was_refused_for_now_holds_back_what_comes_after_it() -> None:
    made = outbox(1, 2, 3, batch=2)
    made.take(0.0)
    made.remove(2)
    made.put_off(1, 0.0, 30.0)
    assert made.next_at() == 30.0
    assert made.take(29.0) == []
    assert made.take(30.0) == [1, 3]


def test_nothing_is_sent_far_after_the_oldest_without_a_receipt() -> None:
    made = outbox(1, *range(2, 400), batch=WINDOW)
    assert made.take(0.0)[-1] == WINDOW
    for seq in range(2, WINDOW + 1):
        made.remove(seq)
    made.begin()
    assert made.take(1.0) == [1]
    made.remove(1)
    assert made.take(1.0)[0] == WINDOW + 1


def test_a_message_is_no_larger_than_it_may_be_and_one_entry_goes_whatever_its_size() -> None:
    made = outbox(1, 2, 3)
    assert made.take(0.0, lambda seq: BATCH_BYTES if seq == 1 else 10) == [1]
    made.remove(1)
    assert made.take(0.0, lambda _: BATCH_BYTES // 2) == [2, 3]
    assert outbox(1, 2).take(0.0, lambda _: BATCH_BYTES + 1) == [1]


def test_an_empty_one_has_nothing_to_wait_for() -> None:
    made = outbox(1)
    assert made.next_at() == 0.0
    assert made.remove(1)
    assert not made.remove(1)
    assert made.next_at() is None
    assert made.take(0.0) == []


def test_what_was_given_up_is_named_from_the_oldest_on() -> None:
    assert outbox(1, 2, 3, 4).missing(lambda seq: seq >= 3) == [1, 2]


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 60))
def test_over_a_bad_line_each_is_received_and_in_order_and_within_the_memory_of_who_counts(
    seed: int, count: int, batch: int
) -> None:
    chance, made, now = random.Random(seed), outbox(*range(1, count + 1), batch=batch), 0.0
    arrived: list[int] = []
    while len(made):
        now += chance.uniform(0, 30)
        if chance.random() < 0.1:
            made.begin()
        for seq in made.take(now):
            if chance.random() < 0.9:  # else the message is lost, or its receipt
                arrived.append(seq)
                if chance.random() < 0.1:
                    made.put_off(seq, now, chance.uniform(0, 5))
                elif chance.random() < 0.8:
                    made.remove(seq)
    firsts = list(dict.fromkeys(arrived))
    assert set(firsts) == set(range(1, count + 1))
    for place, seq in enumerate(arrived):
        if seq in arrived[:place]:
            last = max(at for at, each in enumerate(arrived[:place]) if each == seq)
            assert len(set(arrived[last:place])) <= 128
