"""Presence: what is told of a device, whatever comes in whatever order."""

import pytest

from services.edge_adapter.domain import presence
from services.edge_adapter.domain.presence import degraded_after_s, offline_after_s
from shared.contracts.presence import DevicePresence, Presence
from tests.unit.edge_adapter.devices import INTERVAL_S, Watch, at

DEGRADED, GONE = degraded_after_s(INTERVAL_S), offline_after_s(INTERVAL_S)


def test_a_birth_makes_a_device_online_and_its_beats_are_no_news() -> None:
    watch = Watch().sees(0, "birth").sees(10, "beat", n=1).sees(20, "beat", n=2)
    assert watch.story == [("online", "birth", 1)]
    assert watch.device.seen_at == at(20)


def test_a_beat_alone_shows_a_device_whose_birth_was_lost_and_the_late_birth_is_no_news() -> None:
    watch = Watch().sees(0, "beat", n=3).sees(1, "birth", n=0)
    assert watch.story == [("online", "heartbeat", 1)]
    assert watch.device.n == 3


@pytest.mark.parametrize(("kind", "cause"), [("will", "will"), ("leave", "clean")])
def test_a_death_ends_its_epoch_for_good(kind: str, cause: str) -> None:
    watch = Watch().sees(0, "birth").sees(10, "beat", n=1).sees(12, kind)
    watch.sees(13, "beat", n=2).sees(14, "birth").sees(15, kind).sees(16, "will")
    assert watch.story == [("online", "birth", 1), ("offline", cause, 1)]


@pytest.mark.parametrize("kind", ["will", "leave"])
def test_a_late_death_never_ends_a_newer_birth(kind: str) -> None:
    watch = Watch().sees(0, "birth", epoch=1).sees(5, "birth", epoch=2).sees(6, kind, epoch=1)
    assert watch.story == [("online", "birth", 1), ("online", "birth", 2)]
    assert watch.device.alive


def test_a_death_that_overtakes_its_birth_leaves_the_device_offline() -> None:
    watch = Watch().sees(0, "birth", epoch=1).sees(5, "will", epoch=2).sees(6, "birth", epoch=2)
    assert watch.story == [("online", "birth", 1), ("offline", "will", 2)]


def test_a_connection_never_seen_alive_that_died_is_no_news_of_a_device_that_is_offline() -> None:
    watch = Watch().sees(0, "birth").sees(1, "will").sees(2, "will", epoch=2).sees(3, "birth", epoch=2)
    assert watch.story == [("online", "birth", 1), ("offline", "will", 1)]


def test_silence_degrades_then_takes_offline_and_a_beat_brings_back() -> None:
    watch = Watch().sees(0, "birth").looks(DEGRADED - 0.01)
    assert len(watch.told) == 1
    watch.looks(DEGRADED).looks(GONE - 0.01).looks(GONE).looks(GONE + 5).sees(30, "beat", n=1)
    assert watch.story[1:] == [("degraded", "timeout", 1), ("offline", "timeout", 1), ("online", "heartbeat", 1)]
    assert watch.told[2]["detection_delay_s"] == pytest.approx(GONE)
    assert watch.told[2]["evidence"]["silent_s"] == pytest.approx(GONE)
    assert watch.told[2]["last_seen"] == "2026-03-02T10:00:00.000Z"


def test_a_look_that_comes_very_late_goes_straight_to_offline() -> None:
    assert Watch().sees(0, "birth").looks(1000).story[1:] == [("offline", "timeout", 1)]


def test_time_in_which_nobody_listened_is_no_silence() -> None:
    watch = Watch().sees(0, "birth").looks(500, since=499)
    assert watch.story == [("online", "birth", 1)]
    watch.looks(499 + GONE - 0.01, since=499)
    assert watch.story[-1] == ("degraded", "timeout", 1)
    watch.looks(499 + GONE, since=499)
    assert watch.story[-1] == ("offline", "timeout", 1)


def test_silence_counts_only_until_all_have_listened() -> None:
    assert Watch().sees(0, "birth").looks(500, until=DEGRADED - 0.01).story == [("online", "birth", 1)]


def test_a_boot_is_told_over_connections_and_forgotten_by_a_connection_that_tells_none() -> None:
    watch = Watch().sees(0, "birth", boot=7).sees(1, "beat", n=1).sees(2, "will", boot=7)
    watch.sees(3, "birth", epoch=2, boot=7).sees(4, "will", epoch=3, boot=7).sees(5, "birth", epoch=4, boot=8)
    watch.sees(6, "birth", epoch=5)
    assert [(each["epoch"], each.get("boot")) for each in watch.told] == [
        (1, 7),
        (1, 7),
        (2, 7),
        (3, 7),
        (4, 8),
        (5, None),
    ]


def test_older_beats_prove_nothing() -> None:
    watch = Watch().sees(0, "birth").sees(10, "beat", n=4).sees(15, "beat", n=2).sees(16, "beat", n=4)
    assert watch.device.seen_at == at(10)


def test_every_change_is_told_with_the_next_number() -> None:
    watch = Watch().sees(0, "birth").looks(DEGRADED).looks(GONE).sees(20, "birth", epoch=2).sees(21, "leave", epoch=2)
    assert [each["change"] for each in watch.told] == [1, 2, 3, 4, 5]
    assert all(DevicePresence.model_validate(each) for each in watch.told)
    assert [(a["status"], b["previous"]) for a, b in zip(watch.told, watch.told[1:], strict=False)] == [
        (a["status"], a["status"]) for a in watch.told[:-1]
    ]


def test_how_long_it_took_to_know_is_told_by_the_brokers_clock() -> None:
    watch = Watch().sees(1, "birth", received_at=at(0.25)).sees(2, "birth", epoch=2, received_at=at(50))
    assert [each["detection_delay_s"] for each in watch.told] == [0.75, 0.0]


def test_a_device_that_changes_too_often_is_unstable_until_it_is_calm_and_the_truth_is_told_all_the_while() -> None:
    watch = Watch()
    for number in range(4):
        watch.sees(number * 10, "birth", epoch=number + 1).sees(number * 10 + 5, "will", epoch=number + 1)
    assert [each["unstable"] for each in watch.told] == [False] * 6 + [True] * 2
    watch.looks(300 + 19.9)  # four changes are in the window still
    assert watch.device.unstable
    watch.looks(300 + 20)
    assert not watch.device.unstable
    assert watch.told[-1] | {"change": 9, "status": "offline", "unstable": False} == watch.told[-1]
    assert watch.told[-1]["evidence"] == {"kind": "calm"}


def test_changes_far_apart_are_no_flapping() -> None:
    watch = Watch()
    for number in range(20):
        watch.sees(number * 100, "birth", epoch=number + 1).sees(number * 100 + 99, "will", epoch=number + 1)
    assert not any(each["unstable"] for each in watch.told)


def test_a_decommissioned_device_is_told_so_and_comes_back_only_with_a_new_epoch() -> None:
    watch = Watch().sees(0, "birth", epoch=7).sees(1, "leave", epoch=7, n=1).sees(2, "decommission", epoch=0)
    watch.sees(3, "beat", epoch=7, n=2).sees(4, "decommission", epoch=0)
    assert watch.story[1:] == [("offline", "clean", 7), ("offline", "decommission", 7)]
    assert watch.sees(5, "birth", epoch=8).story[-1] == ("online", "birth", 8)


def test_a_device_whose_clock_was_set_back_is_believed_after_an_interval() -> None:
    watch = Watch().sees(0, "birth", epoch=1000).sees(5, "will", epoch=1000).sees(6, "birth", epoch=10)
    assert watch.device.status is Presence.OFFLINE
    watch.sees(16, "beat", epoch=10, n=1)
    assert watch.story[-1] == ("online", "heartbeat", 10)


def test_a_device_whose_clock_was_set_back_without_a_will_never_shows_offline() -> None:
    watch = Watch().sees(0, "birth", epoch=1000).sees(1, "birth", epoch=10).sees(11, "beat", 10, n=1).looks(GONE)
    assert "offline" not in [status for status, _, _ in watch.story]
    assert watch.device.epoch == 10


def test_late_beats_of_an_older_epoch_do_not_raise_the_dead() -> None:
    watch = Watch().sees(0, "birth", epoch=1).sees(1, "birth", epoch=2).sees(2, "will", epoch=2)
    watch.sees(3, "beat", epoch=1, n=1).sees(3.2, "beat", epoch=1, n=2).sees(60, "beat", epoch=1, n=3, queued=True)
    assert watch.device.status is Presence.OFFLINE


def test_a_second_device_of_the_same_name_with_a_lower_epoch_changes_nothing_while_the_first_is_alive() -> None:
    watch = Watch().sees(0, "birth", epoch=2)
    for n in range(1, 20):
        watch.sees(n * 10, "beat", epoch=2, n=n).sees(n * 10 + 1, "beat", epoch=1, n=n)
    assert watch.story == [("online", "birth", 2)]


def test_a_device_is_looked_at_when_time_may_change_it_and_else_not() -> None:
    watch = Watch()
    assert presence.due(watch.device) is None
    due = presence.due(watch.sees(0, "birth").device)
    assert due is not None
    assert (due.at, due.silence_s) == (at(DEGRADED), DEGRADED)
    due = presence.due(watch.looks(DEGRADED).device)
    assert due is not None
    assert due.at == at(GONE)
    assert presence.due(watch.looks(GONE).device) is None


@pytest.mark.parametrize("interval_s", [1, 2, 5, 10, 30, 60, 3600])
def test_a_device_on_time_is_never_degraded_and_a_silent_one_gone_in_time(interval_s: float) -> None:
    assert interval_s * 1.2 < degraded_after_s(interval_s) < offline_after_s(interval_s) < 1.5 * interval_s + 1


def test_silence_counts_from_when_the_clock_was_set_back() -> None:
    watch = Watch().sees(7_200, "birth").looks(10)
    assert watch.device.seen_at == at(10)
    assert watch.looks(20).story == [("online", "birth", 1)]
    assert watch.looks(26).story[1:] == [("offline", "timeout", 1)]
