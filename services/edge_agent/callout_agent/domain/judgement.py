"""What a trigger's condition says of a reading, and how long it must say so before anybody is told."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


class State(Enum):
    """How a series stands with a condition."""

    BAD = "bad"
    FINE = "fine"
    NEITHER = "neither"  # between the two limits of a hysteresis, or too little is known


class Judgement(NamedTuple):
    """A state, and the figures that led to it."""

    state: State
    facts: dict[str, float]
    again: bool = False  # bad for one more reason: told even if it was told before


class Condition(Protocol):
    """What one preset asks of one series."""

    def observe(self, at: float, value: float, *, judged: bool) -> Judgement | None:
        """Take in a reading; say how the series stands, if it is to be judged now."""

    def recall(self, memory: object) -> None:
        """Go on from what `memory()` said before a restart."""

    def memory(self) -> object:
        """Return what must outlive a restart, as JSON; None if nothing must."""


class Forgetful:
    """A condition that learns anew after a restart."""

    def recall(self, memory: object) -> None:
        """Nothing to go on from."""

    def memory(self) -> object:
        """Nothing to keep."""
        return None


class Move(Enum):
    """What the world is told."""

    RAISE = "signal"
    CLEAR = "clear"


class Hold:
    """Raises what was bad, and clears what was fine, at every judgement for so many seconds."""

    def __init__(self, for_s: float, clear_for_s: float, *, raised: bool = False) -> None:
        self._for_s = for_s
        self._clear_for_s = clear_for_s
        self.raised = raised
        self._bad_since: float | None = None
        self._fine_since: float | None = None

    @property
    def began_at(self) -> float | None:
        """Since when it has been bad without a break."""
        return self._bad_since

    def step(self, at: float, judgement: Judgement) -> Move | None:
        """Take in a judgement; return what it leads to."""
        state = judgement.state
        if state is not State.BAD:
            self._bad_since = None
        elif self._bad_since is None:
            self._bad_since = at
        if state is not State.FINE:
            self._fine_since = None
        elif self._fine_since is None:
            self._fine_since = at
        if self._bad_since is not None and at - self._bad_since >= self._for_s and (not self.raised or judgement.again):
            self.raised = True
            return Move.RAISE
        if self.raised and self._fine_since is not None and at - self._fine_since >= self._clear_for_s:
            self.raised = False
            return Move.CLEAR
        return None
