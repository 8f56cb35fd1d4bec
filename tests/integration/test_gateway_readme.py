"""What the README shows of HTTP, word for word, and the API against its own description."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.integration.test_gateway import Client
from tests.stack import PROJECT, RunningStack, clean_environment

pytestmark = pytest.mark.integration


def test_the_readme_drives_a_case(gateway_stack: RunningStack, tmp_path: Path) -> None:
    section = (PROJECT / "README.md").read_text().partition("## You drive cases over HTTP")[2]
    [commands] = re.findall(r"```console\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    (tmp_path / "callout").write_text(f'#!/bin/sh\ncd {PROJECT}; exec {sys.executable} -m deploy.cli.main "$@"\n')
    (tmp_path / "callout").chmod(0o755)
    environment = {**clean_environment(), **gateway_stack.values, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ("bash", "-euxo", "pipefail", "-c", commands),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    case = orjson.loads((tmp_path / "case.json").read_bytes())
    assert f'"number":"{case["number"]}"' in done.stdout
    assert '"text":"On my way."' in done.stdout
    assert '"accepted":1' in done.stdout
    assert "Noise in the gear box" in done.stdout.partition("number,priority")[2]
    assert "event: position" in done.stdout


DESCRIPTIONS = ["openapi.yaml", "openapi-django-crm.yaml", "openapi-equinix.yaml"]


@pytest.mark.timeout(480)
@pytest.mark.parametrize("name", DESCRIPTIONS)
async def test_the_api_keeps_what_its_description_says(gateway_stack: RunningStack, tmp_path: Path, name: str) -> None:
    who = Client(gateway_stack, tenant="fuzz", user="fay")
    async with who as http:
        await http.post("/api/v1/cases", json={"title": "Noise"})
        async with asyncio.timeout(60):  # a crowded machine may have answered 202
            while not (await http.get("/api/v1/cases")).json()["total"]:
                await asyncio.sleep(0.1)
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(PROJECT / "tests" / "schemathesis.toml")),
        *("run", str(PROJECT / "docs" / name), "--url", gateway_stack.http_urls[0]),
        *("--header", f"Authorization: {who.headers['Authorization']}"),
    )
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout.partition("FAILURES")[2][:20_000] + done.stderr[-2000:]
