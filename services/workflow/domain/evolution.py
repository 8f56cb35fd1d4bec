"""Changed copies of frozen values, at less than half the cost of `dataclasses.replace`: the hottest line of a decision."""

from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

Value = TypeVar("Value")


def evolve(value: Value, /, **changes: Any) -> Value:  # noqa: ANN401 - as `dataclasses.replace`
    """Return a copy of a slotted dataclass without `__post_init__`, with some fields changed.

    Raises:
        KeyError: if it has no such field.
    """
    read, slots, slot_of = _anatomy(type(value))
    copy = object.__new__(type(value))
    for write, held in zip(slots, read(value), strict=True):
        write(copy, held)
    for name, new in changes.items():
        slot_of[name](copy, new)
    return copy


@cache
def _anatomy(class_: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:  # noqa: ANN401 - any dataclass
    names = [field.name for field in fields(class_)]
    slot_of = {name: getattr(class_, name).__set__ for name in names}
    return attrgetter(*names), tuple(slot_of.values()), slot_of
