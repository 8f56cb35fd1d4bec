"""Boards and panels in Grafana's JSON: what all of them have in common is said here once."""

from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

SOURCE: Final = {"type": "prometheus", "uid": "callout"}
SCHEMA: Final = 39
WIDTH: Final = 24
HEIGHTS: Final = {"stat": 4, "timeseries": 8}
BOARDS: Final = Path(__file__).with_name("boards.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Panel(_Strict):
    """One panel: what it asks Prometheus (legend: expression), and how it shows the answer."""

    title: str
    #: What it means, and what to do when it looks wrong.
    about: str
    queries: dict[str, str]
    unit: str = "short"
    kind: Literal["stat", "timeseries"] = "timeseries"
    width: int = 12
    stacked: bool = False
    #: From which value on it is orange, and red.
    steps: tuple[float, float] | None = None


class Board(_Strict):
    """One board: rows of panels, and what one may choose at its top (name: Prometheus query of its values)."""

    uid: str
    title: str
    about: str
    rows: dict[str, tuple[Panel, ...]]
    choices: dict[str, str] = {}


def read_boards(path: Path = BOARDS) -> dict[str, Board]:
    """Return the boards that are declared, by the name of their file."""
    return TypeAdapter(dict[str, Board]).validate_python(yaml.safe_load(path.read_text()))


def board_json(board: Board) -> dict[str, Any]:
    """Return a board as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in board.rows.items():
        panels.append(_row(len(panels) + 1, title, top))
        top += 1
        left = tallest = 0
        for panel in row:
            if left + panel.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            panels.append(_panel(len(panels) + 1, panel, left, top))
            left, tallest = left + panel.width, max(tallest, HEIGHTS[panel.kind])
        top += tallest
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": ["callout"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_choice(name, query) for name, query in board.choices.items()]},
        "links": [{"type": "dashboards", "title": "Callout", "tags": ["callout"], "asDropdown": True}],
        "panels": panels,
    }


def _row(id_: int, title: str, top: int) -> dict[str, Any]:
    place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
    return {"id": id_, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(id_: int, panel: Panel, left: int, top: int) -> dict[str, Any]:
    shown = _stat() if panel.kind == "stat" else _lines()
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0 if panel.unit != "s" else None}
    if panel.kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "stacking": {"mode": "normal" if panel.stacked else "none"}}
    if panel.steps is not None:
        defaults["thresholds"] = _thresholds(*panel.steps)
    return {
        "id": id_,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": HEIGHTS[panel.kind]},
        "fieldConfig": {"defaults": {k: v for k, v in defaults.items() if v is not None}, "overrides": []},
        "options": shown,
        "targets": [
            _target(place, expression, legend, instant=panel.kind == "stat")
            for place, (legend, expression) in enumerate(panel.queries.items())
        ],
    }


def _target(place: int, expression: str, legend: str, *, instant: bool) -> dict[str, Any]:
    asked = {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
    return {**asked, "instant": instant, "range": not instant}


def _stat() -> dict[str, Any]:
    calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {"reduceOptions": calculated, "colorMode": "value", "graphMode": "none", "textMode": "auto"}


def _lines() -> dict[str, Any]:
    legend = {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def _thresholds(orange: float, red: float) -> dict[str, Any]:
    colours = {"green": None, "orange": orange, "red": red}
    return {"mode": "absolute", "steps": [{"color": name, "value": value} for name, value in colours.items()]}


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }
