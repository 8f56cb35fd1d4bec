"""What a running service shows of its health, and the demonstration as a newcomer runs it."""

import asyncio
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

import orjson
import pytest
from pymongo import MongoClient

from tests.chaos.reader import read_topic
from tests.stack import PROJECT, RunningStack, callout, wait_until


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.e2e
def test_a_service_shows_its_health_where_it_says_and_says_when_it_cannot_work(
    fresh_stack: Callable[..., RunningStack],
) -> None:
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
        wait_until(lambda: ask(f"{base}/readyz")[0] == 503)
        assert ask(f"{base}/healthz") == (200, "ok\n")
        client.admin.command("configureFailPoint", "failCommand", mode="off")
    wait_until(lambda: ask(f"{base}/readyz")[0] == 200)

    run_alone = [sys.executable, "-m", "services.intake"]
    with subprocess.Popen(run_alone, cwd=PROJECT, env={**os.environ, **stack.values}) as alone:
        try:
            wait_until(lambda: port_of(stack, alone.pid))
            # It has started before it owns its partitions.
            wait_until(lambda: ask(f"http://127.0.0.1:{port_of(stack, alone.pid)}/readyz") == (200, "ready\n"))
        finally:
            alone.terminate()
    assert alone.returncode == 0


def port_of(stack: RunningStack, pid: int) -> int | None:
    """Return the port that a process said to have taken when it started."""
    told = asyncio.run(read_topic(stack.bootstrap_servers, "ops.health.v1"))
    bodies = [orjson.loads(record.value or b"") for record in told]
    return next((body["details"]["port"] for body in bodies if (body["kind"], body["pid"]) == ("started", pid)), None)


@pytest.mark.e2e
def test_the_demonstration_ends_well(tmp_path: object) -> None:
    done = callout("demo", "--data-dir", f"{tmp_path}/demo", "--seconds", "6", "--rate", "40")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "lost" in done.stdout
