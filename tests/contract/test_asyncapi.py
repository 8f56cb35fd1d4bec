"""`docs/asyncapi.yaml` is valid, shows what can really be read, and says what the services really hear and tell."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from faststream.kafka.subscriber.usecase import BatchSubscriber

from deploy.access.plan import RELAY
from deploy.docs.__main__ import DOCS
from deploy.docs.asyncapi import channel_id
from deploy.docs.headers import key_schema, written_by_others
from deploy.docs.schemas import tidy
from deploy.docs.speakers import build_services
from deploy.topics import Catalogue
from services.remote_session.relay.ledger import WORDS
from shared.contracts.catalogue import (
    CASE_OUTCOMES,
    CATALOGUE,
    DEVICE_REGISTRY,
    SESSION_COMMANDS,
    SESSION_EVENTS,
    SHARED_EVENTS,
    TENANT_CONFIG,
)
from shared.contracts.envelope import read
from shared.service import Service
from tests.builders import Sent, encoded
from tests.contract.reference_parser import judge
from tests.contract.spoken import Contract

TEXT = (DOCS / "asyncapi.yaml").read_text()
DOCUMENT: dict[str, Any] = yaml.load(TEXT, Loader=yaml.CSafeLoader)
CONTRACT = Contract(DOCUMENT)
SERVICES = build_services()


def examples() -> Iterator[Any]:
    for channel, described in DOCUMENT["channels"].items():
        for name, message in described["messages"].items():
            for example in message.get("examples", ()):
                yield pytest.param(channel, name, example, id=f"{channel} {example['name']}")


def operations(service: str, action: str) -> dict[str, dict[str, Any]]:
    found = [o for o in DOCUMENT["operations"].values() if o["action"] == action and o["tags"] == [{"name": service}]]
    return {operation["channel"]["$ref"].removeprefix("#/channels/"): operation for operation in found}


def told_types(operation: dict[str, Any]) -> set[str]:
    return {reference["$ref"].rpartition("/messages/")[2] for reference in operation["messages"]}


def test_an_independent_validator_finds_no_fault_with_it_but_with_a_broken_one() -> None:
    broken = TEXT.replace("$ref: '#/channels/case.events.v1'", "$ref: '#/channels/case.gossip.v1'", 1)
    assert broken != TEXT
    ours, other = judge(TEXT, broken)
    assert ours == (True, [])
    assert not other[0]
    assert other[1]


def test_every_message_has_an_example() -> None:
    bare = [
        f"{channel} {name}"
        for channel, described in DOCUMENT["channels"].items()
        for name, message in described["messages"].items()
        if not message.get("examples") and name != "dead"
    ]
    assert not bare, "run `python -m tests.contract.golden` and `python -m deploy.docs`, and commit what they write"


@pytest.mark.parametrize(("channel", "name", "example"), list(examples()))
def test_an_example_is_as_the_document_says_and_is_read(channel: str, name: str, example: dict[str, Any]) -> None:
    key = example["summary"].split("`")[1]
    assert CONTRACT.faults(channel, name, key, example["headers"], example["payload"]) == []
    headers = tuple((header, text.encode()) for header, text in example["headers"].items())
    topic = next(topic for topic in CATALOGUE.values() if channel_id(topic.name) == channel)
    incoming = read(topic, Sent(topic.name, encoded(example["payload"]), key.encode(), headers))
    assert incoming is not None
    assert incoming.type == DOCUMENT["channels"][channel]["messages"][name]["name"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"seq": "one"}, "seq"),
        ({"case_id": "8C3F"}, "case_id"),
        ({"case": {}}, "case"),
        ({"at": 1_772_446_500}, "at"),
        ({"actor": {"id": "ann", "role": "king", "tenant_id": "acme"}}, "role"),
    ],
)
def test_what_differs_from_the_document_is_noticed(changes: dict[str, Any], fault: str) -> None:
    name = "callout.case.created.v1"
    example = DOCUMENT["channels"]["case.events.v1"]["messages"][name]["examples"][0]
    key, headers, payload = example["payload"]["case_id"], example["headers"], example["payload"]
    assert CONTRACT.faults("case.events.v1", name, key, headers, payload) == []
    assert any(fault in line for line in CONTRACT.faults("case.events.v1", name, key, headers, payload | changes))
    assert CONTRACT.faults("case.events.v1", name, "press-07", headers, payload)
    assert CONTRACT.faults("case.events.v1", name, key, headers | {"ce_hash": "none"}, payload)
    assert CONTRACT.faults("case.events.v1", name, key, {k: v for k, v in headers.items() if k != "ce_id"}, payload)
    assert CONTRACT.faults("case.events.v1", name, key, headers | {"ce_type": "callout.case.closed.v1"}, payload)
    assert CONTRACT.faults("case.events.v1", name, key, headers | {"x-mine": "1"}, payload)


def test_a_record_is_held_against_its_channel_and_its_speaker() -> None:
    name = "callout.case.created.v1"
    example = DOCUMENT["channels"]["case.events.v1"]["messages"][name]["examples"][0]
    headers = example["headers"] | {"ce_source": "/callout/workflow"}

    def record(topic: str = "case.events.v1", **changes: str) -> Sent:
        told = tuple((header, text.encode()) for header, text in (headers | changes).items())
        return Sent(topic, encoded(example["payload"]), example["payload"]["case_id"].encode(), told)

    assert list(CONTRACT.faults_of(record())) == []
    assert list(CONTRACT.faults_of(record(ce_source="/callout/intake")))
    assert list(CONTRACT.faults_of(record(ce_type="callout.case.whispered.v1")))
    assert list(CONTRACT.faults_of(record("case.gossip.v1")))
    assert not CONTRACT.is_foreign(record(ce_source="/erp"))
    assert CONTRACT.is_foreign(record("case.commands.v1", ce_source="/erp"))
    report = "callout.session.report.v1"
    example = DOCUMENT["channels"]["session.commands.v1"]["messages"][report]["examples"][0]
    key = example["summary"].split("`")[1].encode()

    def seen_by(source: str) -> Sent:
        told = tuple((header, text.encode()) for header, text in (example["headers"] | {"ce_source": source}).items())
        return Sent("session.commands.v1", encoded(example["payload"]), key, told)

    assert list(CONTRACT.faults_of(seen_by("/callout/remote_session"))) == []
    assert list(CONTRACT.faults_of(seen_by("/callout/gateway")))
    channels = DOCUMENT["channels"] | {"shared": {"address": "case.shared.{tenant}.v1", "messages": {}}}
    assert Contract({**DOCUMENT, "channels": channels}).channel_of("case.shared.acme.v1") == "shared"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_hears_what_the_document_says(service: Service) -> None:
    heard = operations(service.name, "receive")
    groups = {name: o["bindings"]["kafka"]["groupId"]["enum"] for name, o in heard.items() if "bindings" in o}
    running: dict[str, list[str | None]] = {}
    for subscriber in service.broker.subscribers:
        assert isinstance(subscriber, BatchSubscriber)
        (topic,) = subscriber.topic_names
        running[topic] = [subscriber.group_id]
    assert running == groups
    # Of settings, the document has a message for each kind; on the wire they have one type.
    rooms = [s.room for s in service.subscriptions if s.room.topic.name != TENANT_CONFIG.name]
    known = {room.topic.name: set(room.topic.types) for room in rooms}
    assert {name: told_types(heard[name]) for name in groups if name != TENANT_CONFIG.name} == known
    assert set(heard) - set(groups) <= {
        *(TENANT_CONFIG.name, CASE_OUTCOMES.name, DEVICE_REGISTRY.name, channel_id(SHARED_EVENTS.name)),
    }


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_tells_what_the_document_says(service: Service) -> None:
    told = operations(service.name, "send")
    rooms = [subscription.room for subscription in service.subscriptions]
    for room in rooms:
        assert room.topic.dead in told
        for topic in room.tells:
            assert set(topic.types) <= told_types(told[channel_id(topic.name)])
    by_rooms = {room.topic.dead for room in rooms} | {channel_id(topic.name) for room in rooms for topic in room.tells}
    parts = (*service.before, *service.after)
    by_parts = {channel_id(topic.name) for part in parts for topic in getattr(part, "tells", ())}
    by_parts |= {topic for topic in told if topic.startswith("ops.")}
    assert set(told) <= by_rooms | by_parts


def test_the_relay_hears_and_tells_what_the_document_says_and_nothing_more() -> None:
    assert {name: told_types(operation) for name, operation in operations(RELAY, "receive").items()} == {
        SESSION_EVENTS.name: set(SESSION_EVENTS.types)
    }
    assert {name: told_types(operation) for name, operation in operations(RELAY, "send").items()} == {
        SESSION_COMMANDS.name: set(WORDS)
    }


def test_who_hears_is_who_the_topics_are_made_for() -> None:
    names = {service.name for service in SERVICES}
    declared = {(service, topic.name) for topic in Catalogue.load().topics for service in topic.heard_by}
    told = {(name, topic) for name in names for topic, o in operations(name, "receive").items() if "bindings" in o}
    assert told == {(service, topic) for service, topic in declared if service in names}


def test_every_topic_is_described_with_its_key() -> None:
    for topic in CATALOGUE.values():
        channel = DOCUMENT["channels"][channel_id(topic.name)]
        assert f"`{topic.key}`" in channel["description"]
        assert channel["x-callout-written-by"] == ("others" if written_by_others(topic) else "services")


@pytest.mark.parametrize(
    ("key", "fits", "differs"),
    [
        ("<tenant>/<device>", "acme/press-07", "Acme/press-07"),
        ("<tenant>/<dedup key>", "acme/press-07:E417/\nx", "acme"),
        ("<tenant>/rules/<name>", "acme/rules/default", "acme/sla/default"),
        ("case_id", "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11", "8c3f9b1e"),
        ("something new", "anything", ""),
    ],
)
def test_a_key_in_words_becomes_a_pattern(key: str, fits: str, differs: str) -> None:
    pattern = key_schema(key)["pattern"]
    assert re.search(pattern, fits)
    assert not re.search(pattern, differs)


def test_an_optional_field_may_be_left_out_and_is_never_null() -> None:
    null = {"type": "null"}
    model = {
        "title": "M",
        "properties": {
            "title": {"anyOf": [{"type": "string"}, null], "default": None, "title": "Title"},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}, null], "default": None},
            "map": {"additionalProperties": {"anyOf": [{"type": "string"}, null]}, "type": "object"},
            "word": {"$ref": "#/components/schemas/W", "default": "a"},
        },
    }
    assert tidy(model)["properties"] == {
        "title": {"type": "string"},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "map": {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, null]}},
        "word": {"allOf": [{"$ref": "#/components/schemas/W"}], "default": "a"},
    }


def test_the_page_shows_every_message_field_and_example_and_needs_nothing_else() -> None:
    page = (DOCS / "asyncapi.html").read_text()
    anchors = set(re.findall(r' id="([^"]+)"', page))
    for channel, described in DOCUMENT["channels"].items():
        assert {channel, *(f"{channel}-{name}" for name in described["messages"])} <= anchors
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors
    for schema in DOCUMENT["components"]["schemas"].values():
        assert [name for name in schema.get("properties", ()) if f"<td><code>{name}</code></td>" not in page] == []
    assert page.count("<summary>Example") == len(list(examples()))
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!#|asyncapi\.yaml")', page) == []
    assert json.dumps("Spindle over temperature").replace('"', "&quot;") in page
