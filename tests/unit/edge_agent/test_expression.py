"""The language of conditions is small: what is not in it is refused when it is read."""

import math

import pytest
from callout_agent.domain.expression import DEPTH_MAX, TEXT_MAX, Expression, Refused, Unknown
from hypothesis import given
from hypothesis import strategies as st

NAMES = frozenset({"value", "mean", "rate"})
VALUES = {"value": 7.0, "mean": 2.0}


def latest(series: str) -> float:
    if series != "rpm":
        raise Unknown(series)
    return 1200.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value > 5", 1),
        ("value > mean * 4", 0),
        ("1 < mean <= 2 < value", 1),
        ("value > 5 and not mean > 5 or 0", 1),
        ("-value + 10 % 4 / 2 - 3 * 2", -12),
        ("abs(-value) + max(mean, 3, 1) - min(1, 2) + sqrt(9)", 12),
        ('latest("rpm") / 100', 12),
        ("1 if value > mean else 2", 1),
        ("value != 7", 0),
        ("not value", 0),
    ],
)
def test_it_comes_to_what_python_makes_of_it(text: str, expected: float) -> None:
    assert Expression(text, NAMES)(VALUES, latest) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "value >", "valeu > 5", "value.real", "value ** 9", "value // 2", "value << 3", "value is 7",
        "value in mean",
        "'a'", "True", "None", "1j", "[1]", "{}", "(1, 2)", "value := 3", "lambda: 1", "f'{value}'",
        "value[0]",
        "__import__('os')", "().__class__", "open('x')", "abs(*value)", "abs(value, key=1)", "min(1)",
        "latest(value)",
        "latest('a', 'b')", "(lambda: 1)()", "[x for x in mean]", "value; mean", "await value", "yield", "~value",
        "1 if value", "+value", "1e999999 and " * 60, "9" * 400, "abs.__call__(1)", "value\x00", "eval('1')",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        Expression(text, NAMES)


def test_long_and_deep_texts_are_refused() -> None:
    for text in ("value+" * (TEXT_MAX // 6) + "1", "-" * (DEPTH_MAX + 1) + "1", "(" * 200 + "1" + ")" * 200 + "+" * 99):
        with pytest.raises(Refused):
            Expression(text, NAMES)


@pytest.mark.parametrize(
    "text", ["rate > 1", "1 / (value - 7)", "value % 0", "sqrt(0 - value)", 'latest("none")', "1e308 * 10"]
)
def test_what_has_no_value_now_is_unknown(text: str) -> None:
    with pytest.raises(Unknown):
        Expression(text, NAMES)(VALUES, latest)


@given(st.text(alphabet="value()+-*/%<>=!andornotif 0123456789.,'\"[]{}lambda:_", max_size=60))
def test_no_text_does_anything_but_be_refused_or_come_to_a_number(text: str) -> None:
    try:
        result = Expression(text, NAMES)(VALUES, latest)
    except (Refused, Unknown):
        return
    assert math.isfinite(result)
