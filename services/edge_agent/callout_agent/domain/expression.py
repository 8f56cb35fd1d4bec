"""A small language of numbers and conditions: what Python would make of it, and not one thing more.

Numbers, names, `+ - * / %`, comparisons, `and or not`, `if else`, and the functions below. A text is read by Python's
own parser and turned into closures piece by piece; what is not listed here is refused when it is read. Nothing is
ever handed to `eval`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from math import isfinite, sqrt
from typing import Any, Callable

TEXT_MAX = 500
DEPTH_MAX = 20

Values = Mapping[str, float]
Run = Callable[[Values, Callable[[str], float]], float]

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., float]]] = {
    "abs": (1, 1, abs),
    "sqrt": (1, 1, sqrt),
    "min": (2, 9, min),
    "max": (2, 9, max),
}


class Refused(ValueError):
    """The text is not of this language; says where and why."""


class Unknown(Exception):
    """The expression has no value now: a name is not known yet, or a division by zero."""


class Expression:
    """A text that was read once and can be worked out for many values.

    Raises:
        Refused: The text is not of the language, or names what is not in `names`.
    """

    def __init__(self, text: str, names: frozenset[str]) -> None:
        if len(text) > TEXT_MAX:
            raise Refused(f"longer than {TEXT_MAX} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise Refused(f"cannot be read: {error}") from error
        self._run = _Reader(names).read(tree.body, 0)
        self.text = text

    def __call__(self, values: Values, latest: Callable[[str], float]) -> float:
        """Work it out; a condition that holds is 1.

        Raises:
            Unknown: It has no value now.
        """
        try:
            result = float(self._run(values, latest))
        except (ArithmeticError, ValueError, KeyError) as error:
            raise Unknown(str(error)) from error
        if not isfinite(result):
            raise Unknown("not a finite number")
        return result


class _Reader:
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def read(self, node: ast.AST, depth: int) -> Run:
        if depth > DEPTH_MAX:
            raise Refused(f"nested more than {DEPTH_MAX} deep")
        reader = getattr(self, f"_{type(node).__name__.lower()}", None)
        if reader is None:
            raise Refused(f"{type(node).__name__} is not part of the language")
        run: Run = reader(node, depth + 1)
        return run

    def _constant(self, node: ast.Constant, _: int) -> Run:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise Refused(f"{node.value!r} is not a number")
        try:
            number = float(node.value)
        except OverflowError as error:
            raise Refused("a number is too large") from error
        return lambda _, __: number

    def _name(self, node: ast.Name, _: int) -> Run:
        name = node.id
        if name not in self._names:
            raise Refused(f"nothing is called {name}; there is {', '.join(sorted(self._names))}")
        return lambda values, _: values[name]

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> Run:
        inner = self.read(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return lambda values, latest: -inner(values, latest)
        if isinstance(node.op, ast.Not):
            return lambda values, latest: not inner(values, latest)
        raise Refused(f"{type(node.op).__name__} is not part of the language")

    def _binop(self, node: ast.BinOp, depth: int) -> Run:
        act = _BINARY.get(type(node.op))
        if act is None:
            raise Refused(f"{type(node.op).__name__} is not part of the language")
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        return lambda values, latest: act(left(values, latest), right(values, latest))

    def _boolop(self, node: ast.BoolOp, depth: int) -> Run:
        parts = [self.read(part, depth) for part in node.values]
        every = all if isinstance(node.op, ast.And) else any
        return lambda values, latest: every(part(values, latest) for part in parts)

    def _compare(self, node: ast.Compare, depth: int) -> Run:
        acts = [_COMPARE.get(type(op)) for op in node.ops]
        parts = [self.read(part, depth) for part in (node.left, *node.comparators)]

        def run(values: Values, latest: Callable[[str], float]) -> float:
            worked_out = [part(values, latest) for part in parts]
            return all(act(worked_out[n], worked_out[n + 1]) for n, act in enumerate(acts) if act)

        if None in acts:
            raise Refused("`is` and `in` are not part of the language")
        return run

    def _ifexp(self, node: ast.IfExp, depth: int) -> Run:
        test, then, other = (self.read(part, depth) for part in (node.test, node.body, node.orelse))
        return lambda values, latest: then(values, latest) if test(values, latest) else other(values, latest)

    def _call(self, node: ast.Call, depth: int) -> Run:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise Refused("only functions by their name, without keywords")
        name = node.func.id
        if name == "latest":
            return self._latest(node.args)
        if name not in _FUNCTIONS:
            raise Refused(f"no function is called {name}; there is {', '.join(sorted(_FUNCTIONS))}, latest")
        least, most, act = _FUNCTIONS[name]
        if not least <= len(node.args) <= most:
            raise Refused(f"{name} takes {least} to {most} values")
        parts = [self.read(part, depth) for part in node.args]
        return lambda values, latest: act(*(part(values, latest) for part in parts))

    def _latest(self, arguments: list[Any]) -> Run:
        if len(arguments) != 1 or not isinstance(arguments[0], ast.Constant) or not isinstance(arguments[0].value, str):
            raise Refused('latest takes the name of a series: latest("rpm")')
        series = arguments[0].value
        return lambda _, latest: latest(series)
