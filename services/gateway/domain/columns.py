"""The columns of a list, what each shows of a case, which of them somebody wants to see, and a list as CSV. Pure."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from services.gateway.domain.query import CaseQuery, Fault, InvalidQuery
from services.gateway.domain.view import CaseView

Show = Callable[[CaseView], Any]
SPREADSHEETS_BEGIN: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet takes for a formula."""


def _of_state(*path: str) -> Show:
    def show(view: CaseView) -> Any:  # noqa: ANN401 - any JSON value
        value: Any = view.state
        for name in path:
            value = (value or {}).get(name)
        return value

    return show


def _of_columns(name: str) -> Show:
    return lambda view: view.columns.get(name)


def _assignee(view: CaseView) -> str | None:
    assignees: Sequence[str] = view.state.get("assignees") or ()
    return assignees[0] if assignees else None


def _creator(view: CaseView) -> str | None:
    by: Mapping[str, str] = view.state.get("created_by") or {}
    return by.get("id") or by.get("role")


#: Every column, in the order of the factory setting as far as that goes.
COLUMNS: Final[Mapping[str, Show]] = {
    "number": _of_state("number"),
    "priority": _of_state("priority"),
    "state": _of_state("state"),
    "title": _of_state("title"),
    "customer": _of_columns("customer"),
    "severity": _of_state("severity"),
    "device_status": _of_columns("device_status"),
    "remote_access": _of_columns("remote_access"),
    "service_contract": _of_columns("service_contract"),
    "created_by": _creator,
    "assignee": _assignee,
    "machine_model": _of_state("machine", "model"),
    "created_at": _of_state("created_at"),
    "serial_number": _of_state("machine", "serial"),
    "technology": _of_state("machine", "technology"),
    "brand": _of_state("machine", "brand"),
    "service_organisation": _of_columns("service_organisation"),
    "id": _of_state("id"),
    "external_id": _of_state("primary_ref"),
    "case_type": _of_state("case_type"),
    "case_code": _of_state("case_code"),
    "device_id": _of_state("device_id"),
    "origin": _of_state("origin"),
    "visibility": _of_state("visibility"),
    "application": _of_state("classification", "application"),
    "tags": _of_state("tags"),
    "teams": _of_state("teams"),
    "escalated": lambda view: view.state.get("escalation") is not None,
    "updated_at": _of_state("updated_at"),
    "closed_at": _of_state("closed_at"),
}
FACTORY: Final = tuple(COLUMNS)[:17]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns somebody sees, in which order, and the filters and order that a list begins with."""

    columns: tuple[str, ...] = FACTORY
    filters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Read a choice of columns and filters: `columns`, names in order; `filters`, parameters of a list.

        Raises:
            InvalidQuery: with every field that is wrong or unknown.
        """
        faults = [Fault(name, "is not known") for name in body if name not in {"columns", "filters"}]
        columns, filters = body.get("columns", list(FACTORY)), body.get("filters", {})
        faults += _column_faults(columns) + _filter_faults(filters)
        if faults:
            raise InvalidQuery(faults)
        return cls(columns=tuple(columns), filters=filters)

    def body(self) -> dict[str, Any]:
        """Return the choice as JSON."""
        return {"columns": list(self.columns), "filters": dict(self.filters)}


def read_columns(text: str | None) -> tuple[str, ...] | None:
    """Return the columns that a request names, with commas between; nothing if it names none.

    Raises:
        InvalidQuery: if there is no such column, or one twice.
    """
    if not text:
        return None
    names = text.split(",")
    if faults := _column_faults(names):
        raise InvalidQuery(faults)
    return tuple(names)


def csv_lines(rows: Iterable[CaseView], columns: Sequence[str]) -> str:
    """Return rows as CSV (RFC 4180); what a spreadsheet would take for a formula is made text."""
    return _written([_cell(COLUMNS[name](view)) for name in columns] for view in rows)


def csv_head(columns: Sequence[str]) -> str:
    """Return the line with the names of the columns."""
    return _written([columns])


def _written(lines: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue()


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(SPREADSHEETS_BEGIN) else text


def _column_faults(columns: Any) -> list[Fault]:  # noqa: ANN401 - whatever was sent
    if not isinstance(columns, list) or not columns:
        return [Fault("columns", "must be a list of at least one column")]
    unknown = [str(name) for name in columns if name not in COLUMNS] if all(map(_is_text, columns)) else ["(no text)"]
    if unknown:
        return [Fault("columns", f"has no {', '.join(unknown[:5])}; there are {', '.join(COLUMNS)}")]
    return [Fault("columns", "has one twice")] if len(set(columns)) < len(columns) else []


def _filter_faults(filters: Any) -> list[Fault]:  # noqa: ANN401 - whatever was sent
    if not isinstance(filters, dict) or not all(_is_filter(value) for value in filters.values()):
        return [Fault("filters", "must be parameters of a list: names, and text or lists of text")]
    if "cursor" in filters:
        return [Fault("filters.cursor", "is of one list and not kept")]
    try:
        CaseQuery.parse(filters)
    except InvalidQuery as error:
        return [Fault(f"filters.{fault.field}", fault.message) for fault in error.faults]
    return []


def _is_text(value: Any) -> bool:  # noqa: ANN401 - whatever was sent
    return isinstance(value, str)


def _is_filter(value: Any) -> bool:  # noqa: ANN401 - whatever was sent
    return isinstance(value, str) or (isinstance(value, list) and all(map(_is_text, value)))
