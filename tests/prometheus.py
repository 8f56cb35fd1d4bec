"""What boards and alerts ask Prometheus, read by a parser of its language."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import yaml
from promql_parser import VectorSelector

from tests.stack import PROJECT

PROMETHEUS = PROJECT / "deploy" / "prometheus"
ALERTS = PROMETHEUS / "alerts.yml"
BOARDS = sorted((PROJECT / "deploy" / "grafana" / "dashboards").glob("*.json"))
#: What Prometheus adds to whatever it asks.
ADDED = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    """Return all alert rules."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions(board: dict[str, Any]) -> list[str]:
    """Return what the panels of a board ask, as Grafana has it."""
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def all_expressions() -> list[str]:
    """Return what all boards and alerts ask."""
    boards = [text for path in BOARDS for text in expressions(json.loads(path.read_text()))]
    return [*boards, *(rule["expr"] for rule in rules())]


def filled_in(expression: str) -> str:
    """Return an expression as Grafana sends it, with everything chosen."""
    return re.sub(r"\$(?!__)\w+", ".*", expression.replace("$__rate_interval", "1m"))


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Return the metrics that an expression asks for, with the labels by which it chooses.

    Raises:
        ValueError: if it is no PromQL.
    """
    return list(_selected(promql_parser.parse(filled_in(expression))))


def grouped_by(expression: str) -> set[str]:
    """Return the labels by which an expression groups."""
    found = re.findall(r"\bby \(([^)]*)\)", expression)
    return {label.strip() for labels in found for label in labels.split(",")}


def _selected(node: Any) -> Iterator[tuple[str, set[str]]]:
    found: list[VectorSelector] = []

    def visit(each: Any) -> None:
        if isinstance(each, VectorSelector):
            found.append(each)

    promql_parser.walk(node, visit)
    for each in found:
        yield each.name or "", {matcher.name for matcher in each.matchers.matchers}
