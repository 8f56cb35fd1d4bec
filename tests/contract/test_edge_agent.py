"""The agent on the device: alone in its distribution, old enough a Python, and in the words of the contracts."""

import ast
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import orjson
import pytest
from callout_agent.domain.engine import Engine
from callout_agent.domain.judgement import Move
from callout_agent.domain.notice import of_finding, of_program
from callout_agent.settings import DEVICE, TENANT, load
from callout_agent.topics import topic
from callout_agent.triggers import SEVERITIES

from shared.contracts.limits import DEVICE_PATTERN, TENANT_PATTERN
from shared.contracts.signals import CLEARED, RAISED
from shared.contracts.words import Severity
from tests.builders import signal_record
from tests.contract.reading import readable
from tests.stack import PROJECT
from tests.unit.edge_agent.parts import hot, reading

AGENT = PROJECT / "services" / "edge_agent"
MODULES = sorted((AGENT / "callout_agent").rglob("*.py"))
ALLOWED = {"callout_agent", "paho", "cryptography", "tomli"}
#: Of remote sessions alone, which are installed as an extra.
EXTRA = {"asyncssh"}


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def allowed_in(path: Path) -> set[str]:
    return ALLOWED | EXTRA if path.parent.name == "sessions" else ALLOWED


def test_it_is_of_the_standard_library_and_two_packages() -> None:
    assert len(MODULES) > 30
    foreign = {
        path.name: odd
        for path in MODULES
        if (odd := imported(ast.parse(path.read_text())) - allowed_in(path) - set(sys.stdlib_module_names))
    }
    assert not foreign
    project = tomllib.loads((AGENT / "pyproject.toml").read_text())["project"]
    assert {name.split(">")[0] for name in project["dependencies"]} == {"cryptography", "paho-mqtt", "tomli"}


def test_what_it_decides_does_no_input_or_output() -> None:
    impure = {"asyncio", "os", "pathlib", "random", "socket", "ssl", "subprocess", "sys", "threading", "time", "paho"}
    domain = [path for path in MODULES if path.parent.name == "domain"]
    assert not {path.name: odd for path in domain if (odd := imported(ast.parse(path.read_text())) & impure)}


def test_python_3_9_can_read_all_of_it() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        first = [node for node in tree.body if isinstance(node, ast.ImportFrom)][:1]
        if path.name != "__main__.py" and len(tree.body) > 2:
            assert first[0].module == "__future__", f"{path}: `X | None` in an annotation needs it"


def test_it_has_the_grammar_and_the_words_of_the_contracts() -> None:
    assert (f"^{TENANT}$", f"^{DEVICE}$") == (TENANT_PATTERN, DEVICE_PATTERN)
    assert set(SEVERITIES) == {word.value for word in Severity}
    assert topic("acme", "press-07", "signal") == "callout/v1/acme/press-07/signal"


@pytest.mark.parametrize(("values", "type_"), [((95.0,), RAISED), ((95.0, 80.0), CLEARED)])
def test_what_a_trigger_says_is_read_as_it_was_meant(values: tuple[float, ...], type_: str) -> None:
    engine = Engine([hot(severity="major", template="spindle", case_code="0001-0002")])
    [*_, finding] = [each for at, value in enumerate(values) for each in engine.observe(reading(value, 1000.0 + at))]
    body = of_finding(finding, "press-07", {"serial": "SN-1", "model": "X2"}).body
    read = readable(signal_record(orjson.dumps({"tenant_id": "acme", "device_id": "press-07", "seq": 17, **body})))
    assert (read.data.key, read.data.fault) == ("press-07:hot:temp_c", "E417")
    assert read.data.occurred_at.timestamp() == finding.at
    if type_ == RAISED:
        assert (read.data.core_severity, read.data.template) == (Severity.MAJOR, "spindle")
        assert read.data.machine.serial == "SN-1"
        assert read.data.measurements == {"temp_c": 95.0}


def test_what_a_program_says_keeps_its_own_key() -> None:
    notice = of_program({"raise": "E9", "severity": "info", "title": "t", "unknown": 1}, 1000.0, {})
    read = readable(signal_record(orjson.dumps({"tenant_id": "acme", "device_id": "press-07", **notice.body})))
    assert (read.data.key, read.data.core_severity) == ("press-07:E9", Severity.INFO)
    assert (notice.move, of_program({"clear": "E9"}, 0.0, {}).move) == (Move.RAISE, Move.CLEAR)


@pytest.mark.seed("S0.29")
def test_the_example_of_a_configuration_is_one_and_shows_every_preset() -> None:
    settings = load(AGENT / "agent.example.toml")
    assert {type(trigger.preset).__name__.lower() for trigger in settings.triggers} == {
        "peak", "trend", "usage", "deviation", "zone", "dynamic", "custom"
    }  # fmt: skip


def test_it_installs_and_runs_from_a_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is not in this environment: `make venv` puts it there")
    script = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    subprocess.run((sys.executable, "-c", script), cwd=AGENT, check=True, capture_output=True, timeout=240)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {
            "callout_agent", "callout_agent-0.1.0.dist-info"
        }  # fmt: skip
    # Its two packages are borrowed from this environment: nothing is fetched.
    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    pip = (sys.executable, "-m", "pip", "--python", str(tmp_path / "venv" / "bin" / "python"), "install", "--no-deps")
    subprocess.run((*pip, "--no-index", "-q", str(wheel)), check=True, capture_output=True, timeout=240)
    (site / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    command = (str(tmp_path / "venv" / "bin" / "callout-agent"), "check", "--offline", "--config", "agent.toml")
    config = (AGENT / "agent.example.toml").read_text().replace("certificate = ", "token_file = 'token'\n#")
    (tmp_path / "agent.toml").write_text(config.replace("\nkey = ", "\n# ").replace('allow = "', '# "'))
    (tmp_path / "token").write_text("secret")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok          trigger spindle-hot: zone on temp_c: E417, major" in done.stdout
