"""A real Prometheus on a running system: finds it, loads the alerts, and answers whatever the boards ask."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.data_folder import free_port
from tests.e2e.test_health import ask
from tests.prometheus import BOARDS, PROMETHEUS, expressions, filled_in
from tests.stack import RunningStack, wait_until

PROGRAM = shutil.which("prometheus")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not here: Debian's package prometheus brings it"),
]
#: Nothing of the kind happens in a short quiet run.
MAY_BE_EMPTY = (" > 0", "callout_refusals_total")
SLOWEST = "histogram_quantile(0.99, sum by (le) (rate(callout_end_to_end_seconds_bucket[1m]))) > 0"


def answered(base: str, path: str, **query: str) -> Any:
    """Return what Prometheus' own interface says."""
    status, text = ask(f"{base}/api/v1/{path}?{urllib.parse.urlencode(query)}")
    assert status == 200, text
    return json.loads(text)["data"]


def test_prometheus_finds_the_services_loads_the_alerts_and_answers_the_boards(
    fresh_stack: Callable[..., RunningStack], tmp_path: Path
) -> None:
    stack = fresh_stack()
    config = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, config)
    text = (config / "prometheus.yml").read_text().replace("15s", "1s").replace("10s", "1s")
    (config / "prometheus.yml").write_text(text)
    (config / "targets").mkdir()
    shutil.copy(stack.data / "prometheus-targets.json", config / "targets")
    base = f"http://127.0.0.1:{free_port()}"
    words = (f"--config.file={config}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb")
    process = subprocess.Popen((str(PROGRAM), *words, f"--web.listen-address={base[7:]}"), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _up(base) == ["1", "1"])
        rules = [rule for group in answered(base, "rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        assert "CalloutBug" in {rule["name"] for rule in rules}
        assert stack.callout("fleet", "--signals", "30").code == 0
        wait_until(lambda: answered(base, "query", query=SLOWEST)["result"])
        asked = [text for board in BOARDS for text in expressions(json.loads(board.read_text()))]
        wait_until(lambda: not list(_unanswered(base, asked)))
    finally:
        process.terminate()
        process.wait(20)


def _unanswered(base: str, asked: list[str]) -> Iterator[str]:
    """Yield what ought to be answered and is not; whatever Prometheus cannot work out fails."""
    for expression in asked:
        found = answered(base, "query", query=filled_in(expression))["result"]
        if not found and not any(part in expression for part in MAY_BE_EMPTY):
            yield expression


def _up(base: str) -> list[str]:
    try:
        return sorted(each["value"][1] for each in answered(base, "query", query="up")["result"])
    except (OSError, AssertionError):  # it is starting
        return []
