"""The generated pages are as the contracts are, and name no word nobody explains."""

import re
import shutil
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from deploy.docs import seeds
from deploy.docs.__main__ import DOCS, main, renewed
from deploy.docs.meanings import DEAD, REFUSALS
from deploy.docs.settings import SERVICES
from shared import metrics
from shared.contracts.catalogue import CATALOGUE
from shared.contracts.ids import NS_CALLOUT
from shared.contracts.ops import HealthKind
from shared.contracts.words import DeadCode, RefusalCode
from shared.settings import described

PROJECT = DOCS.parent


def test_the_generated_pages_are_fresh() -> None:
    assert main(["--check"]) == 0


def test_a_stale_file_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    docs = shutil.copytree(DOCS, tmp_path / "docs")
    (docs / "asyncapi.yaml").write_text("asyncapi: 3.0.0\n")
    (docs / "asyncapi.html").unlink()
    assert main(["--check"], docs) == 1
    told = capsys.readouterr().err
    assert [line.split(" ")[0] for line in told.splitlines()] == ["asyncapi.yaml", "asyncapi.html"]
    assert "run `python -m deploy.docs`" in told
    assert main([], docs) == 0
    assert main(["--check"], docs) == 0


def test_a_contract_that_breaks_a_released_one_fails_the_check_and_is_not_released(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    docs = shutil.copytree(DOCS, tmp_path / "docs")
    released = docs / "asyncapi.released.yaml"
    before = released.read_text().replace("x-callout-key: <tenant>/<device>", "x-callout-key: <tenant>")
    released.write_text(before)
    assert main(["--release"], docs) == 1
    assert "device.signals.v1: its key was <tenant>, now <tenant>/<device>." in capsys.readouterr().err
    assert released.read_text() == before


def test_a_release_holds_todays_contract(tmp_path: Path) -> None:
    docs = shutil.copytree(DOCS, tmp_path / "docs")
    assert main(["--release"], docs) == 0
    assert (docs / "asyncapi.released.yaml").read_text() == (docs / "asyncapi.yaml").read_text()


def test_a_stale_page_fails_the_check_and_keeps_what_people_wrote() -> None:
    page = renewed("above\n", "old")
    assert renewed(page, "new") != page
    assert renewed(renewed(page + "below\n", "new"), "old") == page + "below\n"


def test_every_feature_of_the_seeds_is_covered_by_a_test_or_has_a_reason() -> None:
    assert seeds.faults(seeds.features(), seeds.covered()) == []
    counts = {"S0": 30, "S1": 40, "S2": 27, "S3": 21, "S4": 27}
    expected = [f"{seed}.{number}" for seed, count in counts.items() for number in range(1, count + 1)]
    assert [feature.id for feature in seeds.features()] == expected


def test_a_feature_with_neither_or_both_and_a_test_of_none_are_told(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    marked = '@pytest.mark.seed("S0.1", "S0.9")\nasync def test_one() -> None: ...\n'
    (tests / "test_it.py").write_text(f"import pytest\n\n{marked}")
    listed = tuple(seeds.Feature(f"S0.{n}", "Sense", "what", why) for n, why in ((1, "why"), (2, None), (3, "why")))
    assert seeds.covered(tests) == {"S0.1": ["tests/test_it.py::test_one"], "S0.9": ["tests/test_it.py::test_one"]}
    assert seeds.faults(listed, seeds.covered(tests)) == [
        "S0.9: no such feature, named by tests/test_it.py::test_one",
        "S0.1: has a reason, but tests/test_it.py::test_one covers it",
        "S0.2: no test covers it, and no reason is given",
    ]


def test_every_topic_type_and_code_is_on_the_page() -> None:
    page = (DOCS / "contracts.md").read_text()
    expected = [*CATALOGUE, *(type_ for topic in CATALOGUE.values() for type_ in topic.types), *DeadCode, *RefusalCode]
    assert [word for word in expected if f"`{word}`" not in page] == []
    assert (set(DEAD), set(REFUSALS)) == (set(DeadCode), set(RefusalCode))
    assert str(NS_CALLOUT) in page


def test_every_setting_is_on_the_page() -> None:
    page = (DOCS / "settings.md").read_text()
    names = [row["name"] for settings in SERVICES for row in described(settings)]
    assert [name for name in names if f"| `{name}` |" not in page] == []
    assert {settings.service for settings in SERVICES} == {
        path.parent.name for path in PROJECT.glob("services/*/app.py")
    }


def test_every_metric_and_alarm_is_in_the_operators_page() -> None:
    page = (DOCS / "operations.md").read_text()
    assert metrics.READY
    names = [metric.name for metric in REGISTRY.collect() if metric.name.startswith("callout_")]
    assert [name for name in names if f"`{name}" not in page] == []
    speakers = [*PROJECT.glob("shared/*.py"), *PROJECT.glob("shared/flow/*.py"), *PROJECT.glob("deploy/embedded/*.py")]
    told = re.findall(r'(?:kind=|_halt\()"(\w+)"', "".join(path.read_text() for path in speakers))
    assert {"started", "restarted", "stale_source"} <= set(told)
    assert set(told) <= set(HealthKind)
    assert [kind for kind in HealthKind if f"| `{kind}`" not in page] == []


def test_the_readme_shows_the_example_as_it_runs() -> None:
    example = (DOCS / "examples" / "case_events.py").read_text()
    assert f"```python\n{example}```" in (PROJECT / "README.md").read_text()
    assert len(example.split('"""\n', 1)[1].strip().splitlines()) <= 40


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*PROJECT.glob("*.md"), *DOCS.rglob("*.md")):
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        assert [target for target in targets if not (page.parent / target).exists()] == [], page


def test_links_within_the_page_lead_somewhere() -> None:
    page = (DOCS / "contracts.md").read_text()
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= anchors


def test_the_glossary_is_in_order_and_explains_each_word_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    keys = [term.lower().split(",")[0] for term in terms]
    assert keys == sorted(set(keys))
