"""`docs/seeds.md`: every feature of the products Callout learned from, and the tests that cover it or why none does."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

PROJECT: Final = Path(__file__).resolve().parents[2]
LIST: Final = Path(__file__).with_name("seeds.yaml")
INTRODUCTION: Final = """\
# Features of the products that Callout learned from

Every feature by its number, with the tests that cover it (each names the features: `@pytest.mark.seed("S2.7")`), or
with the reason why none does. (+) marks what goes beyond a product's own description. Made by `make docs`.
"""


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of a product; `why` says why no test covers it."""

    id: str
    product: str
    what: str
    why: str | None


@lru_cache(maxsize=1)
def features() -> tuple[Feature, ...]:
    """Return all features, in order."""
    listed = yaml.safe_load(LIST.read_text())
    reasons: Mapping[str, str] = listed["reasons"]
    return tuple(
        _feature(f"{key}.{number}", product["name"], said, reasons)
        for key, product in listed["products"].items()
        for number, said in product["features"].items()
    )


def covered(tests: Path = PROJECT / "tests") -> dict[str, list[str]]:
    """Return the tests that say they cover a feature, by its id, each as path::name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(tests.rglob("test_*.py")):
        text = path.read_text()
        if "mark.seed(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for id_ in _marked(node):
                    found[id_].append(f"{path.relative_to(tests.parent).as_posix()}::{node.name}")
    return dict(found)


def faults(listed: tuple[Feature, ...], by_test: Mapping[str, list[str]]) -> list[str]:
    """Return what does not fit: features with neither test nor reason, with both, and tests of none."""
    ids = {feature.id for feature in listed}
    wrong = [f"{id_}: no such feature, named by {tests[0]}" for id_, tests in by_test.items() if id_ not in ids]
    for feature in listed:
        if feature.id in by_test and feature.why:
            wrong.append(f"{feature.id}: has a reason, but {by_test[feature.id][0]} covers it")
        if feature.id not in by_test and not feature.why:
            wrong.append(f"{feature.id}: no test covers it, and no reason is given")
    return wrong


def render() -> str:
    """Return the page."""
    by_test, lines = covered(), [INTRODUCTION]
    product = None
    for feature in features():
        if feature.product != product:
            product = feature.product
            key = feature.id.partition(".")[0]
            of_product = [each for each in features() if each.product == product]
            tested = sum(each.id in by_test for each in of_product)
            lines += [f"\n## {key}: {product}\n", f"{tested} of {len(of_product)} are covered by tests.\n"]
            lines += ["| id | feature | shown by, or why not |", "|---|---|---|"]
        tests = by_test.get(feature.id)
        shown = "<br>".join(map(_link, tests)) if tests else f"*not covered*: {feature.why}"
        lines.append(f"| {feature.id} | {feature.what} | {shown} |")
    return "\n".join(lines) + "\n"


def _feature(id_: str, product: str, said: str | Mapping[str, Any], reasons: Mapping[str, str]) -> Feature:
    if isinstance(said, str):
        return Feature(id_, product, said, None)
    return Feature(id_, product, said["what"], reasons.get(said["why"], said["why"]))


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"


def _marked(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.seed":
            yield from (str(part.value) for part in decorator.args if isinstance(part, ast.Constant))
