"""A search finds a text exactly if every word of it is contained, or begins a word where it is short."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.domain.text import fold, grams_of, search_conditions, words_of

LETTERS = st.text(alphabet="abÄß 7-.", max_size=12)


def finds(search: str, text: str) -> bool:
    """Answer as the database does: grams by equality, the word by its pattern."""
    grams = set(grams_of([fold(text)]))
    return all(
        condition["grams"] in grams
        if "grams" in condition
        else re.search(condition["text"]["$regex"], fold(text)) is not None
        for condition in search_conditions(words_of(search))
    )


def contains(search: str, text: str) -> bool:
    """Say naively what ought to be found."""
    folded = fold(text)

    def found(word: str) -> bool:
        if len(word) >= 3:
            return word in folded
        begins = [each for part in folded.split() for each in (part, *re.findall(r"\w+", part))]
        return any(each.startswith(word) for each in begins)

    return all(map(found, words_of(search)))


@pytest.mark.seed("S3.8")
@settings(max_examples=400, deadline=None)
@given(search=LETTERS, text=LETTERS)
def test_a_search_finds_what_contains_its_words(search, text):
    assert finds(search, text) == contains(search, text)


@pytest.mark.parametrize(
    ("search", "found"),
    [("SPIN", True), ("indl", True), ("temp over", True), ("o t", True), ("e 4", True), ("pin", True), ("p t", False)],
)
def test_words_are_found_anywhere_and_short_ones_where_a_word_begins(search, found):
    assert finds(search, "Spindle over temperature E-417") is found


NUMBERS = st.text(alphabet="01a-", max_size=14)


@settings(max_examples=400, deadline=None)
@given(search=NUMBERS, text=NUMBERS)
def test_a_search_for_numbers_finds_what_contains_them(search, text):
    assert finds(search, text) == contains(search, text)


def test_a_number_is_looked_up_by_its_end():
    assert {"grams": "1234567"} in search_conditions(["x-1234567-89"])
    assert {"grams": "2345678"} in search_conditions(["12345678"])
    assert {"grams": "34567"} in search_conditions(["x-34567"])


def test_the_rarest_gram_of_a_word_is_looked_up_as_long_as_the_word_allows():
    assert {"grams": "e-4"} in search_conditions(["e-41"]) or {"grams": "-41"} in search_conditions(["e-41"])
    assert {"grams": "vxzqk"} in search_conditions(["eeevxzqkeee"])
    assert {"grams": "xzq"} in search_conditions(["xzq"])
