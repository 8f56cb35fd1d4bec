"""Too many new faults of one device at once: they share one case."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.intake.domain import on_verdict, wake_at
from shared.contracts.tenant import Rule, Storm
from shared.contracts.words import Priority, Severity
from tests.unit.intake.desk import DEVICE, START, TENANT, Desk, after, make_signal, rules, text

STORM_KEY = f"{DEVICE}:storm"


def burst(desk: Desk, faults: int, *, start=START, every: float = 1.0, name: str = "F") -> list[str]:
    """New faults one after the other; returns the keys that counted them."""
    told = []
    for n in range(faults):
        triage = desk.raised(start + timedelta(seconds=n * every), fault=f"{name}{n}")
        told.append(triage.verdict)
    return told


def test_the_twenty_first_new_fault_within_a_minute_and_all_further_ones_join_one_case():
    desk = Desk()
    assert burst(desk, 25) == ["open"] * 20 + ["storm"] * 5
    storm = desk.keys[STORM_KEY]
    assert (storm.open, storm.count, storm.episode, storm.openings) == (True, 5, 1, ())
    (create,) = [c for c in desk.commands if c.name == "create" and c.case_id == storm.case_id]
    assert create.data["case"]["title"] == f"Storm of new faults on {DEVICE}"
    assert create.data["case"]["signal"]["dedup_key"] == STORM_KEY
    assert sum(key.open for key in desk.keys.values()) == 21
    told = sum(c.data["count"] for c in desk.commands if c.name == "occur")
    assert 1 + told + storm.untold == 5
    assert desk.decided()[20:] == [("opened", "storm")]
    (joined,) = desk.settle()
    assert (joined.data["reason"], joined.data["count"], joined.data["dedup_key"]) == ("storm", 4, STORM_KEY)


@pytest.mark.parametrize(("every", "stormy"), [(2.99, True), (3.0, False)])
def test_a_storm_needs_its_openings_within_the_window_of_event_time(every, stormy):
    desk = Desk()
    assert ("storm" in burst(desk, 60, every=every)) is stormy
    assert len(desk.keys[STORM_KEY].openings) <= 40


def test_openings_count_by_event_time_in_whatever_order_they_come():
    desk = Desk(rules(storm=Storm(new_keys=3)))
    seconds = (500, 1000, 0, 1500, 30, 2000, 45, 20)
    verdicts = [desk.raised(after(s), now=after(3000), fault=f"F{n}").verdict for n, s in enumerate(seconds)]
    assert verdicts == ["open"] * 7 + ["storm"]


def test_repeats_of_a_fault_that_has_its_case_stay_there_during_a_storm():
    desk = Desk()
    burst(desk, 25)
    triage = desk.raised(after(30), fault="F0")
    assert (triage.key.count, triage.verdict) == (2, None)


def test_a_storm_lasts_until_five_minutes_of_event_time_pass_without_a_new_fault():
    desk = Desk()
    burst(desk, 25)
    assert desk.raised(after(24 + 299), fault="late").verdict == "storm"
    assert desk.raised(after(24 + 299 + 300), fault="later").verdict == "open"
    storm = desk.keys[STORM_KEY]
    assert (storm.storm, storm.open, storm.openings) == (None, True, (after(24 + 299 + 300),))


def test_a_wake_ends_a_storm_once():
    desk = Desk()
    burst(desk, 24)
    key = desk.keys[STORM_KEY]
    assert wake_at(key) == after(20 + 3 + 300)
    assert desk.wake(after(322), STORM_KEY).key is None
    desk.decided()
    desk.told()
    desk.wake(after(323), STORM_KEY)
    assert (desk.decided(), desk.told()) == ([("cleared", "quiet")], [])
    assert desk.keys[STORM_KEY].storm is None
    assert desk.wake(after(323), STORM_KEY).key is None


def test_a_straggler_from_long_before_the_storm_has_a_case_of_its_own():
    desk = Desk()
    burst(desk, 25)
    triage = desk.raised(after(-60), now=after(25), fault="old")
    storm = desk.keys[STORM_KEY]
    assert (triage.verdict, storm.openings, storm.storm is not None) == ("open", (after(-60),), True)
    assert desk.raised(after(-30), now=after(25), fault="young").verdict == "storm"


def test_a_storm_goes_on_in_the_next_episode_when_its_case_ends():
    desk = Desk()
    burst(desk, 22)
    desk.case("closed", dedup_key=STORM_KEY)
    desk.decided()
    desk.raised(after(23), fault="more")
    assert desk.decided() == [("joined", "storm"), ("recurred", "storm")]
    assert desk.keys[STORM_KEY].episode == 2


def test_the_storm_key_of_a_device_is_an_ordinary_key_too():
    desk = Desk(rules(storm=Storm(new_keys=1)))
    triage = desk.raised(START, fault="storm")
    assert (triage.verdict, triage.key.dedup_key, triage.key.count) == (None, STORM_KEY, 1)
    burst(desk, 2)
    assert desk.keys[STORM_KEY].count == 2
    assert desk.keys[STORM_KEY].raised_seq is None


def test_a_signal_that_a_storm_counted_is_not_counted_again():
    desk = Desk(rules(storm=Storm(new_keys=1)))
    desk.raised(START, fault="A")
    desk.raised(START, fault="B", signal_id=b"b" * 16)
    triage = desk.raised(START, fault="B", signal_id=b"b" * 16)
    assert (triage.key, triage.verdict, desk.keys[STORM_KEY].count) == (None, None, 1)
    assert desk.decided()[-1] == ("refused", "duplicate")


def test_a_signal_that_a_storm_counted_is_known_once_its_key_has_a_case_of_its_own():
    desk = Desk(rules(storm=Storm(new_keys=1, quiet_minutes=0.1)))
    desk.raised(START, fault="A")
    desk.raised(START, fault="B", signal_id=b"b" * 16)
    assert desk.keys[f"{DEVICE}:B"].open is False
    desk.raised(after(60), fault="B", signal_id=b"c" * 16)
    desk.decided()
    triage = desk.raised(after(61), fault="B", signal_id=b"b" * 16)
    assert (desk.decided(), triage.key) == ([("refused", "duplicate")], None)
    assert (desk.keys[f"{DEVICE}:B"].count, desk.keys[STORM_KEY].count) == (1, 1)


def test_the_case_of_a_storm_follows_the_rule_for_storms():
    some = (
        Rule(name="storms", fault="storm", priority=Priority.BLOCKER),
        Rule(name="all", severity=Severity.CRITICAL),
    )
    desk = Desk(rules(*some, storm=Storm(new_keys=1)))
    burst(desk, 2)
    case = desk.commands[-1].data["case"]
    assert (case["priority"], case["severity"]) == ("blocker", "critical")
    desk = Desk(rules(Rule(name="storms", fault="storm", severity=Severity.INFO), storm=Storm(new_keys=1)))
    burst(desk, 2)
    assert desk.commands[-1].data["case"]["severity"] == "info"


def test_handed_back_signals_of_a_storm_stay_with_the_storm_key():
    desk = Desk()
    burst(desk, 22)
    old = desk.keys[STORM_KEY].case_id
    desk.case("closed", dedup_key=STORM_KEY)
    change = {"count": 1, "last_at": text(after(22))}
    (create,) = desk.case("occurrences_returned", old, dedup_key=STORM_KEY, **change).commands
    assert create.data["case"]["title"] == f"Storm of new faults on {DEVICE}"


def test_a_guide_that_never_was_begins_with_the_first_opening():
    facts = {"signal": make_signal(), "signal_id": None, "now": START, "policy": rules()}
    guide = on_verdict(None, "open", **facts).key
    assert (guide.openings, guide.storm) == ((START,), None)
    assert (guide.tenant_id, guide.dedup_key, guide.device_id, guide.episode) == (TENANT, STORM_KEY, DEVICE, 0)


def test_what_the_guide_said_holds_though_others_changed_it_since():
    desk = Desk(rules(storm=Storm(new_keys=1)))
    burst(desk, 2)
    stormy = desk.keys[STORM_KEY]
    facts = {"signal": make_signal(fault="late"), "signal_id": None, "now": after(2), "policy": desk.policy}
    opened = on_verdict(stormy, "open", **facts)
    assert (opened.key.count, opened.key.openings, opened.commands, opened.decisions) == (1, (after(2),), (), ())
    calm = replace(stormy, storm=None)
    counted = on_verdict(calm, "storm", **facts)
    assert (counted.key.count, counted.key.storm, counted.key.openings) == (2, None, ())
