"""The generated pages are as the contracts are, and name no word nobody explains."""

import re

from deploy.docs.__main__ import DOCS, main, renewed, stale_pages
from deploy.docs.meanings import DEAD, REFUSALS
from shared.contracts.catalogue import CATALOGUE
from shared.contracts.words import DeadCode, RefusalCode
from shared.ids import NS_CALLOUT


def test_the_generated_pages_are_fresh() -> None:
    assert not stale_pages(), "run `make docs` and commit what it writes"
    assert main(["--check"]) == 0


def test_a_stale_page_fails_the_check_and_keeps_what_people_wrote() -> None:
    page = renewed("above\n", "old")
    assert renewed(page, "new") != page
    assert renewed(renewed(page + "below\n", "new"), "old") == page + "below\n"


def test_every_topic_type_and_code_is_on_the_page() -> None:
    page = (DOCS / "contracts.md").read_text()
    expected = [*CATALOGUE, *(type_ for topic in CATALOGUE.values() for type_ in topic.types), *DeadCode, *RefusalCode]
    assert [word for word in expected if f"`{word}`" not in page] == []
    assert (set(DEAD), set(REFUSALS)) == (set(DeadCode), set(RefusalCode))
    assert str(NS_CALLOUT) in page


def test_links_within_the_page_lead_somewhere() -> None:
    page = (DOCS / "contracts.md").read_text()
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= anchors


def test_the_glossary_is_in_order_and_explains_each_word_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    keys = [term.lower().split(",")[0] for term in terms]
    assert keys == sorted(set(keys))
