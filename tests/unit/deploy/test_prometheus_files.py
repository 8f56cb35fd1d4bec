"""Boards and alerts as code: whole, fresh, explained to operators, and tested where Prometheus' own tool is there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import main, stale_boards
from tests.prometheus import BOARDS, PROMETHEUS, expressions, rules, selectors
from tests.stack import PROJECT

ANNOTATIONS = {"summary", "action"}
PROMTOOL = shutil.which("promtool")


def boards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in BOARDS]


def test_the_boards_are_fresh() -> None:
    assert not stale_boards(), "run `make docs` and commit what it writes"
    assert main(["--check"]) == 0


def test_a_stale_board_fails_the_check(tmp_path: Path) -> None:
    (path, *_), text = stale_boards(tmp_path), "{}"
    path.write_text(text)
    assert len(stale_boards(tmp_path)) == len(BOARDS)


def test_every_panel_has_a_place_of_its_own_and_asks_the_provisioned_source() -> None:
    provisioned = yaml.safe_load((PROJECT / "deploy/grafana/provisioning/datasources/callout.yml").read_text())
    (source,) = provisioned["datasources"]
    for board in boards():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
            assert not cells & taken, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells
            assert panel["type"] == "row" or panel["datasource"]["uid"] == source["uid"]
            assert panel["type"] == "row" or panel["description"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len({board["uid"] for board in boards()}) == len(BOARDS) == 3


def test_what_a_board_lets_one_choose_is_used_and_the_other_way_round() -> None:
    for board in boards():
        chosen = set(re.findall(r"\$(\w+)", " ".join(expressions(board)))) - {"__rate_interval"}
        assert chosen == {choice["name"] for choice in board["templating"]["list"]}


def test_every_alert_says_how_bad_it_is_and_what_to_do_and_is_on_the_operators_page() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    assert [name for name in names if f"| `{name}` |" not in page] == []
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == ANNOTATIONS
        assert len(rule["annotations"]["action"]) > 50


def test_no_label_is_named_in_an_annotation_that_its_expression_takes_away() -> None:
    for rule in rules():
        named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        kept = re.findall(r"by \(([^)]*)\)", rule["expr"])
        if kept:
            assert named <= {label.strip() for label in kept[0].split(",")}, rule["alert"]


def test_every_expression_can_be_read() -> None:
    found = [selector for board in boards() for text in expressions(board) for selector in selectors(text)]
    found += [selector for rule in rules() for selector in selectors(rule["expr"])]
    assert {name for name, _ in found} >= {"callout_lag_records", "callout_end_to_end_seconds_bucket"}


def test_every_alert_is_tested() -> None:
    tested = (PROMETHEUS / "alerts.test.yml").read_text()
    assert [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tested] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: Debian's package prometheus brings it")
@pytest.mark.parametrize(
    "words", ["check rules alerts.yml", "test rules alerts.test.yml", "check config prometheus.yml"]
)
def test_prometheus_own_tool_takes_them_and_each_alert_fires(words: str) -> None:
    done = subprocess.run(
        (str(PROMTOOL), *words.split()), cwd=PROMETHEUS, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
