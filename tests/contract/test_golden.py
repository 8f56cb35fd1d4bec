"""What was ever published is read for ever, and still means the same: contracts only grow."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from shared.contracts import tenant
from shared.contracts.catalogue import CATALOGUE
from shared.contracts.envelope import read
from tests.builders import Sent, encoded
from tests.contract.golden import GOLDEN, SHAPES
from tests.contract.shapes import breaks, shapes

MESSAGES = sorted(GOLDEN.glob("*/*.json"))
WRITE = "Run `python -m tests.contract.golden` and commit what it writes."


def said_in(told: Any, known: Any) -> bool:
    if isinstance(told, dict):
        return isinstance(known, dict) and all(name in known and said_in(told[name], known[name]) for name in told)
    if isinstance(told, list):
        return len(told) == len(known) and all(map(said_in, told, known))
    return bool(told == known)


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_published_message_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    golden = json.loads(path.read_text())
    topic = CATALOGUE[path.parent.name]
    sent = tuple((name, text.encode()) for name, text in golden["headers"].items())
    incoming = read(topic, Sent(topic.name, encoded(golden["value"]), golden["key"].encode(), sent))
    assert incoming is not None
    assert (incoming.id, incoming.type) == (golden["headers"]["ce_id"], golden["headers"]["ce_type"])
    assert topic.key_of(incoming.data) in {golden["key"], ""}
    kind = golden["key"].split("/")[1] if topic.name == "tenant.config.v1" else None
    body: TypeAdapter[Any] = TypeAdapter(tenant.KINDS[kind]) if kind else topic.types[incoming.type]
    known = json.loads(body.dump_json(body.validate_json(encoded(golden["value"]) or b""), by_alias=True))
    assert said_in(golden["value"], known)


def test_every_type_has_a_published_message() -> None:
    published = {(path.parent.name, json.loads(path.read_text())["headers"]["ce_type"]) for path in MESSAGES}
    missing = {(topic.name, type_) for topic in CATALOGUE.values() for type_ in topic.types} - published
    assert not missing, f"{sorted(missing)}: {WRITE}"


def test_nothing_that_was_published_is_taken_back() -> None:
    broken = list(breaks(json.loads(SHAPES.read_text()), shapes()))
    assert not broken, "\n".join(broken)


def test_what_is_new_is_written_down() -> None:
    assert json.loads(SHAPES.read_text()) == shapes(), WRITE


OLD = {
    "t": {
        "key": "case_id",
        "cleanup": "delete",
        "types": {
            "x.v1": {"a": "required; string; maxLength=10", "b": "optional; word; words=p|q", "c": "optional; object"}
        },
    }
}


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("a", None, "field a is gone"),
        ("a", "required; integer", "changed its type to integer"),
        ("a", "required; string; maxLength=9", "became narrower: maxLength=9"),
        ("a", "required; string; maxLength=10; minLength=1", "became narrower: minLength=1"),
        ("a", "optional; string; maxLength=10", "is not always told any more"),
        ("a", "required; string; maxLength=10; pattern=^a$", "became narrower: pattern=^a$"),
        ("b", "required; word; words=p|q", "became required"),
        ("b", "optional; word; words=p|r", "lost the words ['q']"),
        ("d", "required; string", "new field d is required"),
        ("c.d", "required; string", "new field c.d is required"),
    ],
)
def test_a_break_is_named(name: str, line: str | None, reason: str) -> None:
    fields = {**OLD["t"]["types"]["x.v1"], name: line}
    now = {"t": {**OLD["t"], "types": {"x.v1": {key: value for key, value in fields.items() if value is not None}}}}
    (broken,) = breaks(OLD, now)
    assert reason in broken
    assert "v2" in broken


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a", "required; string; maxLength=11"),
        ("a", "required; string"),
        ("b", "optional; word; words=p|q|r"),
        ("d", "optional; string; maxLength=5"),
        ("e.f", "required; string"),
    ],
)
def test_growth_is_no_break(name: str, line: str) -> None:
    now = {"t": {**OLD["t"], "types": {"x.v1": {**OLD["t"]["types"]["x.v1"], name: line}, "y.v1": {}}}, "u": {}}
    assert list(breaks(OLD, now)) == []


@pytest.mark.parametrize("change", [{"key": "tenant"}, {"cleanup": "compact"}, {"types": {}}])
def test_a_topic_keeps_its_key_its_cleanup_and_its_types(change: dict[str, Any]) -> None:
    (broken,) = breaks(OLD, {"t": {**OLD["t"], **change}})
    assert "v2" in broken
    assert len(list(breaks(OLD, {}))) == 1
