"""A table of a TOML file, read key by key: what is wrong is said with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any


class Misconfigured(ValueError):
    """The configuration cannot be used; says where and what to write instead."""


class Table:
    """Keys that are taken out one by one; `end` refuses what nobody asked for."""

    def __init__(self, data: Any, where: str) -> None:  # noqa: ANN401 - TOML
        if not isinstance(data, dict):
            raise Misconfigured(f"{where}: a table is needed here")
        self._left: dict[str, Any] = dict(data)
        self._asked: set[str] = set()
        self.where = where

    def wrong(self, name: str, what: str) -> Misconfigured:
        """Make the error that something is wrong with a key."""
        return Misconfigured(f"{self.where}: {name} {what}")

    def has(self, name: str) -> bool:
        """Say whether a key is there and not taken yet."""
        return name in self._left

    def text(
        self,
        name: str,
        default: str | None = None,
        *,
        needed: bool = False,
        most: int = 4000,
        choices: Sequence[str] = (),
        pattern: str | None = None,
    ) -> str | None:
        """Take a text."""
        value = self._take(name, default, needed=needed)
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise self.wrong(name, f"must be a text of 1 to {most} characters")
        if choices and value not in choices:
            raise self.wrong(name, f"must be one of {', '.join(choices)}; it is {value!r}")
        if pattern and not re.fullmatch(pattern, value):
            raise self.wrong(name, f"must be like {pattern}; it is {value!r}")
        return value

    def needed(self, name: str, *, most: int = 4000, choices: Sequence[str] = (), pattern: str | None = None) -> str:
        """Take a text that must be there."""
        value = self.text(name, needed=True, most=most, choices=choices, pattern=pattern)
        return value or ""

    def number(
        self, name: str, default: float | None = None, *, least: float | None = None, most: float | None = None
    ) -> float | None:
        """Take a number."""
        value = self._take(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
            raise self.wrong(name, "must be a number")
        if (least is not None and value < least) or (most is not None and value > most):
            bounds = f"at least {least:g}" if most is None else f"between {least:g} and {most:g}"
            raise self.wrong(name, f"must be {bounds}; it is {value:g}")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """Take a yes or no."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts; none if it is not there."""
        value = self._take(name, [])
        if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
            raise self.wrong(name, "must be a list of texts")
        return tuple(value)

    def table(self, name: str, *, needed: bool = False) -> Table:
        """Take a table; an empty one if it is not there."""
        return Table(self._take(name, {}, needed=needed), f"{self.where} [{name}]")

    def tables(self, name: str) -> list[Table]:
        """Take a list of tables."""
        value = self._take(name, [])
        if not isinstance(value, list):
            raise self.wrong(name, f"must be written as [[{name}]]")
        return [Table(part, f"{self.where} [[{name}]] {_called(part, place)}") for place, part in enumerate(value, 1)]

    def mapping(self, name: str) -> Mapping[str, str]:
        """Take a table of texts."""
        value = self._take(name, {})
        if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
            raise self.wrong(name, "must be a table of texts")
        return dict(value)

    def end(self) -> None:
        """Refuse what is left.

        Raises:
            Misconfigured: There is a key that nobody knows.
        """
        for name in self._left:
            near = difflib.get_close_matches(name, self._asked, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there is {_listed(self._asked)}"
            raise Misconfigured(f"{self.where}: nobody knows {name}{hint}")

    def _take(self, name: str, default: Any, *, needed: bool = False) -> Any:  # noqa: ANN401 - TOML
        self._asked.add(name)
        if name not in self._left:
            if needed:
                raise self.wrong(name, "is missing")
            return default
        return self._left.pop(name)


def _called(part: object, place: int) -> str:
    name = part.get("name") if isinstance(part, dict) else None
    return f"{name!r}" if isinstance(name, str) else f"number {place}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
