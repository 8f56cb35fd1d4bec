"""What becomes of raised signals: episodes, counts and differences."""

from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

import pytest

from services.intake.domain import Key, Kind, Policy, needs_guide, wake_at
from services.intake.domain.key import EPOCH, NO_REPORT
from shared.contracts.tenant import Rule
from shared.contracts.words import CaseType, Priority, Severity
from tests.unit.intake.desk import DEVICE, KEY, START, TENANT, Desk, after, make_signal, rules, text


def test_first_raise_opens_a_case_at_once():
    desk = Desk()
    triage = desk.raised(START, severity="error", machine={"serial": "SN-1", "model": "X2"}, seq=17)
    case_id = str(uuid5(uuid5(NAMESPACE_URL, "urn:callout"), f"{TENANT}|{KEY}|1"))
    (create,) = triage.commands
    assert (create.name, create.case_id) == ("create", case_id)
    assert create.data == {
        "case_id": case_id,
        "tenant_id": TENANT,
        "actor": {"id": DEVICE, "role": "device", "tenant_id": TENANT},
        "case": {
            "title": "E417 on press-07",
            "severity": "major",
            "device_id": DEVICE,
            "machine": {"serial": "SN-1", "model": "X2"},
            "occurred_at": text(START),
            "origin": "device",
            "channel": "device",
            "signal": {
                "dedup_key": KEY,
                "count": 1,
                "first_at": text(START),
                "last_at": text(START),
                "raw_severity": "error",
            },
        },
    }
    assert triage.decisions[0].data == {
        "tenant_id": TENANT,
        "dedup_key": KEY,
        "device_id": DEVICE,
        "case_id": case_id,
        "episode": 1,
        "count": 1,
        "at": text(START),
        "reason": "first",
    }
    assert (desk.key.open, desk.key.count, desk.key.told, desk.key.raised_seq) == (True, 1, 1, 17)
    assert (triage.verdict, desk.keys[f"{DEVICE}:storm"].openings) == ("open", (START,))


def test_what_a_case_has_no_field_for_goes_along_with_its_create():
    desk = Desk()
    long = {"title": "t" * 201, "description": "d" * 4001, "shift": "late", "case_code": "0001-0002", "template": "tp"}
    (create,) = desk.raised(after(301), now=START, measurements={"temp_c": 91.4}, machine={}, **long).commands
    assert create.data["raw"] == {"shift": "late", "title": "t" * 201, "description": "d" * 4001}
    assert create.data["measurements"] == {"temp_c": 91.4}
    assert create.data["clock_skew"] is True
    case = create.data["case"]
    assert (case["title"], case["description"]) == ("t" * 200, "d" * 4000)
    assert (case["case_code"], case["template_id"], case["occurred_at"]) == ("0001-0002", "tp", text(START))
    assert "machine" not in case


@pytest.mark.parametrize(("at", "taken"), [(None, START), (after(300), after(300)), (after(-1e8), after(-1e8))])
def test_event_time_is_the_records_time_or_up_to_five_minutes_ahead_of_it(at, taken):
    desk = Desk()
    (create,) = desk.raised(at, now=START).commands
    assert create.data["case"]["signal"]["last_at"] == text(taken)
    assert "clock_skew" not in create.data


def test_repeats_are_told_at_powers_of_two_and_the_rest_within_ten_seconds():
    desk = Desk()
    for n in range(9):
        desk.raised(after(n / 10))
    assert desk.told() == [("create",), ("occur", 1), ("occur", 2), ("occur", 4)]
    assert (desk.key.count, desk.key.untold, wake_at(desk.key)) == (9, 1, after(0.7 + 10))
    desk.raised(after(10.6))
    assert desk.told() == []
    desk.raised(after(10.7))
    assert desk.told() == [("occur", 3)]
    assert (desk.key.untold_first_at, desk.key.untold_last_at, wake_at(desk.key)) == (EPOCH, EPOCH, None)


def test_a_difference_spans_the_event_times_of_what_was_untold():
    desk = Desk()
    for at in (0, 1, 2):
        desk.raised(after(at), now=START)
    for at in (-50, 7, 3):
        desk.raised(after(at), now=START)
    (occur,) = [c for c in desk.commands if c.data.get("count") == 2 and c.data["last_at"] != text(after(3))]
    assert (occur.data["first_at"], occur.data["last_at"]) == (text(after(-50)), text(after(2)))


def test_a_rise_in_severity_is_told_at_once_and_severity_never_falls():
    desk = Desk()
    for severity in ("minor", "minor", "major", "info", "warning"):
        desk.raised(START, severity=severity)
    assert desk.told() == [("create",), ("occur", 1), ("occur", 1, "major"), ("occur", 1)]
    assert desk.key.severity is Severity.MAJOR


def test_joined_signals_are_one_decision_per_batch():
    desk = Desk()
    for n in range(3):
        desk.raised(after(n))
    assert desk.decided() == [("opened", "first")]
    (joined,) = desk.settle()
    assert (joined.name, joined.data["count"], joined.data["at"]) == ("joined", 2, text(after(2)))
    assert desk.settle() == []


def test_a_raise_after_the_end_opens_the_next_episode_with_a_link_back():
    desk = Desk()
    desk.raised(START)
    desk.raised(START)
    first = desk.key.case_id
    desk.case("closed")
    (create,) = desk.raised(after(60)).commands
    assert create.data["case"]["links"] == [{"kind": "recurrence_of", "id": first}]
    assert (desk.key.episode, desk.key.previous_case_id, desk.key.count) == (2, first, 1)
    assert desk.decided() == [("opened", "first"), ("joined", "open_case"), ("recurred", "ended_before")]


def test_the_same_signal_id_is_counted_once():
    desk = Desk()
    desk.raised(START, signal_id=b"a" * 16)
    triage = desk.raised(START, signal_id=b"a" * 16)
    assert (triage.key, triage.commands, desk.key.count) == (None, (), 1)
    assert desk.decided() == [("opened", "first"), ("refused", "duplicate")]
    assert desk.cleared(START, signal_id=b"a" * 16).decisions[0].data["reason"] == "duplicate"
    desk.raised(START)
    desk.raised(START)
    assert desk.key.count == 3


def test_the_last_128_signal_ids_are_remembered():
    desk = Desk()
    for n in range(129):
        desk.raised(START, signal_id=n.to_bytes(16, "big"))
    assert len(desk.key.recent) == 128 * 16
    assert not desk.key.remembers((0).to_bytes(16, "big"))
    assert desk.key.remembers((1).to_bytes(16, "big"))


def test_an_id_that_lies_across_two_others_is_not_remembered():
    key = Key(tenant_id=TENANT, dedup_key=KEY, recent=b"a" * 8 + b"b" * 16 + b"c" * 8 + b"d" * 16)
    assert not key.remembers(b"b" * 16)
    assert key.remembers(b"d" * 16)
    assert replace(key, recent=b"a" * 8 + b"b" * 24).remembers(b"b" * 16)


def test_only_a_raise_that_may_open_an_episode_asks_the_guide():
    policy = rules(Rule(name="quiet", fault="noise", suppress=True), Rule(name="loud", severity=Severity.MAJOR))
    desk = Desk(policy)
    assert needs_guide(None, Kind.RAISED, make_signal(), Policy())
    assert needs_guide(None, Kind.RAISED, make_signal(), policy)
    assert not needs_guide(None, Kind.CLEARED, make_signal(), policy)
    assert not needs_guide(None, Kind.RAISED, make_signal(fault="noise"), policy)
    assert not needs_guide(None, Kind.RAISED, make_signal(fault="storm"), policy)
    desk.raised(START)
    assert not needs_guide(desk.key, Kind.RAISED, make_signal(), policy)
    desk.case("closed")
    assert needs_guide(desk.key, Kind.RAISED, make_signal(), policy)


@pytest.mark.seed("S0.30")
def test_a_rule_decides_how_a_case_begins():
    rule = Rule(
        name="spindles",
        fault="E4*",
        severity=Severity.CRITICAL,
        priority=Priority.HIGH,
        case_type=CaseType.ANOMALY,
        title="Look at the spindle",
        assignee="ann",
    )
    triage = Desk(rules(rule)).raised(START, severity="info", title="hot")
    case = triage.commands[0].data["case"]
    assert (case["severity"], case["priority"], case["case_type"]) == ("critical", "high", "anomaly")
    assert (case["title"], case["assignees"]) == ("Look at the spindle", ["ann"])
    assert triage.decisions[0].data["rule"] == "spindles"


def test_a_bare_rule_changes_nothing_of_a_case():
    plain = Desk().raised(START).commands[0].data
    assert Desk(rules(Rule(name="any"))).raised(START).commands[0].data == plain


def test_suppressed_raises_are_counted_nowhere_but_clears_go_through():
    desk = Desk()
    desk.raised(START)
    desk.policy = rules(Rule(name="quiet", suppress=True))
    triage = desk.raised(after(1))
    assert (triage.key, triage.verdict, triage.commands, desk.key.count) == (None, None, (), 1)
    assert triage.decisions[0].data["rule"] == "quiet"
    assert desk.cleared(after(2)).commands[0].name == "clear"
    assert desk.decided() == [("opened", "first"), ("suppressed", "rule"), ("cleared", "condition")]


def test_a_maintenance_window_holds_by_event_time_and_excludes_its_end():
    window = {"device": "press-*", "starts_at": START, "until": after(60), "reason": "new bearing"}
    other = {"device": "mill-*", "starts_at": START, "until": after(600)}
    bare = {"fault": "E4*", "starts_at": after(200), "until": after(201)}
    faults = {"fault": "X*", "starts_at": START, "until": after(600)}
    desk = Desk(rules(windows=(other, faults, window, bare)))
    (suppressed,) = desk.raised(after(59), now=after(500)).decisions
    details = {"starts_at": text(START), "until": text(after(60)), "reason": "new bearing"}
    assert (suppressed.data["reason"], suppressed.data["details"]) == ("maintenance", details)
    assert "reason" not in desk.raised(after(200)).decisions[0].data["details"]
    assert desk.raised(after(60)).commands[0].name == "create"


def test_the_first_rule_that_matches_fault_and_device_counts():
    some = (Rule(name="a", fault="E4*", device="mill-*"), Rule(name="b", fault="E[34]17"), Rule(name="c"))
    policy = rules(*some)
    named = [policy.rule(*pair).name for pair in (("E417", "press-07"), ("E417", "mill-1"), ("e417", "x"), ("Z", "x"))]
    assert named == ["b", "a", "c", "c"]
    assert policy.rule("E417", "mill-1").name == "a"
    assert rules(some[0]).rule("E417", "press-07") is None


def test_what_matched_is_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr("services.intake.domain.policy.REMEMBERED_MAX", 2)
    policy = rules(Rule(name="a", fault="E*"))
    for fault in ("E1", "E2", "E3"):
        assert policy.rule(fault, "x").name == "a"
    assert len(policy._found) == 1


def test_a_key_without_episode_has_no_report_and_nothing_to_wake_for():
    key = Key(tenant_id=TENANT, dedup_key=KEY)
    assert (key.report, wake_at(key)) == (NO_REPORT, None)


def test_a_clock_that_stands_at_the_beginning_of_time_is_taken_at_its_word():
    desk = Desk()
    dawn = EPOCH.replace(year=1)
    for _ in range(2):
        desk.raised(dawn, now=START)
        desk.cleared(dawn, now=START)
    assert (desk.key.count, desk.key.raised_at, desk.key.cleared) == (2, dawn, True)
