"""The last accepted commands of a case: found whatever their ids look like, the oldest give way."""

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from services.workflow.domain.recent import NONE_YET, RECENT_MAX, Recent

ids = st.text(alphabet='a"[],\\1é\n', min_size=1, max_size=8) | st.uuids().map(str)
entries = st.tuples(ids, st.integers(1, 10**6), st.integers(1, 10**6))


def of(accepted: list[tuple[str, int, int]]) -> Recent:
    recent = NONE_YET
    for entry in accepted:
        recent = recent.add(*entry)
    return recent


@given(st.lists(entries, max_size=6, unique_by=lambda entry: entry[0]), ids)
@example([('],["', 1, 1), ('a",1,1],["b', 2, 2), ("\\", 3, 3)], "b")
def test_what_was_accepted_is_found_and_nothing_else(accepted: list[tuple[str, int, int]], other: str) -> None:
    recent, known = of(accepted), {id_: (seq, version) for id_, seq, version in accepted}
    assert {id_: recent.find(id_) for id_ in (*known, other)} == {id_: known.get(id_) for id_ in (*known, other)}


@given(st.lists(entries, max_size=6))
def test_the_text_is_that_of_all_entries_in_order(accepted: list[tuple[str, int, int]]) -> None:
    assert of(accepted) == Recent(orjson.dumps(accepted))
    assert of(accepted).entries == accepted


@given(st.lists(ids, min_size=5, max_size=5))
def test_beyond_the_most_the_oldest_gives_way_whatever_it_is_called(first: list[str]) -> None:
    accepted = [(id_, 1, 1) for id_ in first] + [(f"id-{number}", 2, 2) for number in range(RECENT_MAX - 2)]
    assert of(accepted).entries == accepted[3:]


@given(st.lists(entries, max_size=4), entries, ids)
def test_a_further_event_of_one_version_replaces_the_entry(
    before: list[tuple[str, int, int]], last: tuple[str, int, int], cause_id: str
) -> None:
    recent, (_, seq, version) = of([*before, last]), last
    assert recent.add_event(cause_id, seq + 1, version) == of([*before, (cause_id, seq + 1, version)])
    assert recent.add_event(cause_id, seq + 1, version + 1) == of([*before, last, (cause_id, seq + 1, version + 1)])
