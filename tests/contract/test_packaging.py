"""How Callout is packaged: in place only."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.stack import PROJECT

PARTS = ("deploy", "services", "shared")


def build(target: str, folder: Path, *, editable: bool = False) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("hatchling", reason="the build backend is not in this environment: `make venv` puts it there")
    project = folder / "project"
    shutil.copytree(PROJECT / "deploy", project / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("services", "shared"):
        (project / part).mkdir()
        (project / part / "__init__.py").touch()
    shutil.copy(PROJECT / "pyproject.toml", project)
    (project / "README.md").touch()
    hook = "build_editable" if editable else f"build_{target}"
    script = f"from hatchling.build import {hook}; print({hook}('out'))"
    (project / "out").mkdir()
    return subprocess.run(
        (sys.executable, "-c", script), cwd=project, capture_output=True, text=True, timeout=240, check=False
    )


def test_an_ordinary_wheel_is_refused_with_what_to_do(tmp_path: Path) -> None:
    refused = build("wheel", tmp_path)
    assert refused.returncode != 0
    assert "Install it in place" in refused.stderr
    assert "make venv" in refused.stderr
    assert not list(tmp_path.rglob("*.whl"))


def test_an_editable_install_brings_no_package_of_ours_into_site_packages(tmp_path: Path) -> None:
    built = build("wheel", tmp_path, editable=True)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.rglob("*.whl")
    names = subprocess.run(
        (sys.executable, "-m", "zipfile", "-l", str(wheel)), capture_output=True, text=True, check=True
    ).stdout
    assert not any(re.search(rf"^{part}/", names, re.MULTILINE) for part in PARTS)
    assert ".pth" in names


def test_the_command_is_there_where_callout_is_installed() -> None:
    try:
        scripts = {script.name: script.value for script in distribution("callout").entry_points}
    except PackageNotFoundError:
        pytest.skip("not installed in this environment: `make venv` does it")
    assert scripts["callout"] == "deploy.cli.main:main"


def test_every_dependency_has_one_exact_version() -> None:
    lines = [line for line in (PROJECT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in lines), "no addresses, no ranges"
    pinned = {re.split("==", line)[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.match(r"[A-Za-z0-9._-]+", each).group().lower().replace("_", "-") for each in wanted}  # type: ignore[union-attr]
    assert names <= pinned
