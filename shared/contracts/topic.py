"""What the contract says of one topic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from shared.contracts import limits

Body = TypeAdapter[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of the contract.

    `unknown` says what becomes of a type nobody knows: a dead letter, passed over, or told in an outcome.
    """

    name: str
    key: str
    types: Mapping[str, Body]
    key_of: Callable[[Any], str]
    default_type: str | None = None
    unknown: Literal["dead", "pass", "outcome"] = "pass"
    bytes_max: int = limits.DEFAULT_BYTES_MAX
    compact: bool = False
    extensions: tuple[str, ...] = ()
    bases: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bases", frozenset(name.rsplit(".v", 1)[0] for name in self.types))

    def only(self, *types: str) -> "Topic":
        """Return the topic with these of its types alone: what one program hears or tells there."""
        return replace(self, types={type_: self.types[type_] for type_ in types})

    @property
    def template(self) -> bool:
        """Whether it stands for topics that are made as they are needed, one for each word in its name."""
        return "<" in self.name

    @property
    def dead(self) -> str:
        """The name of the topic where this one's dead letters lie."""
        return f"{self.name}.dead"
