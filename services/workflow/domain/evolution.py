"""Changed copies of frozen values at half the cost of `dataclasses.replace`, as every decision makes them."""

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
    class_: Any = type(value)
    read, slots, slot_of = _anatomy(class_)
    copy: Value = object.__new__(class_)
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
