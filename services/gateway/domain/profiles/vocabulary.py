"""The words of another product for what Callout knows: shown for every core word, understood back without loss."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.contracts.words import State
from shared.errors import PermanentError

Core = TypeVar("Core")
Meaning = TypeVar("Meaning")


class UnknownWord(PermanentError):
    """The product has no such word; `known` are those that it has."""

    def __init__(self, word: str, known: Iterable[str]) -> None:
        self.word = word
        self.known = tuple(known)
        super().__init__(f"there is no {word!r}; give one of {', '.join(self.known)}")


@dataclass(frozen=True, slots=True)
class Vocabulary(Generic[Core]):
    """Words both ways: `shown` has one for every core word, `meant` a core word of its own for each.

    A word that is shown for several core words means the one that it stands for in `meant`.
    """

    shown: Mapping[Core, str]
    meant: Mapping[str, Core]

    def to_word(self, core: Core) -> str:
        """Return the product's word for a core word."""
        return self.shown[core]

    def from_word(self, word: str) -> Core:
        """Return what a word stands for.

        Raises:
            UnknownWord: if the product has no such word.
        """
        return _meaning(word, self.meant)

    def shown_as(self, word: str) -> tuple[Core, ...]:
        """Return all core words that are shown as this one, as a filter needs them; the case of letters is ignored.

        Raises:
            UnknownWord: if the product has no such word.
        """
        known = _spelled(word, self.meant)
        return tuple(core for core, shown in self.shown.items() if shown == known)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a case stands, as far as products have a word for it: its state, the facet and the outcome beside it."""

    state: State
    escalated: bool = False
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class States:
    """The words of a product for where a case stands.

    `escalated` is the word of unresolved cases that are escalated; `outcomes` are words of cancelled cases by outcome.
    """

    shown: Mapping[State, str]
    meant: Mapping[str, Standing]
    escalated: str | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)

    def to_word(self, standing: Standing) -> str:
        """Return the product's word for where a case stands."""
        if self.escalated is not None and standing.escalated and standing.state in UNRESOLVED:
            return self.escalated
        if standing.state is State.CANCELLED and standing.outcome is not None and standing.outcome in self.outcomes:
            return self.outcomes[standing.outcome]
        return self.shown[standing.state]

    def from_word(self, word: str) -> Standing:
        """Return what a word stands for.

        Raises:
            UnknownWord: if the product has no such word.
        """
        return _meaning(word, self.meant)

    def states_of(self, word: str) -> tuple[State, ...]:
        """Return the states of cases that can be shown by a word, as a filter needs them; letter case is ignored.

        Raises:
            UnknownWord: if the product has no such word.
        """
        known = _spelled(word, self.meant)
        if known == self.escalated:
            return UNRESOLVED
        if known in self.outcomes.values():
            return (State.CANCELLED,)
        return tuple(state for state, shown in self.shown.items() if shown == known)


UNRESOLVED = (State.NEW, State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED)


def _meaning(word: str, meant: Mapping[str, Meaning]) -> Meaning:
    try:
        return meant[word]
    except KeyError:
        raise UnknownWord(word, meant) from None


def _spelled(word: str, meant: Mapping[str, object]) -> str:
    """Return a word as the product spells it, whatever the case of its letters."""
    known = next((each for each in meant if each.casefold() == word.casefold()), None)
    if known is None:
        raise UnknownWord(word, meant)
    return known
