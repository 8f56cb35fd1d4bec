"""Profiles: every word of another product goes there and back, and everything of ours has a word there."""

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.profiles import (
    APTEAN_CONNECT,
    DJANGO_CRM,
    DJANGO_CRM_REAL,
    EQUINIX,
    PROFILES,
    SYMMEDIA_HUB,
    WAKU_SENSE,
    Profile,
    Standing,
    UnknownWord,
    Vocabulary,
    milliseconds,
    offset_page,
    read_bounds,
    read_instant,
    seconds,
)
from shared.contracts.words import (
    CaseType,
    Channel,
    ContactType,
    ContactWay,
    NoteVisibility,
    Priority,
    Severity,
    State,
    TicketClass,
)

VOCABULARIES = {
    "priorities": Priority,
    "severities": Severity,
    "types": CaseType,
    "classes": TicketClass,
    "channels": Channel,
    "note_visibilities": NoteVisibility,
    "contact_types": ContactType,
    "contact_ways": ContactWay,
}
HELD = [
    pytest.param(getattr(profile, kind), words, id=f"{id_}-{kind}")
    for id_, profile in PROFILES.items()
    for kind, words in VOCABULARIES.items()
    if getattr(profile, kind) is not None
]
STANDINGS = [
    Standing(state, escalated, outcome)
    for state, escalated, outcome in itertools.product(
        State, (False, True), (None, "rejected", "withdrawn", "duplicate", "anything")
    )
]
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@pytest.mark.parametrize(("vocabulary", "words"), HELD)
def test_every_word_of_a_product_goes_there_and_back(vocabulary: Vocabulary, words: type) -> None:
    assert {word: vocabulary.to_word(vocabulary.from_word(word)) for word in vocabulary.meant} == {
        word: word for word in vocabulary.meant
    }


@pytest.mark.parametrize(("vocabulary", "words"), HELD)
def test_every_word_of_ours_has_one_of_the_products(vocabulary: Vocabulary, words: type) -> None:
    assert {vocabulary.to_word(core) for core in words} == set(vocabulary.meant)


@pytest.mark.parametrize(("vocabulary", "words"), HELD)
def test_no_two_words_of_a_product_mean_the_same(vocabulary: Vocabulary, words: type) -> None:
    assert len(set(vocabulary.meant.values())) == len(vocabulary.meant)


@each_profile
def test_every_word_for_a_state_goes_there_and_back(profile: Profile) -> None:
    states = profile.states
    assert [word for word in states.meant if states.to_word(states.from_word(word)) != word] == []
    assert len(set(states.meant.values())) == len(states.meant)


@each_profile
def test_wherever_a_case_stands_the_product_has_a_word_for_it(profile: Profile) -> None:
    assert {profile.states.to_word(standing) for standing in STANDINGS} == set(profile.states.meant)


@each_profile
def test_a_filter_by_a_word_finds_every_case_that_is_shown_by_it(profile: Profile) -> None:
    for standing in STANDINGS:
        assert standing.state in profile.states.states_of(profile.states.to_word(standing))
    assert profile.states.states_of("closed" if "Closed" in profile.states.meant else "RESOLVED")


@pytest.mark.parametrize("word", ["", "open ", "NEW", "Urgent!", "Escalated"])
def test_an_unknown_word_is_told_with_those_that_are_known(word: str) -> None:
    with pytest.raises(UnknownWord) as told:
        DJANGO_CRM.states.from_word(word)
    assert told.value.known == ("New", "In Progress", "On Hold", "Closed")
    assert "On Hold" in str(told.value)


def test_a_filter_takes_words_in_any_case_and_finds_all_that_they_show() -> None:
    assert DJANGO_CRM.states.states_of("in progress") == (State.IN_PROGRESS, State.RESOLVED)
    assert DJANGO_CRM.priorities
    assert DJANGO_CRM.priorities.shown_as("LOW") == (Priority.LOW, Priority.TRIVIAL)
    with pytest.raises(UnknownWord):
        DJANGO_CRM.priorities.shown_as("Urgent")


@pytest.mark.seed("S0.2", "S0.4", "S0.5", "S0.7")
def test_sense_has_three_states_and_four_types() -> None:
    assert list(WAKU_SENSE.states.meant) == ["Open", "Resolved", "Archived"]
    assert WAKU_SENSE.types
    assert list(WAKU_SENSE.types.meant) == ["Anomaly", "Accident", "Damage", "Improvement"]
    assert WAKU_SENSE.states.to_word(Standing(State.NEW)) == "Open"
    assert WAKU_SENSE.states.to_word(Standing(State.CLOSED)) == "Archived"


@pytest.mark.seed("S1.17", "S1.19", "S1.21")
def test_hub_has_three_states_and_five_priorities() -> None:
    assert list(SYMMEDIA_HUB.states.meant) == ["New", "In progress", "Closed"]
    assert SYMMEDIA_HUB.priorities
    assert set(SYMMEDIA_HUB.priorities.meant) == {"trivial", "low", "medium", "high", "blocker"}


@pytest.mark.seed("S2.16", "S2.17", "S2.18")
def test_the_crm_has_the_words_of_its_description() -> None:
    assert DJANGO_CRM.priorities
    assert DJANGO_CRM.types
    assert set(DJANGO_CRM.states.meant) == {"New", "In Progress", "On Hold", "Closed"}
    assert set(DJANGO_CRM.priorities.meant) == {"Low", "Normal", "High", "Critical"}
    assert set(DJANGO_CRM.types.meant) == {"Technical", "Billing", "General", "Bug Report", "Feature Request"}


@pytest.mark.seed("S2.25")
def test_the_real_crm_has_words_of_its_own() -> None:
    real = DJANGO_CRM_REAL
    assert real.priorities
    assert real.types
    assert set(real.states.meant) == {"New", "Assigned", "Pending", "Closed", "Rejected", "Duplicate"}
    assert set(real.priorities.meant) == {"Low", "Normal", "High", "Urgent"}
    assert set(real.types.meant) == {"Question", "Incident", "Problem"}
    assert real.states.to_word(Standing(State.CANCELLED, outcome="duplicate")) == "Duplicate"
    assert real.states.to_word(Standing(State.CANCELLED, outcome="withdrawn")) == "Rejected"


@pytest.mark.seed("S3.17", "S3.18")
def test_connect_shows_an_escalated_case_as_one_and_four_severities() -> None:
    states = APTEAN_CONNECT.states
    assert states.to_word(Standing(State.NEW)) == "Unassigned"
    assert {states.to_word(Standing(state, escalated=True)) for state in (State.NEW, State.ON_HOLD)} == {"Escalated"}
    assert states.to_word(Standing(State.CLOSED, escalated=True)) == "Closed"
    assert APTEAN_CONNECT.severities
    assert list(APTEAN_CONNECT.severities.meant) == ["Critical", "Urgent", "Standard", "Low"]
    assert APTEAN_CONNECT.severities.to_word(Severity.MINOR) == "Standard"


@pytest.mark.seed("S3.10")
def test_connect_has_pages_of_twenty_five() -> None:
    assert (APTEAN_CONNECT.pages.default, APTEAN_CONNECT.pages.max) == (25, 25)


@pytest.mark.seed("S4.16")
def test_equinix_has_six_states_and_two_classes() -> None:
    assert list(EQUINIX.states.meant) == [
        "SUBMITTED",
        "IN_PROGRESS",
        "ACTION_REQUIRED",
        "RESOLVED",
        "CLOSED",
        "CANCELLED",
    ]
    assert EQUINIX.classes
    assert list(EQUINIX.classes.meant) == ["CASE", "TROUBLE"]


EAST = timezone(timedelta(hours=5, minutes=30))
INSTANTS = st.integers(-(10**12), 10**14).map(lambda ms: datetime(2000, 1, 1, tzinfo=EAST) + timedelta(milliseconds=ms))


@given(INSTANTS)
def test_a_time_is_written_in_utc_and_read_back_as_the_same_instant(instant: datetime) -> None:
    assert timedelta() <= instant - read_instant(seconds(instant)) < timedelta(seconds=1)
    assert timedelta() <= instant - read_instant(milliseconds(instant)) < timedelta(milliseconds=1)


@pytest.mark.seed("S2.24", "S4.17")
def test_times_are_to_the_second_there_and_to_the_millisecond_here() -> None:
    instant = datetime(2026, 3, 2, 10, 15, 0, 123999, UTC)
    assert DJANGO_CRM.time(instant) == "2026-03-02T10:15:00Z"
    assert EQUINIX.time(instant) == "2026-03-02T10:15:00.123Z"
    assert EQUINIX.time(instant.replace(microsecond=0)) == "2026-03-02T10:15:00.000Z"


@pytest.mark.parametrize("text", ["", "2026-03-02T10:15:00", "yesterday", "1767350100", "2026-13-02", "12345678901234"])
def test_a_time_without_zone_or_date_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_instant(text)


def test_a_bare_date_is_its_first_moment() -> None:
    assert read_instant("2026-03-02") == datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.seed("S2.2")
def test_a_page_links_its_neighbours_relatively_and_keeps_the_filters() -> None:
    parameters = [("status", "In Progress"), ("offset", "10"), ("limit", "10")]
    page = offset_page(["c"], path="/api/cases/", parameters=parameters, count=25, limit=10, offset=10)
    assert page == {
        "count": 25,
        "next": "/api/cases/?status=In%20Progress&limit=10&offset=20",
        "previous": "/api/cases/?status=In%20Progress&limit=10",
        "results": ["c"],
    }


@given(count=st.integers(0, 300), limit=st.integers(1, 100))
def test_following_next_sees_every_result_once(count: int, limit: int) -> None:
    seen, offset = [], 0
    while True:
        results = list(range(count))[offset : offset + limit]
        page = offset_page(results, path="/", parameters=(), count=count, limit=limit, offset=offset)
        seen += page["results"]
        assert (page["previous"] is None) is (offset == 0)
        if page["next"] is None:
            break
        offset = int(page["next"].rpartition("offset=")[2])
    assert seen == list(range(count))


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [
        (None, None, (10, 0)),
        ("5", "20", (5, 20)),
        ("1000", "3", (100, 3)),
        ("0", "-1", (10, 0)),
        ("9" * 30, "9" * 30, (100, 10**9)),
        ("many", "x", (10, 0)),
        ("²", "٣", (10, 0)),
    ],
)
def test_bounds_are_read_leniently_and_capped(limit: str | None, offset: str | None, expected: tuple[int, int]) -> None:
    assert read_bounds(DJANGO_CRM.pages, limit, offset) == expected
