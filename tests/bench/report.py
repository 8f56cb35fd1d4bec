"""What a measure found: one JSON line each, and one table of the ratios at the end."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One ratio, against a floor or a smaller case; met when it is at least (or, for a `limit`, at most) the target."""

    measure: str
    what: str
    ratio: float
    target: float
    limit: bool = False
    goal: float | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.ratio <= self.target if self.limit else self.ratio >= self.target

    def tell(self) -> None:
        """Print it as one line."""
        line = {
            "measure": self.measure,
            "what": self.what,
            "ratio": round(self.ratio, 3),
            "target": self.target,
            "goal": self.goal,
            "met": self.met,
            **self.figures,
        }
        sys.stdout.write(orjson.dumps({k: v for k, v in line.items() if v is not None}).decode() + "\n")
        sys.stdout.flush()


COLUMNS = ("measure", "ratio of", "ratio", "target", "met")


def print_table(findings: Sequence[Finding]) -> None:
    """Print all ratios, and whether they meet their targets."""
    table = Table(title="Callout against raw floors, and against itself, in the same run")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in {"ratio", "target"} else "left")
    for finding in findings:
        table.add_row(*_row(finding))
    Console(width=140).print(table)


def print_markdown(findings: Sequence[Finding]) -> None:
    """Print the same table as a page has it."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_row, findings)]
    sys.stdout.write("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")


def _row(finding: Finding) -> tuple[str, ...]:
    sign = "<=" if finding.limit else ">="
    goal = f" (goal {finding.goal:g})" if finding.goal is not None else ""
    met = "yes" if finding.met else "NO"
    return finding.measure, finding.what, f"{finding.ratio:.2f}", f"{sign} {finding.target:g}{goal}", met
