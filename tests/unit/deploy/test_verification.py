"""Each of the four counts rises for each of its reasons, and for nothing else."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from deploy.case_store import StoredCase
from tests.unit.deploy.history import ANN, BOB, Told, chain, event, good, outcome, rewritten

CLEAN = {"cases": 2, "events": 6, "lost": 0, "doubled": 0, "gaps": 0, "edited": 0}


def wrong(**counts: int) -> dict[str, int]:
    return {**CLEAN, **counts}


def test_a_good_history_is_clean() -> None:
    assert good().counts() == CLEAN


def test_the_findings_of_a_good_history_are_none() -> None:
    assert list(good().verification().findings()) == []


def test_an_empty_stack_is_clean() -> None:
    history = good()
    history.events, history.outcomes, history.store = [], [], {}
    assert history.counts() == wrong(cases=0, events=0)


def test_a_stub_is_no_case_and_no_fault() -> None:
    history = good()
    history.store["stub"] = StoredCase(id="stub", state=None, hash="")
    assert history.counts() == CLEAN


def test_a_refused_command_needs_no_event() -> None:
    history = good()
    history.outcomes.append(outcome(ANN, "c-9", 9, accepted=False))
    assert history.counts() == CLEAN


def test_a_repeated_outcome_of_one_command_is_no_fault() -> None:
    history = good()
    history.outcomes.append(history.outcomes[0])
    assert history.counts() == CLEAN


def test_the_last_event_absent_is_lost() -> None:
    history = good()
    del history.events[4]
    assert history.counts() == wrong(events=5, lost=1)


def test_all_events_of_a_stored_case_absent_are_lost() -> None:
    history = good()
    history.events = [told for told in history.events if json.loads(told.value)["case_id"] != BOB]
    assert history.counts() == wrong(events=4, lost=2)


def test_an_event_absent_in_the_middle_is_lost_and_a_gap() -> None:
    history = good()
    del history.events[2]
    assert history.counts() == wrong(events=5, lost=1, gaps=1)


def test_the_first_event_absent_is_lost_and_a_gap() -> None:
    history = good()
    del history.events[0]
    assert history.counts() == wrong(events=5, lost=1, gaps=1)


def test_an_accepted_outcome_without_its_event_is_lost() -> None:
    history = good()
    history.outcomes.append(outcome(ANN, "c-6", 5))
    assert history.counts() == wrong(lost=1)


def test_an_accepted_outcome_that_names_another_commands_event_is_lost() -> None:
    history = good()
    history.outcomes.append(outcome(ANN, "c-6", 4))
    assert history.counts() == wrong(lost=1)


def test_an_accepted_outcome_of_a_case_nobody_knows_is_lost() -> None:
    history = good()
    history.outcomes.append(outcome("nobody", "c-6", 1))
    assert history.counts() == wrong(lost=1)


def test_an_accepted_outcome_of_a_session_wants_no_event_of_the_case() -> None:
    history = good()
    history.outcomes.append(outcome(ANN, "s-1", 11, service="remote_session"))
    assert history.counts() == wrong()


def test_an_event_told_twice_is_doubled() -> None:
    history = good()
    history.events.append(history.events[0])
    assert history.counts() == wrong(events=7, doubled=1)


def test_one_command_applied_from_two_records_is_doubled() -> None:
    history = good()
    history.command(ANN, "c-4", 20)
    assert history.counts() == wrong(events=7, doubled=1)


def test_one_command_applied_again_much_later_is_doubled() -> None:
    history = good()
    history.command(ANN, "c-6", 21)
    history.command(ANN, "c-1", 22)
    assert history.counts() == wrong(events=8, doubled=1)


def test_one_record_applied_twice_in_a_row_is_doubled() -> None:
    history = good()
    history.command(ANN, "c-4", 13)
    assert history.counts() == wrong(events=7, doubled=1)


def test_one_cause_on_two_cases_is_not_doubled() -> None:
    history = good()
    history.command(BOB, "c-4", 20)
    assert history.counts() == wrong(events=7)


def test_a_changed_body_is_edited() -> None:
    history = good()
    history.events[0] = rewritten(history.events[0], lambda body: body.update(note="forged"))
    assert history.counts() == wrong(edited=1)


def test_a_changed_body_with_a_new_hash_of_its_own_is_edited() -> None:
    history = good()
    told = rewritten(history.events[0], lambda body: body.update(note="forged"))
    history.events[0] = replace(told, headers=chain(1, "0" * 64, told.value or b""))
    assert history.counts() == wrong(edited=1)


def test_a_last_event_forged_with_a_new_hash_is_edited() -> None:
    history = good()
    told = rewritten(history.events[4], lambda body: body.update(note="forged"))
    history.events[4] = replace(told, headers=chain(4, dict(told.headers)["ce_prevhash"].decode(), told.value or b""))
    assert history.counts() == wrong(edited=1)


def test_a_history_that_continues_another_is_edited() -> None:
    history = good()
    first = json.loads(history.events[1].value or b"")["case"]
    history.events[1] = event(BOB, first, "f" * 64, cause="c-2", offset=11)
    assert history.counts()["edited"] > 0


@pytest.mark.parametrize("name", ["ce_prevhash", "ce_hash", "ce_sequence"])
def test_a_header_of_the_chain_absent_is_edited(name: str) -> None:
    history = good()
    last = history.events[4]
    history.events[4] = replace(last, headers=tuple(header for header in last.headers if header[0] != name))
    assert history.counts() == wrong(edited=2 if name == "ce_hash" else 1)


def test_events_out_of_order_are_edited() -> None:
    history = good()
    history.events[2], history.events[3] = history.events[3], history.events[2]
    assert history.counts() == wrong(edited=1)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"case_id": "x"}', b'{"case_id": "x", "seq": "one"}'])
def test_an_event_that_cannot_be_read_is_edited(value: bytes | None) -> None:
    history = good()
    history.events.append(Told(value))
    assert history.counts() == wrong(events=7, edited=1)


def test_a_stored_field_changed_is_edited() -> None:
    history = good()
    history.store_state(ANN, title="forged")
    assert history.counts() == wrong(edited=1)


def test_a_stored_hash_changed_is_edited() -> None:
    history = good()
    history.store[ANN] = replace(history.store[ANN], hash="f" * 64)
    assert history.counts() == wrong(edited=1)


def test_a_document_that_contradicts_its_state_is_edited() -> None:
    history = good()
    history.store[ANN] = replace(history.store[ANN], torn=("state",))
    assert history.counts() == wrong(edited=1)


def test_a_store_set_back_is_edited() -> None:
    history = good()
    before = history.store[ANN]
    history.command(ANN, "c-6", 20)
    history.store[ANN] = before
    assert history.counts() == wrong(events=7, edited=1)


def test_a_case_that_is_not_stored_is_edited() -> None:
    history = good()
    del history.store[BOB]
    assert history.counts() == wrong(cases=1, edited=1)


def test_a_case_stored_as_a_stub_is_edited() -> None:
    history = good()
    history.store[BOB] = replace(history.store[BOB], state=None)
    assert history.counts() == wrong(cases=1, edited=1)


def test_what_was_on_its_way_is_healed_when_it_comes() -> None:
    history = good()
    history.command(ANN, "c-6", 20)
    late = history.events.pop()
    verification = history.verification()
    assert verification.suspects() == [ANN, ANN]
    verification.event(late)
    verification.stored(history.store[ANN])
    assert verification.counts() == wrong(events=7)
    assert not list(verification.findings())


def test_a_finding_says_where_and_why() -> None:
    history = good()
    del history.events[4]
    [finding] = history.verification().findings()
    assert (finding.case_id, finding.seq, finding.why) == (
        ANN,
        4,
        "event 4 is not in the topic; the stored case is at 4",
    )


def test_a_range_of_missing_events_is_one_finding() -> None:
    history = good()
    del history.events[2:4]
    gaps = [finding for finding in history.verification().findings() if finding.kind == "gaps"]
    assert [(gap.seq, gap.count) for gap in gaps] == [(2, 2)]


def test_any_order_of_cases_any_one_loss_is_seen() -> None:
    draw = random.Random(3)
    for _ in range(200):
        history = good()
        for number in range(6, 30):
            history.command(draw.choice((ANN, BOB)), f"c-{number}", 20 + number, events=draw.choice((1, 1, 2)))
        assert not any(history.counts()[kind] for kind in ("lost", "doubled", "gaps", "edited"))
        place = draw.randrange(len(history.events))
        body: dict[str, Any] = json.loads(history.events.pop(place).value or b"")
        assert history.counts()["lost"] == 1, body
