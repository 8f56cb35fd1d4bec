"""What follows later: ends, reopenings, signals handed back, and wakes."""

from dataclasses import replace

import pytest

from services.intake.domain import wake_at
from shared.contracts.tenant import Flapping, Rule
from shared.contracts.words import Priority, Severity
from tests.unit.intake.desk import DEVICE, KEY, START, Desk, after, rules, text


def returned(desk: Desk, case_id: str, count: int, last_at, first_at=None, *, now=None):
    change = {"count": count, "last_at": text(last_at)} | ({"first_at": text(first_at)} if first_at else {})
    return desk.case("occurrences_returned", case_id, now=now, **change)


@pytest.mark.parametrize("name", ["closed", "cancelled", "archived", "deleted"])
def test_the_end_of_the_current_case_sends_it_what_is_untold(name):
    desk = Desk()
    for n in range(3):
        desk.raised(after(n))
    desk.told()
    desk.case(name)
    assert desk.told() == [("occur", 1)]
    assert (desk.key.open, desk.key.untold, wake_at(desk.key)) == (False, 0, None)
    assert desk.case(name).key is None


def test_an_end_with_nothing_untold_says_nothing():
    desk = Desk()
    desk.raised(START)
    desk.told()
    assert not desk.case("closed").key.open
    assert desk.told() == []


def test_events_of_other_cases_other_names_and_unknown_keys_change_nothing():
    desk = Desk()
    desk.raised(START)
    assert desk.case("closed", "some-other-case").key is None
    assert desk.case("assigned").key is None
    assert desk.case("reopened").key is None
    assert desk.case("closed", "case", dedup_key="never:heard").key is None
    desk.keys[None] = desk.key
    assert desk.case("closed", dedup_key=None).key is None


def test_a_reopened_case_counts_on():
    desk = Desk()
    desk.raised(START)
    desk.case("closed")
    desk.case("reopened")
    desk.told()
    desk.raised(after(1))
    assert (desk.key.episode, desk.key.count, desk.told()) == (1, 2, [("occur", 1)])


def test_a_reopened_case_stays_ended_for_us_when_a_newer_episode_exists():
    desk = Desk()
    desk.raised(START)
    old = desk.key.case_id
    desk.case("closed")
    desk.raised(after(1))
    assert desk.case("reopened", old).key is None
    desk.case("closed")
    assert desk.case("reopened", old).key is None
    assert desk.case("reopened").key.episode == 2


def test_a_clear_that_came_while_no_case_was_open_is_told_to_the_reopened_case():
    desk = Desk()
    desk.raised(START)
    desk.case("closed")
    desk.told()
    desk.cleared(after(1))
    assert desk.cleared(after(2)).key is None
    assert desk.decided()[-1] == ("refused", "no_open_case")
    desk.case("reopened")
    assert desk.told() == [("clear", text(after(1)))]


def test_a_stale_clear_is_not_kept_for_a_reopened_case():
    desk = Desk()
    desk.raised(START)
    desk.case("closed")
    assert desk.cleared(after(-1)).key is None
    desk.told()
    desk.case("reopened")
    assert desk.told() == []


def test_a_reopened_case_that_knows_of_the_clear_is_not_told_again():
    desk = Desk()
    desk.raised(START)
    desk.cleared(after(1))
    desk.case("closed")
    desk.told()
    desk.case("reopened", cleared=True)
    assert desk.told() == []


def test_a_reopened_case_that_missed_the_end_of_flapping_is_told():
    desk = Desk()
    desk.raised(START)
    desk.case("closed")
    desk.told()
    desk.case("reopened", flapping=True)
    assert desk.told() == [("flag_flapping", False)]
    desk.case("closed")
    desk.cleared(after(1))
    desk.case("reopened", flapping=True)
    assert desk.told() == [("flag_flapping", False), ("clear", text(after(1)))]


def test_flapping_stops_with_its_case_and_goes_on_when_it_is_reopened():
    desk = Desk(rules(flapping=Flapping(flips=1)))
    desk.raised(START)
    desk.cleared(after(1))
    desk.raised(after(2))
    desk.cleared(after(3))
    desk.case("closed")
    assert wake_at(desk.key) is None
    assert desk.wake(after(minutes=60)).key is None
    desk.told()
    desk.case("reopened", flapping=True)
    assert desk.told() == []
    assert wake_at(desk.key) == after(3, minutes=10)
    desk.wake(after(minutes=60))
    assert [name for name, *_ in desk.told()] == ["flag_flapping", "clear"]


def test_flapping_does_not_outlive_its_episode():
    desk = Desk(rules(flapping=Flapping(flips=1)))
    desk.raised(START)
    desk.cleared(after(1))
    desk.raised(after(2))
    desk.case("closed")
    desk.raised(after(3))
    assert (desk.key.flapping, desk.key.flips, desk.key.episode) == (None, (), 2)


def test_handed_back_signals_open_the_next_episode_from_the_last_report():
    desk = Desk(rules(Rule(name="urgent", priority=Priority.HIGH)))
    desk.raised(START, title="Hot", severity="major", machine={"serial": "SN-1"})
    old = desk.key.case_id
    desk.case("closed")
    desk.told()
    triage = returned(desk, old, 3, after(30), after(20))
    (create,) = triage.commands
    case = create.data["case"]
    assert (case["title"], case["severity"], case["priority"]) == ("Hot", "major", "high")
    assert (case["machine"], case["device_id"], case["occurred_at"]) == ({"serial": "SN-1"}, DEVICE, text(after(20)))
    assert case["links"] == [{"kind": "recurrence_of", "id": old}]
    told = {"dedup_key": KEY, "count": 3, "first_at": text(after(20)), "last_at": text(after(30))}
    assert case["signal"] == told
    (recurred,) = triage.decisions
    assert (recurred.name, recurred.data["reason"], recurred.data["count"]) == ("recurred", "returned", 3)
    assert (desk.key.count, desk.key.told, desk.key.severity) == (3, 3, Severity.MAJOR)


def test_handed_back_signals_that_cleared_meanwhile_open_a_cleared_case():
    desk = Desk()
    desk.raised(START)
    desk.case("closed")
    desk.cleared(after(50))
    desk.told()
    returned(desk, desk.key.case_id, 2, after(40))
    assert desk.told() == [("create",), ("clear", text(after(50)))]
    assert desk.key.cleared


def test_handed_back_signals_later_than_the_clear_open_an_active_case():
    desk = Desk()
    desk.raised(START)
    desk.case("closed")
    desk.cleared(after(50))
    desk.told()
    returned(desk, desk.key.case_id, 2, after(60))
    assert desk.told() == [("create",)]
    assert not desk.key.cleared


def test_handed_back_signals_join_the_open_episode_by_the_same_rules():
    desk = Desk()
    desk.raised(START)
    old = desk.key.case_id
    desk.case("closed")
    desk.raised(after(1))
    desk.told()
    triage = returned(desk, old, 6, after(1), now=after(2))
    assert desk.told() == [("occur", 6)]
    (joined,) = triage.decisions
    assert (joined.name, joined.data["reason"], joined.data["count"]) == ("joined", "returned", 6)
    returned(desk, old, 9, after(1), now=after(3))
    assert desk.told() == [("occur", 9)]
    returned(desk, old, 2, after(1), now=after(4))
    assert (desk.told(), desk.key.untold) == ([], 2)
    returned(desk, old, 1, after(1), now=after(13))
    assert desk.told() == [("occur", 3)]


def test_handed_back_signals_later_than_the_clear_bring_the_fault_back_at_once():
    desk = Desk()
    desk.raised(START)
    old = desk.key.case_id
    desk.case("closed")
    for n in range(4):
        desk.raised(after(1 + n))
    desk.cleared(after(6))
    desk.told()
    returned(desk, old, 1, after(6), now=after(6))
    assert desk.key.cleared
    assert desk.told() == []
    returned(desk, old, 1, after(7), now=after(7))
    assert (desk.told(), desk.key.cleared) == ([("occur", 2)], False)


def test_a_wake_tells_the_untold_once():
    desk = Desk()
    for n in range(3):
        desk.raised(after(n))
    desk.told()
    assert desk.wake(after(10.999), due=after(10)).key is None
    desk.wake(after(10.999), due=after(11))
    assert desk.told() == [("occur", 1)]
    assert desk.wake(after(30)).key is None


def test_a_wake_of_an_unknown_key_finds_nothing():
    assert Desk().wake(START).key is None


def test_commands_of_a_key_without_device_come_from_intake():
    desk = Desk()
    for _ in range(3):
        desk.raised(START)
    desk.keys[KEY] = replace(desk.key, device_id="")
    assert desk.wake(after(60)).commands[0].data["actor"]["id"] == "intake"
