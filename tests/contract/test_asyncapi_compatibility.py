"""A contract that was released is kept: every kind of break is named, and every growth is let through."""

from copy import deepcopy
from typing import Any

import pytest

from deploy.docs.__main__ import broken_promises
from deploy.docs.compatibility import breaks

TENANT = {"type": "string", "pattern": "^[a-z]+$"}
BODY: dict[str, Any] = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 10},
        "state": {"$ref": "#/components/schemas/State"},
        "count": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1},
        "ratio": {"type": "number"},
        "at": {"type": "string", "format": "date-time"},
        "owner": {"$ref": "#/components/schemas/Owner"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
        "facts": {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "storm": {"type": "object", "default": {"keys": 20}},
        "free": {},
    },
}
OWNER = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


def topic(written_by: str) -> dict[str, Any]:
    return {
        "address": "t.v1",
        "messages": {
            "x.v1": {
                "name": "x.v1",
                "contentType": "application/json",
                "headers": {
                    "allOf": [{"$ref": "#/components/schemas/Headers"}],
                    "properties": {"ce_type": {"const": "x.v1"}},
                },
                "payload": {"$ref": "#/components/schemas/Body"},
                "bindings": {"kafka": {"key": TENANT}},
            }
        },
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": ["delete"]}}},
        "x-callout-key": "<tenant>",
        "x-callout-written-by": written_by,
        "x-callout-bytes-max": 1000,
        "x-callout-unknown-type": "pass",
    }


def released(written_by: str = "services") -> dict[str, Any]:
    headers = {"type": "object", "required": ["ce_id"], "properties": {"ce_id": {"type": "string"}}}
    definitions = {"Body": BODY, "Owner": OWNER, "Headers": headers, "State": {"enum": ["NEW", "OLD"]}}
    return {"channels": {"t.v1": topic(written_by)}, "components": {"schemas": deepcopy(definitions)}}


def changed(document: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return a document with another value in one place; `...` takes the place out."""
    found = document = deepcopy(document)
    *way, last = place.split("/")
    for step in way:
        found = found[step]
    if value is ...:
        del found[last]
    else:
        found[last] = value
    return document


CHANNEL = "channels/t.v1"
MESSAGE = f"{CHANNEL}/messages/x.v1"
FIELDS = "components/schemas/Body/properties"
BREAKS_FOR_ALL = [
    (CHANNEL, ..., "the topic is gone"),
    (f"{CHANNEL}/address", "u.v1", "its address was t.v1, now u.v1"),
    (f"{CHANNEL}/x-callout-key", "case_id", "its key was <tenant>, now case_id"),
    (f"{CHANNEL}/bindings/kafka/topicConfiguration/cleanup.policy", ["compact"], "its cleanup was ['delete']"),
    (f"{CHANNEL}/x-callout-bytes-max", 999, "its largest value was 1000 bytes, now 999"),
    (f"{CHANNEL}/x-callout-unknown-type", "dead", "a type nobody knows was met with pass, now with dead"),
    (MESSAGE, ..., "the type is gone"),
    (f"{MESSAGE}/contentType", "text/plain", "its contentType was application/json, now text/plain"),
    (f"{MESSAGE}/bindings/kafka/key", {"type": "string", "pattern": "^[0-9]+$"}, "the key changed its pattern"),
    (f"{MESSAGE}/bindings/kafka/key", {"type": "string"}, "the key changed its pattern"),
    (f"{MESSAGE}/headers/properties/ce_type", {"const": "y.v1"}, "ce_type lost the words ['x.v1']"),
    (
        "components/schemas/Headers/properties/ce_id",
        {"type": "string", "maxLength": 9},
        "headers.ce_id became narrower",
    ),
    ("components/schemas/Headers/required", ["ce_id", "ce_time"], "headers.ce_time is new and required"),
    (f"{FIELDS}/free", ..., "data.free is gone"),
    (f"{FIELDS}/free", {"type": "string"}, "data.free may not be array or boolean"),
    (f"{FIELDS}/id/type", "integer", "data.id may not be string any more"),
    (f"{FIELDS}/ratio/type", "integer", "data.ratio may not be number any more"),
    (f"{FIELDS}/id/maxLength", 9, "data.id became narrower: maxLength=9 (was 10)"),
    (f"{FIELDS}/id/minLength", 2, "data.id became narrower: minLength=2 (was 1)"),
    (f"{FIELDS}/id/pattern", "^a", "data.id changed its pattern from None to ^a"),
    (f"{FIELDS}/at/format", "date", "data.at changed its format from date-time to date"),
    (f"{FIELDS}/count/minimum", 2, "data.count became narrower: minimum=2"),
    (f"{FIELDS}/count/maximum", 99, "data.count became narrower: maximum=99"),
    (f"{FIELDS}/count/exclusiveMaximum", 50, "data.count became narrower: exclusiveMaximum=50"),
    (f"{FIELDS}/count/default", 2, "data.count changed its default from 1 to 2"),
    (f"{FIELDS}/count/default", ..., "data.count changed its default from 1 to None"),
    (f"{FIELDS}/storm/default", {"keys": 50}, "data.storm changed its default"),
    (f"{FIELDS}/id/enum", ["a", "b"], "data.id may only be one of ['a', 'b']"),
    (f"{FIELDS}/tags/items/maxLength", 4, "data.tags[] became narrower: maxLength=4"),
    (f"{FIELDS}/tags/maxItems", 2, "data.tags became narrower: maxItems=2"),
    (
        f"{FIELDS}/facts/additionalProperties",
        {"type": "string"},
        "data.facts.* may not be {'type': 'integer'} any more",
    ),
    (f"{FIELDS}/facts/additionalProperties", False, "data.facts.* became narrower: False"),
    (f"{FIELDS}/storm/additionalProperties", {"type": "string"}, "data.storm.* became narrower"),
    ("components/schemas/State/enum", ["NEW"], "data.state lost the words ['OLD']"),
    ("components/schemas/Owner/properties/name", ..., "data.owner.name is gone"),
    ("components/schemas/Owner/properties/name/maxLength", 5, "data.owner.name became narrower: maxLength=5"),
    ("components/schemas/Body/required", ["id", "state", "count"], "data.count became required"),
    ("components/schemas/Body/required", ["id", "state", "new"], "data.new is new and required"),
]
BREAKS_FOR_READERS = [
    (f"{FIELDS}/id/maxLength", 11, "data.id became wider: maxLength=11 (was 10)"),
    (f"{FIELDS}/id/maxLength", ..., "data.id became wider: maxLength=None (was 10)"),
    (f"{FIELDS}/count/minimum", 0, "data.count became wider: minimum=0 (was 1)"),
    (f"{FIELDS}/count/type", "number", "data.count may now also be number"),
    (f"{FIELDS}/id/type", ["string", "null"], "data.id may now also be null"),
    (f"{FIELDS}/at/format", ..., "data.at changed its format from date-time to None"),
    (f"{FIELDS}/facts/additionalProperties/anyOf", [{}, {"type": "string"}], "data.facts.* may now also be {}"),
    (f"{FIELDS}/facts/additionalProperties", True, "data.facts.* became wider"),
    (f"{FIELDS}/tags/items", ..., "data.tags[] became wider"),
    ("components/schemas/State/enum", ..., "data.state may now be any word"),
    ("components/schemas/Body/required", ["id"], "data.state is not always told any more"),
]
GROWTHS = [
    ("channels/u.v1", topic("services"), "a topic"),
    (f"{CHANNEL}/messages/y.v1", {"name": "y.v1"}, "a type"),
    (f"{CHANNEL}/x-callout-bytes-max", 2000, "a larger value"),
    (f"{FIELDS}/new", {"type": "string", "maxLength": 5}, "an optional field"),
    (
        f"{FIELDS}/new",
        {"type": "object", "required": ["x"], "properties": {"x": {}}},
        "an object with needs of its own",
    ),
    ("components/schemas/State/enum", ["NEW", "OLD", "ODD"], "a word"),
    (f"{FIELDS}/storm/default", {"keys": 20, "seconds": 60}, "a part of a default"),
    (f"{FIELDS}/state", {"allOf": [{"$ref": "#/components/schemas/State"}], "description": "…"}, "another spelling"),
    (f"{FIELDS}/id/description", "what it is", "a description"),
    (f"{MESSAGE}/examples", [{"payload": {}}], "an example"),
]


@pytest.mark.parametrize(("place", "value", "named"), BREAKS_FOR_ALL, ids=[named for *_, named in BREAKS_FOR_ALL])
@pytest.mark.parametrize("written_by", ["services", "others"])
def test_a_break_is_named(written_by: str, place: str, value: Any, named: str) -> None:
    before = released(written_by)
    lines = breaks(before, changed(before, place, value))
    assert any(named in line for line in lines)
    assert all(line.startswith("t.v1") and line.endswith("(v2) beside the old one, and read both.") for line in lines)


@pytest.mark.parametrize(("place", "value", "named"), BREAKS_FOR_READERS, ids=[n for *_, n in BREAKS_FOR_READERS])
def test_what_we_tell_does_not_grow_wider_than_readers_know(place: str, value: Any, named: str) -> None:
    before = released("services")
    assert any(named in line for line in breaks(before, changed(before, place, value)))


@pytest.mark.parametrize(("place", "value", "named"), BREAKS_FOR_READERS, ids=[n for *_, n in BREAKS_FOR_READERS])
def test_what_we_take_may_grow_wider(place: str, value: Any, named: str) -> None:
    before = released("others")
    assert breaks(before, changed(before, place, value)) == []


@pytest.mark.parametrize(("place", "value", "what"), GROWTHS, ids=[what for *_, what in GROWTHS])
@pytest.mark.parametrize("written_by", ["services", "others"])
def test_growth_is_no_break(written_by: str, place: str, value: Any, what: str) -> None:
    before = released(written_by)
    assert breaks(before, changed(before, place, value)) == []


@pytest.mark.parametrize(("before", "after"), [("services", "others"), ("others", "services")])
def test_who_writes_a_topic_does_not_change(before: str, after: str) -> None:
    assert f"its writer was {before}, now {after}" in "".join(breaks(released(before), released(after)))


def test_a_renamed_definition_is_no_break() -> None:
    after = released()
    after["components"]["schemas"]["Somebody"] = after["components"]["schemas"].pop("Owner")
    after["components"]["schemas"]["Body"]["properties"]["owner"] = {"$ref": "#/components/schemas/Somebody"}
    assert breaks(released(), after) == []


def test_a_definition_that_holds_itself_is_compared_to_its_end() -> None:
    before = changed(released(), "components/schemas/Owner/properties/boss", {"$ref": "#/components/schemas/Owner"})
    assert breaks(before, before) == []
    assert len(breaks(before, changed(before, "components/schemas/Owner/properties/name/maxLength", 5))) == 1


def test_a_break_in_a_shared_definition_is_told_once() -> None:
    before = released()
    before["channels"]["t.v1"]["messages"]["y.v1"] = before["channels"]["t.v1"]["messages"]["x.v1"]
    assert len(breaks(before, changed(before, f"{FIELDS}/free", ...))) == 1


def test_todays_contract_keeps_the_released_one() -> None:
    assert broken_promises() == []
