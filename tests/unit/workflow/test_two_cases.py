"""Two cases, one writer each: merging and families by messages, in every order that the broker allows."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.workflow.domain.family import parent_of
from shared.contracts.case import Link
from shared.contracts.words import LinkKind
from tests.unit.workflow.test_history import again
from tests.unit.workflow.village import Village, misfits, name_of

A, B, C, D = (name_of(number) for number in range(4))


def village(size: int = 4, seed: int = 1) -> Village:
    return Village(seed, size)


def events(cases: Village, name: str) -> list[str]:
    return [dict(told.headers)["ce_type"].decode().split(".")[2] for told in cases.told[name]]


def last_change(cases: Village, name: str) -> dict[str, Any]:
    change: dict[str, Any] = orjson.loads(cases.told[name][-1].value or b"")["change"]
    return change


def accepted(outcome: dict[str, Any] | None) -> bool:
    assert outcome is not None
    return bool(outcome["accepted"])


def code(outcome: dict[str, Any] | None) -> str | None:
    assert outcome is not None
    found: str | None = outcome.get("code")
    return found


# Merging


def test_when_a_case_is_merged_then_it_ends_as_a_duplicate_and_both_name_the_other() -> None:
    cases = village()
    cases.say(A, "start")
    assert accepted(cases.say(A, "merge", into=B))
    assert last_change(cases, A) == {
        "state": "CANCELLED",
        "resolution": {"outcome": "duplicate"},
        "links": [{"kind": "duplicate_of", "id": B}],
        "into": B,
        "before": {"state": "IN_PROGRESS"},
    }
    cases.settle()
    assert cases.state(A).state == "CANCELLED"
    assert cases.state(B).links == (Link(kind=LinkKind.DUPLICATE, id=A),)
    assert events(cases, B) == ["created", "linked"]
    assert misfits(cases.cases) == []


@pytest.mark.parametrize("ending", ["close", "cancel", "delete", "merge"])
def test_when_the_target_is_not_open_then_the_source_is_again_what_it_was(ending: str) -> None:
    cases = village()
    arguments = {"cancel": {"reason": "x"}, "merge": {"into": C}}.get(ending, {})
    cases.say(B, ending, **arguments)
    cases.say(A, "hold", reason="parts")
    cases.say(A, "request_close", "operator")
    before = cases.state(A)
    assert accepted(cases.say(A, "merge", into=B))
    assert cases.state(A).close_request is None
    cases.settle()
    after = cases.state(A)
    assert (after.state, after.resolution, after.links) == (before.state, None, ())
    assert after.close_request == before.close_request
    assert events(cases, A)[-2:] == ["merged", "unmerged"]
    refused = last_change(cases, A)["refused"]
    assert refused["code"] == ("deleted" if ending == "delete" else "invalid_transition")
    assert refused["message"]
    assert misfits(cases.cases) == []


def test_when_the_target_does_not_exist_then_the_source_is_again_what_it_was() -> None:
    cases = village()
    cases.say(A, "merge", into=name_of(99))
    cases.settle()
    assert cases.state(A).state == "NEW"
    assert last_change(cases, A)["refused"]["code"] == "not_found"


def test_when_a_case_is_merged_into_itself_then_that_is_invalid() -> None:
    assert code(village().say(A, "merge", into=A)) == "invalid_command"


@pytest.mark.parametrize("seed", range(20))
def test_when_two_cases_are_merged_into_each_other_then_both_are_undone(seed: int) -> None:
    cases = village(seed=seed)
    cases.say(A, "start")
    cases.say(A, "merge", into=B)
    cases.say(B, "merge", into=A)
    cases.settle()
    assert [cases.state(name).state for name in (A, B)] == ["IN_PROGRESS", "NEW"]
    assert [cases.state(name).links for name in (A, B)] == [(), ()]
    assert misfits(cases.cases) == []


@pytest.mark.parametrize("seed", range(20))
def test_when_three_cases_are_merged_in_a_circle_then_no_circle_stays(seed: int) -> None:
    cases = village(seed=seed)
    for name, into in ((A, B), (B, C), (C, A)):
        cases.say(name, "merge", into=into)
    cases.settle()
    assert misfits(cases.cases) == []
    assert "NEW" in {cases.state(name).state for name in (A, B, C)}


@pytest.mark.seed("S2.27")
def test_when_a_case_is_unmerged_then_it_is_again_what_it_was_and_the_target_forgets_it() -> None:
    cases = village()
    cases.say(A, "resolve", summary="New bearing")
    before = cases.state(A)
    cases.say(A, "merge", into=B)
    cases.settle()
    assert accepted(cases.say(A, "unmerge"))
    cases.settle()
    after = cases.state(A)
    assert (after.state, after.resolution, after.resolved_at) == ("RESOLVED", before.resolution, before.resolved_at)
    assert (after.links, cases.state(B).links) == ((), ())
    assert events(cases, B) == ["created", "linked", "unlinked"]
    assert code(cases.say(A, "unmerge")) == "invalid_transition"
    assert misfits(cases.cases) == []


def test_when_signals_came_after_the_resolution_of_a_merged_case_then_unmerged_it_is_worked_on() -> None:
    cases = village()
    cases.say(A, "resolve", summary="New bearing")
    cases.say(A, "merge", into=B)
    cases.occur(A, 10)
    cases.say(A, "unmerge")
    assert (cases.state(A).state, cases.state(A).resolved_at) == ("IN_PROGRESS", None)


def test_when_a_case_named_its_original_from_the_beginning_then_the_link_outlives_the_merge() -> None:
    cases = village()
    link = {"kind": "duplicate_of", "id": B}
    cases.say(name_of(7), "create", "agent", case={"title": "x", "links": [link]})
    cases.say(name_of(7), "merge", into=B)
    cases.say(name_of(7), "unmerge")
    assert cases.state(name_of(7)).links == (Link(kind=LinkKind.DUPLICATE_OF, id=B),)


def test_when_a_case_was_merged_then_links_of_duplicates_are_not_touched_by_hand() -> None:
    cases = village()
    cases.say(A, "merge", into=B)
    cases.settle()
    assert code(cases.say(A, "unlink", kind="duplicate_of", id=B)) == "invalid_command"
    assert code(cases.say(B, "unlink", kind="duplicate", id=A)) == "invalid_command"
    assert code(cases.say(B, "link", kind="duplicate", id=C)) == "invalid_command"
    assert code(cases.say(B, "link", kind="child", id=C)) == "invalid_command"


# Signals of a merged case


def test_when_a_case_is_merged_then_it_counts_on_until_its_target_ends_and_again_when_that_is_reopened() -> None:
    cases = village()
    cases.say(A, "merge", into=B)
    cases.settle()
    cases.occur(A, 5)
    assert cases.state(A).signal.count == 2  # type: ignore[union-attr]
    cases.say(B, "close")
    cases.settle()
    assert cases.cases[A].ended_at == cases.cases[B].ended_at is not None
    assert events(cases, A)[-1] == "ended_with_target"
    cases.occur(A, 60)
    assert events(cases, A)[-1] == "occurrences_returned"
    cases.say(B, "reopen", reason="again")
    cases.settle()
    assert events(cases, A)[-1] == "reopened_with_target"
    cases.occur(A, 60)
    assert cases.state(A).signal.count == 3  # type: ignore[union-attr]
    assert misfits(cases.cases) == []


def test_when_a_target_is_merged_itself_then_its_duplicates_count_as_long_as_the_last_one_is_open() -> None:
    cases = village()
    cases.say(A, "merge", into=B)
    cases.settle()
    cases.say(B, "merge", into=C)
    cases.settle()
    assert cases.cases[A].ended_at is None
    cases.say(C, "close")
    cases.settle()
    assert cases.cases[A].ended_at == cases.cases[B].ended_at == cases.cases[C].ended_at is not None
    cases.say(B, "unmerge")
    cases.settle()
    assert (cases.cases[A].ended_at, cases.cases[B].ended_at) == (None, None)
    assert misfits(cases.cases) == []


def test_when_a_target_goes_to_the_archive_then_its_duplicates_go_along() -> None:
    cases = village()
    cases.say(A, "merge", into=C)
    cases.say(B, "merge", into=C)
    cases.settle()
    cases.say(B, "unmerge")
    cases.say(C, "resolve", summary="x")
    cases.say(C, "archive")
    cases.settle()
    assert (cases.state(A).state, cases.state(B).state) == ("ARCHIVED", "NEW")
    assert cases.cases[A].ended_at == cases.cases[C].ended_at is not None
    assert events(cases, A)[-2:] == ["ended_with_target", "archived"]
    assert misfits(cases.cases) == []


def test_when_a_target_closed_before_it_goes_to_the_archive_then_its_duplicates_follow_twice() -> None:
    cases = village()
    cases.say(A, "merge", into=C)
    cases.settle()
    cases.say(C, "close")
    cases.settle()
    ended_at = cases.cases[A].ended_at
    cases.say(C, "archive")
    cases.settle()
    assert events(cases, A)[-2:] == ["ended_with_target", "archived"]
    assert (cases.state(A).state, cases.cases[A].ended_at) == ("ARCHIVED", ended_at)


def test_when_a_case_is_merged_then_time_alone_does_not_archive_it() -> None:
    cases = village()
    cases.say(A, "merge", into=B)
    assert cases.cases[A].timing is not None
    assert cases.cases[A].timing.due_at is None
    cases.now += timedelta(days=400)
    cases.say(A, "wake", "system")
    assert cases.state(A).state == "CANCELLED"


def test_when_a_word_of_an_earlier_merge_comes_late_then_it_changes_nothing() -> None:
    cases = village()
    cases.say(A, "merge", into=B)
    cases.settle()
    cases.say(B, "close")
    cases.say(A, "unmerge")
    cases.say(A, "merge", into=C)
    cases.settle()
    assert (cases.cases[A].ended_at, cases.cases[A].ties.merged.into) == (None, C)  # type: ignore[union-attr]
    assert misfits(cases.cases) == []


def test_when_a_case_is_merged_again_then_the_target_speaks_of_the_last_time_only() -> None:
    cases = village()
    cases.say(A, "merge", into=B)
    cases.settle()
    cases.say(B, "close")
    cases.say(A, "unmerge")
    cases.bring(A, B)
    cases.say(B, "reopen", reason="again")
    cases.say(A, "merge", into=B)
    cases.bring(A, B)
    cases.bring(B, A)
    assert (events(cases, A)[-1], cases.cases[A].ended_at) == ("merged", None)
    cases.settle()
    assert misfits(cases.cases) == []


# Families


def test_when_a_case_takes_a_parent_then_both_name_the_other() -> None:
    cases = village()
    assert accepted(cases.say(A, "link", kind="parent", id=B))
    cases.settle()
    assert cases.state(A).links == (Link(kind=LinkKind.PARENT, id=B),)
    assert cases.state(B).links == (Link(kind=LinkKind.CHILD, id=A, levels=1),)
    assert misfits(cases.cases) == []


def test_when_a_case_is_created_as_a_child_then_its_parent_hears_of_it() -> None:
    cases = village()
    child = name_of(7)
    cases.say(child, "create", "agent", case={"title": "x", "links": [{"kind": "parent", "id": B}]})
    cases.settle()
    assert cases.state(B).links == (Link(kind=LinkKind.CHILD, id=child, levels=1),)
    cases.say(name_of(8), "create", "agent", case={"title": "x", "links": [{"kind": "parent", "id": name_of(99)}]})
    cases.settle()
    assert cases.state(name_of(8)).links == ()
    assert misfits(cases.cases) == []


@pytest.mark.seed("S2.27")
@pytest.mark.parametrize("order", [((A, B), (B, C), (C, D)), ((C, D), (B, C), (A, B)), ((A, B), (C, D), (B, C))])
@pytest.mark.parametrize("at_once", [False, True])
def test_when_a_tree_would_have_four_levels_then_a_link_is_refused(order: Any, at_once: bool) -> None:
    cases = village()
    for child, parent in order:
        outcome = cases.say(child, "link", kind="parent", id=parent)
        if not at_once:
            cases.settle()
        assert accepted(outcome) or code(outcome) == "limit_exceeded"
    cases.settle()
    parents = [parent_of(cases.state(name)) for name in (A, B, C)]
    assert parents.count(None) >= 1
    if not at_once:
        assert parents.count(None) == 1
    assert misfits(cases.cases) == []


@pytest.mark.parametrize("seed", range(20))
def test_when_cases_become_parents_in_a_circle_at_once_then_no_circle_stays(seed: int) -> None:
    cases = village(seed=seed)
    for child, parent in ((A, B), (B, C), (C, A)):
        cases.say(child, "link", kind="parent", id=parent)
    cases.settle()
    assert misfits(cases.cases) == []


def test_when_a_family_parts_then_the_levels_above_shrink_and_there_is_room_again() -> None:
    cases = village()
    for child, parent in ((A, B), (B, C)):
        cases.say(child, "link", kind="parent", id=parent)
        cases.settle()
    cases.say(C, "link", kind="parent", id=D)
    assert parent_of(cases.state(C)) is None
    assert accepted(cases.say(B, "unlink", kind="child", id=A))
    cases.settle()
    assert parent_of(cases.state(A)) is None
    assert cases.state(C).links == (Link(kind=LinkKind.CHILD, id=B, levels=1),)
    assert accepted(cases.say(C, "link", kind="parent", id=D))
    cases.settle()
    assert cases.state(D).links == (Link(kind=LinkKind.CHILD, id=C, levels=2),)
    assert misfits(cases.cases) == []


def test_when_a_case_has_a_parent_then_it_takes_no_other() -> None:
    cases = village()
    cases.say(A, "link", kind="parent", id=B)
    assert code(cases.say(A, "link", kind="parent", id=C)) == "invalid_command"
    assert code(cases.say(A, "link", kind="parent", id=B)) == "duplicate"
    assert code(cases.say(B, "link", kind="parent", id=B)) == "invalid_command"


@pytest.mark.seed("S0.10", "S0.11")
def test_when_things_elsewhere_are_linked_then_they_are_noted_and_nobody_is_told() -> None:
    cases = village()
    for kind in ("work_order", "service_job", "external", "recurrence_of"):
        assert accepted(cases.say(A, "link", kind=kind, id="X-1"))
    assert code(cases.say(A, "link", kind="external", id="X-1")) == "duplicate"
    assert not cases.deliver()
    assert last_change(cases, A)["link"] == {"kind": "recurrence_of", "id": "X-1"}
    assert accepted(cases.say(A, "unlink", kind="service_job", id="X-1"))
    assert [link.kind for link in cases.state(A).links] == ["work_order", "external", "recurrence_of"]
    assert code(cases.say(A, "unlink", kind="service_job", id="X-1")) == "invalid_command"


# Everything at once


Acts = list[tuple[str, Callable[[str], dict[str, Any]]]]
#: What people do to a case, with another one at hand; each kind of day is about something.
MERGING: Acts = [
    ("merge", lambda other: {"into": other}),
    ("merge", lambda other: {"into": other}),
    ("unmerge", lambda _: {}),
    ("unmerge", lambda _: {}),
    ("close", lambda _: {}),
    ("reopen", lambda _: {"reason": "again"}),
    ("reopen", lambda _: {"reason": "again"}),
]
FAMILY: Acts = [
    *[("link", lambda other: {"kind": "parent", "id": other})] * 3,
    *[("unlink", lambda other: {"kind": "child", "id": other})] * 3,
    *[("unlink", lambda other: {"kind": "parent", "id": other})] * 3,
]
WORK: Acts = [
    ("resolve", lambda _: {"summary": "x"}),
    ("start", lambda _: {}),
    ("hold", lambda _: {"reason": "parts"}),
    ("close", lambda _: {}),
    ("archive", lambda _: {}),
]
RARE: Acts = [("delete", lambda _: {})]
DAYS: list[tuple[Acts, int]] = [
    (MERGING, 2),
    (MERGING + WORK, 3),
    (FAMILY, 2),
    (FAMILY, 3),
    (FAMILY, 4),
    (MERGING * 3 + FAMILY * 3 + WORK * 2 + RARE, 5),
]


def day_of(seed: int) -> Village:
    """Let people and machines do anything, and messages arrive now and then, some days hardly; then all."""
    acts, size = DAYS[seed % len(DAYS)]
    cases = village(seed=seed, size=size)
    r = cases.random
    haste = r.choice(((0, 0, 0, 1), (0, 1, 1, 2), (0, 0, 2, 6)))
    for _ in range(r.randrange(20, 120)):
        for _ in range(r.choice(haste)):
            cases.deliver()
        one, other = r.choice(cases.names), r.choice(cases.names)
        if acts is not FAMILY and r.random() < 0.2:
            cases.occur(one, r.choice((-30, 0, 0, 30)))
            cases.counted += 1
        else:
            name, arguments = r.choice(acts)
            cases.say(one, name, **arguments(other))
    cases.settle()
    return cases


def counts(cases: Village) -> int:
    """Return the signals that cases count and that they handed back, but for those they began with."""
    held = sum(cases.state(name).signal.count for name in cases.names)  # type: ignore[union-attr]
    returned = sum(
        orjson.loads(told.value or b"")["change"]["count"]
        for name in cases.names
        for told in cases.told[name]
        if b"occurrences_returned" in dict(told.headers)["ce_type"]
    )
    return held + returned - len(cases.names)


SEEDS = 400
SEEN: Counter[str] = Counter()


@pytest.mark.parametrize("part", range(4))
def test_whatever_happens_side_by_side_then_cases_fit_together_in_the_end(part: int) -> None:
    for seed in range(part, SEEDS, 4):
        cases = day_of(seed)
        assert misfits(cases.cases) == [], seed
        assert counts(cases) == cases.counted, seed
        if seed % 5 == 0:
            for name in cases.names:
                assert again(cases.told[name]) == [cases.cases[name]], seed
        for name in cases.names:
            SEEN.update(events(cases, name))


def test_the_days_above_had_something_of_everything() -> None:
    wanted = {"linked", "unlinked", "merged", "unmerged", "ended_with_target", "reopened_with_target"}
    assert all(SEEN[name] > 15 for name in wanted), SEEN
