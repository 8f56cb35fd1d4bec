"""Text that people look for: folded, cut into grams that an index finds, and what a search asks of both.

A word of three letters or more is found wherever it stands; a shorter one where a word begins. Words are what blanks
part; all words of a search must be there.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

GRAM: Final = 3
BEGINS: Final = "^"
#: Letters and digits, the most frequent first: of a word's grams the one with the rarest letters is looked up.
FREQUENT: Final = " etaoinsrhldcumfpgwybvkxjqz0123456789"
WORDS_MAX: Final = 8
#: Longer words have longer grams beside: what few have is found at once among however many others.
LONG_GRAM: Final = 5
DIGITS_GRAM: Final = 7
_DIGITS: Final = re.compile(r"[0-9]+")
_RUN: Final = re.compile(r"\w+")


def fold(text: str) -> str:
    """Return text as it is compared: without regard to case."""
    return text.casefold()


def grams_of(parts: Iterable[str]) -> list[str]:
    """Return the grams of folded texts, each once, in order."""
    found: set[str] = set()
    for part in parts:
        for word in part.split():
            found.update(_cut(word, GRAM), _cut(word, LONG_GRAM))
            for digits in _DIGITS.findall(word):
                found.update(_cut(digits, DIGITS_GRAM))
            for run in (word, *_RUN.findall(word)):
                found.update(BEGINS + run[:length] for length in range(1, GRAM) if len(run) >= length)
    return sorted(found)


def words_of(search: str) -> list[str]:
    """Return the folded words of a search, each once."""
    return list(dict.fromkeys(fold(search).split()))[:WORDS_MAX]


def search_conditions(words: Iterable[str]) -> list[dict[str, Any]]:
    """Return what documents with all these words meet: a gram that an index finds, and the word itself."""
    found: list[dict[str, Any]] = []
    for word in words:
        if len(word) < GRAM:
            found.append({"grams": BEGINS + word})
        else:
            found += [{"grams": rarest_gram(word)}, {"text": {"$regex": re.escape(word)}}]
    return found


def rarest_gram(word: str) -> str:
    """Return the gram of a word that the fewest texts are likely to have; of a long number its end."""
    digits = max(_DIGITS.findall(word), key=len, default="")
    for length in (DIGITS_GRAM, LONG_GRAM):
        if len(digits) >= length:
            return str(digits[-length:])
    grams = _cut(word, LONG_GRAM) or _cut(word, GRAM)
    return max(grams, key=lambda gram: sum(_rarity(letter) for letter in gram))


def _cut(word: str, length: int) -> list[str]:
    return [word[at : at + length] for at in range(len(word) - length + 1)]


def _rarity(letter: str) -> int:
    place = FREQUENT.find(letter)
    return len(FREQUENT) if place < 0 else place
