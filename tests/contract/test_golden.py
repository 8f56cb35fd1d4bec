"""What was ever published is read for ever, and still means the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from deploy.docs.examples import plain_name
from shared.contracts import tenant
from shared.contracts.catalogue import CATALOGUE
from shared.contracts.envelope import read
from tests.builders import Sent, encoded
from tests.contract.golden import GOLDEN

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
    topic = next(topic for topic in CATALOGUE.values() if plain_name(topic) == path.parent.name)
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
    missing = {(plain_name(topic), type_) for topic in CATALOGUE.values() for type_ in topic.types} - published
    assert not missing, f"{sorted(missing)}: {WRITE}"
