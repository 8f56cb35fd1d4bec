"""What a running service shows of its health, and the demonstration as a newcomer runs it."""

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from pymongo import MongoClient

from tests.stack import RunningStack, callout, wait_until


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.e2e
def test_a_service_shows_its_health_and_says_when_it_cannot_work(fresh_stack: Callable[..., RunningStack]) -> None:
    stack = fresh_stack("--only", "workflow")
    (base,) = stack.health_urls["workflow"]
    assert ask(f"{base}/healthz") == (200, "ok\n")
    assert ask(f"{base}/readyz") == (200, "ready\n")
    status, figures = ask(f"{base}/metrics")
    assert status == 200
    assert 'callout_ready{service="workflow"} 1.0' in figures
    assert "callout_step_seconds_total" in figures
    failing = {"failCommands": ["ping"], "errorCode": 10107, "appName": "callout_workflow"}
    with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=failing)
        wait_until(lambda: ask(f"{base}/readyz")[0] == 503, seconds=20)
        assert ask(f"{base}/healthz") == (200, "ok\n")
        client.admin.command("configureFailPoint", "failCommand", mode="off")
    wait_until(lambda: ask(f"{base}/readyz")[0] == 200, seconds=40)


@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_the_demonstration_ends_well(tmp_path: object) -> None:
    done = callout("demo", "--data-dir", f"{tmp_path}/demo", "--seconds", "6", "--rate", "40")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "lost" in done.stdout
