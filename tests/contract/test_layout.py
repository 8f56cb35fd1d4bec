"""The layout: the same files in every service, small modules, one line that says what each is for."""

import ast
from pathlib import Path

import pytest

from deploy.embedded.services import SERVICES
from tests.stack import PROJECT

LINES_MAX = 300
FUNCTION_LINES_MAX = 40
FILES = ("__main__.py", "settings.py", "app.py", "handlers.py", "store.py", "README.md")
FORBIDDEN = {"utils", "helpers", "common", "manager", "base_service"}
MODULES = sorted(
    path for part in ("deploy", "services", "shared") for path in (PROJECT / part).rglob("*.py") if path.stat().st_size
)


def relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_files(service: str) -> None:
    assert not missing_from(PROJECT / "services" / service)


def test_the_agent_has_them_too_where_its_distribution_keeps_them() -> None:
    # A distribution of its own: what a device gets lies in one package, and its page and its making beside it.
    folder = PROJECT / "services" / "edge_agent"
    assert set(missing_from(folder / "callout_agent")) == {"README.md"}
    assert (folder / "README.md").exists()
    assert (folder / "pyproject.toml").exists()


def missing_from(folder: Path) -> list[str]:
    missing = [name for name in FILES if not (folder / name).exists()]
    if not (folder / "domain.py").exists() and not (folder / "domain").is_dir():
        missing.append("domain.py")
    return missing


def test_every_service_folder_is_run_by_callout_up() -> None:
    folders = {path.parent.name for path in (PROJECT / "services").glob("*/__main__.py")}
    assert folders <= set(SERVICES)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert path.stem not in FORBIDDEN
    assert len(text.splitlines()) <= LINES_MAX
    assert ast.get_docstring(tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if body_lines(node) > FUNCTION_LINES_MAX]
    assert not long


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or first.lineno) - first.lineno + 1
